//! Which calls are up, as the records of one series say.

mod legs;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::Lived;
use super::presence::Presence;
use crate::base::limits::{CLOSING_CALLS, CLOSING_S};
use crate::base::time::Wall;
use crate::record::{CallRef, Decision, Direction, Party, Record, encode};

pub use legs::{Answer, Beside, Carried, Change, Leg, Legs};

/// The calls of one series.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    /// Of the life that writes now.
    open: BTreeMap<CallRef, Call>,
    /// Of lives before it, for as long as it has not taken them over.
    earlier: Vec<Call>,
    /// Those that ended lately, in the order of their ends: one of their peers
    /// may not know it yet.
    closing: VecDeque<Call>,
    /// The highest number that was ever given to a call.
    highest: CallRef,
    presence: Presence,
}

/// A call, as far as it has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Its number in the series.
    pub reference: CallRef,
    /// When it was judged.
    #[serde(with = "encode::wall")]
    pub began: Wall,
    /// Whose call it is.
    pub tenant: Box<str>,
    /// Where the INVITE came from.
    #[serde(with = "encode::address")]
    pub source: SocketAddr,
    /// Which way it goes.
    pub direction: Direction,
    /// Who calls, as judged.
    #[serde(serialize_with = "encode::bytes")]
    pub caller: Box<[u8]>,
    /// The canonical number.
    pub number: Box<str>,
    /// What was decided.
    pub decision: Decision,
    /// The carrier's name.
    pub carrier: Box<str>,
    /// The caller's INVITE, between its record and that of the set-up.
    #[serde(serialize_with = "encode::bytes")]
    pub invite: Box<[u8]>,
    /// Its legs. None before its INVITE left: then nobody but the caller knows of
    /// it, who sends its INVITE again.
    pub legs: Option<Box<Legs>>,
    /// What it holds of budgets.
    pub lease: Option<Lease>,
    /// Set once somebody or something ended it.
    pub ending: Option<Ending>,
    /// Set once it is over on the carrier's side.
    pub end: Option<End>,
    /// How it is counted, if it is up or still holds money; put in by whoever takes it
    /// over, out of the counters.
    pub counted: Option<Lived>,
}

/// What a call holds of budgets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// When it got that.
    #[serde(with = "encode::wall")]
    pub at: Wall,
    /// For how many seconds, from its answer on; from `at` on if it was answered.
    pub lasts_s: u32,
    /// How much, in millionths of the currency's unit.
    pub reserved: u64,
    /// The currency (ISO 4217).
    pub currency: Box<str>,
}

/// Who ended a call, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// Who.
    pub by: Party,
    /// Why: a short name.
    pub cause: Box<str>,
}

/// How a call ended on the carrier's side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When.
    #[serde(with = "encode::wall")]
    pub at: Wall,
    /// The final status of the set-up; 0 if none came.
    pub status: u16,
    /// Who ended it.
    pub by: Party,
}

impl Calls {
    /// Takes the next record of the series into account.
    pub fn apply(&mut self, record: &Record<'_>) {
        self.presence.apply(record);
        if let Some(call) = record.call() {
            self.highest = self.highest.max(call);
        }
        match *record {
            Record::Started { .. } => {
                let open = std::mem::take(&mut self.open).into_values();
                self.earlier.extend(open);
                self.earlier.extend(self.closing.drain(..));
            }
            Record::Resumed { .. } => self.earlier.clear(),
            Record::Restored { call, state, .. } => self.restored(call, state),
            Record::Verdict { call, .. } => {
                if let Some(begun) = Call::begun(record) {
                    self.open.insert(call, begun);
                }
            }
            Record::Ended {
                call,
                wall,
                status,
                by,
                ..
            } => {
                let end = End {
                    at: wall,
                    status,
                    by,
                };
                self.ended(call, end);
            }
            _ => {
                let call = record.call().and_then(|call| self.known(call, record));
                if let Some(call) = call {
                    call.apply(record);
                }
            }
        }
    }

    /// The call that a record is of. When all is over on the carrier's side, who called may
    /// acknowledge an answer, and others may have answered late.
    fn known(&mut self, call: CallRef, record: &Record<'_>) -> Option<&mut Call> {
        let open = self.open.get_mut(&call);
        if open.is_some() || !matches!(record, Record::Acked { .. } | Record::Beside(_)) {
            return open;
        }
        self.closing
            .iter_mut()
            .rev()
            .find(|it| it.reference == call)
    }

