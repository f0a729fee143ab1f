//! The legs of a call, as its records say.

use serde::{Deserialize, Serialize};

use crate::base::flow::{Flow, Transport};
use crate::base::time::Wall;
use crate::record::{self, Led, Record, Session, Side, encode};

/// Both legs of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Legs {
    /// The leg towards who calls.
    pub caller: Leg,
    /// The leg towards who is called.
    pub callee: Leg,
    /// The branch of our INVITE, without the magic cookie.
    #[serde(serialize_with = "encode::bytes")]
    pub branch: Box<[u8]>,
    /// Its CSeq number.
    pub cseq: u32,
    /// Of the caller's INVITE what its response needs, as an INVITE; empty once
    /// its answer was acknowledged.
    #[serde(serialize_with = "encode::bytes")]
    pub asked: Box<[u8]>,
    /// When our INVITE left.
    #[serde(with = "encode::wall")]
    pub invited: Wall,
    /// Set once it was answered.
    pub answer: Option<Answer>,
    /// Who else answered, and was hung up.
    pub beside: Vec<Beside>,
}

/// A dialog beside the call: see [`record::Beside`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is what it is in `record::Beside`")]
pub struct Beside {
    #[serde(with = "encode::wall")]
    pub at: Wall,
    pub dialog: u8,
    pub over: bool,
    #[serde(serialize_with = "encode::bytes")]
    pub tag: Box<[u8]>,
    #[serde(serialize_with = "encode::bytes")]
    pub target: Box<[u8]>,
    #[serde(serialize_with = "encode::bytes")]
    pub routes: Box<[u8]>,
}

/// The answer to a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// When.
    #[serde(with = "encode::wall")]
    pub at: Wall,
    /// When it is hung up at the latest.
    #[serde(with = "encode::wall")]
    pub ends_by: Wall,
    /// Whether the caller acknowledged it.
    pub acked: bool,
}

/// One leg: see [`record::Leg`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is what it is in `record::Leg`")]
pub struct Leg {
    #[serde(with = "encode::flow")]
    pub flow: Flow,
    #[serde(serialize_with = "encode::bytes")]
    pub call_id: Box<[u8]>,
    #[serde(serialize_with = "encode::bytes")]
    pub local_uri: Box<[u8]>,
    #[serde(serialize_with = "encode::bytes")]
    pub local_tag: Box<[u8]>,
    #[serde(serialize_with = "encode::bytes")]
    pub remote_uri: Box<[u8]>,
    #[serde(serialize_with = "encode::bytes")]
    pub remote_tag: Box<[u8]>,
    #[serde(serialize_with = "encode::bytes")]
    pub target: Box<[u8]>,
    #[serde(serialize_with = "encode::bytes")]
    pub routes: Box<[u8]>,
    pub local_cseq: u32,
    pub remote_cseq: u32,
    pub allow: Option<u32>,
    pub session: Session,
    /// When that was agreed.
    #[serde(with = "encode::wall")]
    pub agreed: Wall,
    /// The session description that a refresh has to repeat; empty if none.
    #[serde(serialize_with = "encode::bytes")]
    pub description: Box<[u8]>,
    /// The last INVITE of its peer's inside the dialog, unless it was acknowledged.
    pub change: Option<Box<Change>>,
    /// The last other request of its peer's that was carried to the other leg.
    pub carried: Option<Carried>,
}

/// A request that was carried to the other leg: see [`record::Carried`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is what it is in `record::Carried`")]
pub struct Carried {
    pub cseq: u32,
    pub onward: u32,
    #[serde(serialize_with = "encode::bytes")]
    pub branch: Box<[u8]>,
    pub mark: u64,
}

/// An INVITE inside the dialog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// How it went on.
    pub carried: Carried,
    /// The way that it came.
    #[serde(with = "encode::flow")]
    pub flow: Flow,
    /// What its response needs of it, as an INVITE.
    #[serde(serialize_with = "encode::bytes")]
    pub asked: Box<[u8]>,
    /// How it was refused; 0 if it was not.
    pub refused: u16,
    /// When that was.
    #[serde(with = "encode::wall")]
    pub at: Wall,
}

impl Legs {
    /// Whether the callee answered when the caller had been refused.
    #[must_use]
    pub fn is_late(&self) -> bool {
        let answer = self.answer.as_ref();
        answer.is_some_and(|answer| answer.ends_by <= answer.at)
    }

    /// A Call-ID of the bucket that the call lives in: not that of a leg to another call,
    /// which may live elsewhere.
    #[must_use]
    pub fn call_id(&self) -> &[u8] {
        let led = self.caller.flow.transport == Transport::Inside;
        let leg = if led { &self.callee } else { &self.caller };
        &leg.call_id
    }

    /// The leg on this side.
    #[must_use]
    pub const fn leg(&self, side: Side) -> &Leg {
        match side {
            Side::Caller => &self.caller,
            Side::Callee => &self.callee,
        }
    }