    /// A call that this life took over from an earlier one.
    fn restored(&mut self, reference: CallRef, state: &[u8]) {
        let Some(mut call) = Call::read(state) else {
            return;
        };
        call.reference = reference;
        match call.end {
            Some(_) => self.closing.push_back(call),
            None => {
                self.open.insert(reference, call);
            }
        }
    }

    fn ended(&mut self, call: CallRef, end: End) {
        let Some(mut call) = self.open.remove(&call) else {
            return;
        };
        call.end = Some(end);
        self.closing.push_back(call);
        while self.closing.len() > CLOSING_CALLS
            || self
                .closing
                .front()
                .is_some_and(|first| !first.is_known_at(self.presence.latest()))
        {
            self.closing.pop_front();
        }
    }

    /// Every call that somebody may still know of, as it stands: those that are up
    /// and those that ended lately (they have an [`End`]).
    pub fn into_calls(self) -> impl Iterator<Item = Call> {
        let known = self.earlier.into_iter().chain(self.open.into_values());
        let known = known.chain(self.closing);
        known.filter(move |call| call.legs.is_some() && call.is_known_at(self.presence.latest()))
    }

    /// See [`Presence::may_have_missed`].
    pub(super) fn may_have_missed(&self, now: Wall) -> bool {
        self.presence.may_have_missed(now)
    }

    /// How many calls are up.
    #[must_use]
    pub fn up(&self) -> usize {
        let all = self.earlier.iter().chain(self.open.values());
        all.filter(|call| call.end.is_none()).count()
    }

    /// The highest number that was ever given to a call of the series.
    #[must_use]
    pub const fn highest(&self) -> CallRef {
        self.highest
    }
}

impl Call {
    /// A call that was let in.
    fn begun(verdict: &Record<'_>) -> Option<Self> {
        let Record::Verdict {
            call,
            wall,
            tenant,
            source,
            direction,
            caller,
            number,
            decision,
            carrier,
            ..
        } = *verdict
        else {
            return None;
        };
        (decision != Decision::Refuse).then(|| Self {
            reference: call,
            began: wall,
            tenant: tenant.into(),
            source,
            direction,
            caller: caller.into(),
            number: number.into(),
            decision,
            carrier: carrier.into(),
            invite: Box::default(),
            legs: None,
            lease: None,
            ending: None,
            end: None,
            counted: None,
        })
    }

    /// Whether it is up, or a peer may not know yet that it is over.
    fn is_known_at(&self, wall: Wall) -> bool {
        let end = self.end.as_ref().map_or(wall, |end| end.at);
        let since = wall.as_micros().saturating_sub(end.as_micros());
        since <= i64::from(CLOSING_S) * 1_000_000
    }

    /// Reads what [`Self::state`] wrote.
    #[must_use]
    pub fn read(state: &[u8]) -> Option<Self> {
        postcard::from_bytes(state).ok()
    }

    /// All of it, for [`Record::Restored`].
    #[must_use]
    pub fn state(&self) -> Vec<u8> {
        // Into memory, nothing here can fail.
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// Takes a record of the call's into account.
    fn apply(&mut self, record: &Record<'_>) {
        match *record {
            Record::Setup {
                wall,
                ref leg,
                branch,
                ref caller,
                asked,
                ..
            } => {
                let invite = std::mem::take(&mut self.invite);
                self.legs = Some(Box::new(Legs {
                    caller: Leg::new(caller, wall),
                    callee: Leg::new(leg, wall),
                    branch: branch.into(),
                    cseq: leg.local_cseq,
                    asked: match asked.is_empty() {
                        true => invite,
                        false => asked.into(),
                    },
                    invited: wall,
                    answer: None,
                    beside: Vec::new(),
                }));
            }
            Record::Invite { message, .. } if self.legs.is_none() => {
                self.invite = message.into();
            }
            Record::Lease {
                wall,
                lasts_s,
                reserved,
                currency,
                ..
            } => {
                self.lease = Some(Lease {
                    at: wall,
                    lasts_s,
                    reserved,
                    currency: currency.into(),
                });
            }
            Record::Led(ref led) => {
                // Who has left it was not needed any more.
                if led.branch.is_empty() {
                    self.ending = None;
                }
                if let Some(legs) = &mut self.legs {
                    legs.led(led);
                }
            }
            Record::Ending { by, cause, .. } if self.ending.is_none() => {
                let cause = cause.into();
                self.ending = Some(Ending { by, cause });
            }
            _ => {
                if let Some(legs) = &mut self.legs {
                    legs.apply(record);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