    const fn leg_mut(&mut self, side: Side) -> &mut Leg {
        match side {
            Side::Caller => &mut self.caller,
            Side::Callee => &mut self.callee,
        }
    }

    /// A leg has another in its place.
    pub(super) fn led(&mut self, led: &Led<'_>) {
        *self.leg_mut(led.side) = Leg::new(&led.leg, led.wall);
        if !led.branch.is_empty() {
            self.branch = led.branch.into();
            self.cseq = led.leg.local_cseq;
        }
    }

    pub(super) fn apply(&mut self, record: &Record<'_>) {
        match *record {
            Record::Answered {
                wall,
                ends_by,
                ref caller,
                ref callee,
                ..
            } => {
                self.caller.answered(caller, wall);
                self.callee.answered(callee, wall);
                self.answer = Some(Answer {
                    at: wall,
                    ends_by,
                    acked: false,
                });
            }
            Record::Acked { .. } => {
                self.asked = Box::default();
                if let Some(answer) = &mut self.answer {
                    answer.acked = true;
                }
            }
            Record::Target { side, target, .. } => self.leg_mut(side).target = target.into(),
            Record::CSeq {
                side,
                local,
                remote,
                ..
            } => {
                let leg = self.leg_mut(side);
                leg.local_cseq = leg.local_cseq.max(local);
                leg.remote_cseq = leg.remote_cseq.max(remote);
            }
            Record::Session {
                side,
                session,
                wall,
                ..
            } => {
                let leg = self.leg_mut(side);
                leg.session = session;
                leg.agreed = wall;
            }
            Record::Retried { cseq, branch, .. } => {
                self.branch = branch.into();
                self.cseq = cseq;
                self.callee.local_cseq = cseq;
            }
            Record::Parted { tag, .. } => {
                self.asked = Box::default();
                self.caller.local_tag = tag.into();
                self.caller.remote_tag = Box::default();
            }
            Record::Description { side, body, .. } => {
                self.leg_mut(side).description = body.into();
            }
            Record::Carried(ref carried) => self.leg_mut(carried.side).carried(carried),
            Record::Beside(ref beside) => self.beside(beside),
            Record::Settled(settled) => self.leg_mut(settled.side).settled(settled),
            _ => {}
        }
    }
}

impl Legs {
    fn beside(&mut self, told: &record::Beside<'_>) {
        let mut known = self.beside.iter_mut();
        if let Some(known) = known.find(|it| it.dialog == told.dialog) {
            known.over |= told.over;
        } else if !told.over {
            self.beside.push(Beside {
                at: told.wall,
                dialog: told.dialog,
                over: false,
                tag: told.tag.into(),
                target: told.target.into(),
                routes: told.routes.into(),
            });
        }
    }
}

impl Leg {
    pub(super) fn new(leg: &record::Leg<'_>, agreed: Wall) -> Self {
        Self {
            flow: leg.flow,
            call_id: leg.call_id.into(),
            local_uri: leg.local_uri.into(),
            local_tag: leg.local_tag.into(),
            remote_uri: leg.remote_uri.into(),
            remote_tag: leg.remote_tag.into(),
            target: match leg.target.is_empty() {
                true => leg.remote_uri.into(),
                false => leg.target.into(),
            },
            routes: leg.routes.into(),
            local_cseq: leg.local_cseq,
            remote_cseq: leg.remote_cseq,
            allow: leg.allow,
            session: leg.session,
            agreed,
            description: Box::default(),
            change: None,
            carried: None,
        }
    }

    fn carried(&mut self, by: &record::Carried<'_>) {
        if by.mark == 0 {
            let change = self.change.as_mut().map(|it| &mut it.carried);
            let mut known = change.into_iter().chain(&mut self.carried);
            if let Some(before) = known.find(|it| it.cseq == by.cseq) {
                before.onward = by.onward;
                before.branch = by.branch.into();
            }
            return;
        }
        let carried = Carried {
            cseq: by.cseq,
            onward: by.onward,
            branch: by.branch.into(),
            mark: by.mark,
        };
        if by.asked.is_empty() {
            self.carried = Some(carried);
        } else {
            self.change = Some(Box::new(Change {
                carried,
                flow: by.flow,
                asked: by.asked.into(),
                refused: 0,
                at: Wall::default(),
            }));
        }
    }

    fn settled(&mut self, settled: record::Settled) {
        if let (300.., Some(change)) = (settled.status, &mut self.change) {
            change.refused = settled.status;
            change.at = settled.wall;
        } else {
            self.change = None;
        }
    }

    /// What it is once the call was answered: what the record leaves out stays as it was.
    fn answered(&mut self, leg: &record::Leg<'_>, at: Wall) {
        let before = std::mem::replace(self, Self::new(leg, at));
        if leg.call_id.is_empty() {
            self.call_id = before.call_id;
            self.local_uri = before.local_uri;
            self.remote_uri = before.remote_uri;
            if leg.target.is_empty() {
                self.target.clone_from(&self.remote_uri);
            }
        }
    }
}
