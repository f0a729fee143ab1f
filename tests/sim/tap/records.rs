//! The journal: what a turn wrote before it sent (invariant: written before
//! sent), and whether every call has its end.

use tollgate::record::{Decision, Record, frame};

use super::{Id, Tap, Turn};
use crate::link::{Nanos, SEC};
use crate::plan::CallPlan;
use crate::seen::{Met, Seen};

/// What the records of a turn say.
#[derive(Debug, Default)]
pub struct Records {
    /// Decision, number, and the caller's Call-ID.
    verdicts: Vec<(Decision, String, Vec<u8>)>,
    /// Of those that were let in: the callee's Call-ID, the caller's, and the number.
    let_in: Vec<(Vec<u8>, Vec<u8>, String)>,
    setups: usize,
    answers: usize,
    ends: usize,
    /// Numbers of calls and the callee's Call-ID.
    numbers: Vec<(u64, Vec<u8>)>,
    /// What calls have cost.
    costs: Vec<(u64, u64)>,
    /// The leases that were taken, each with its seconds, and whether calls ended
    /// because none was.
    leases: Vec<(u64, u32)>,
    spent: bool,
    /// Calls that were answered, and those that are over or about to be.
    answered: Vec<u64>,
    over: Vec<u64>,
    /// Other rules are in force.
    swapped: bool,
}

impl Records {
    /// Reads a turn's records; an error where they do not read back.
    pub fn read(mut bytes: &[u8]) -> Result<Self, String> {
        let mut records = Self::default();
        while !bytes.is_empty() {
            let Ok(Some((record, rest))) = frame::next(bytes) else {
                return Err("a record that does not read back".into());
            };
            match record {
                Record::Verdict {
                    call,
                    decision,
                    number,
                    a_call_id,
                    b_call_id,
                    ..
                } => {
                    records.numbers.push((call.0, b_call_id.into()));
                    if decision != Decision::Refuse {
                        let ids = (b_call_id.into(), a_call_id.into(), number.into());
                        records.let_in.push(ids);
                    }
                    records
                        .verdicts
                        .push((decision, number.into(), a_call_id.into()));
                }
                Record::Setup { .. } => records.setups += 1,
                Record::Answered { call, .. } => {
                    records.answers += 1;
                    records.answered.push(call.0);
                }
                Record::Ending { call, .. } => records.over.push(call.0),
                Record::RulesLoaded { .. } => records.swapped = true,
                Record::Ended {
                    call, cost, cause, ..
                } => {
                    records.ends += 1;
                    records.over.push(call.0);
                    records.costs.push((call.0, cost));
                    records.spent |= cause == "budget-spent";
                }
                Record::Booked { call, cost, .. } => records.costs.push((call.0, cost)),
                Record::Lease { call, lasts_s, .. } => records.leases.push((call.0, lasts_s)),
                _ => {}
            }
            bytes = rest;
        }
        Ok(records)
    }
}

/// How many records of each kind a run wrote.
#[derive(Debug, Default)]
pub struct Written {
    let_in: usize,
    setups: usize,
    answers: usize,
    ends: usize,
}

impl Records {
    /// Whether a call was refused whose caller's Call-ID is this.
    pub(super) fn has_refused(&self, call_id: &[u8]) -> bool {
        let mut verdicts = self.verdicts.iter();
        verdicts.any(|it| it.0 == Decision::Refuse && it.2 == call_id)
    }

    /// Whether any call was refused.
    pub(super) fn has_refused_one(&self) -> bool {
        let mut verdicts = self.verdicts.iter();
        verdicts.any(|it| it.0 == Decision::Refuse)
    }
}

impl Tap {
    /// Takes a turn's records, before its packets.
    pub fn records(&mut self, now: Nanos, shard: u8, records: Records, seen: &mut Seen) {
        for (call, call_id) in records.numbers.iter().filter(|(_, id)| !id.is_empty()) {
            self.bill.number(shard, *call, call_id);
        }
        for &(call, cost) in &records.costs {
            self.bill.booked(now, shard, call, cost);
        }
        self.leases(now, shard, &records);
        if !records.leases.is_empty() {
            let new = records.verdicts.is_empty();
            seen.note(if new {
                Met::LeaseRenewed
            } else {
                Met::LeaseTaken
            });
        }
        if records.spent {
            seen.note(Met::HungUpForMoney);
        }
        let let_in = records
            .verdicts
            .iter()
            .filter(|v| v.0 != Decision::Refuse)
            .count();
        self.written.let_in += let_in;
        self.written.setups += records.setups;
        self.written.answers += records.answers;
        self.written.ends += records.ends;
        self.turn_records = records;
    }

    /// What was recorded of turns in which nothing left is gone with the core: it is as
    /// if what they took in had been lost on the way.
    pub fn lost(&mut self, records: &[u8]) {
        if let Ok(records) = Records::read(records) {
            self.written.ends -= records.ends;
        }
    }

    /// A call runs only while its lease does: then it has another one, or it ends.
    fn leases(&mut self, now: Nanos, shard: u8, records: &Records) {
        if records.swapped {
            // No budget may cover it any more.
            self.leases.retain(|(other, _), _| *other != shard);
        }
        for call in &records.answered {
            if let Some((lasts, due)) = self.leases.get_mut(&(shard, *call)) {
                due.get_or_insert(now + *lasts);
            }
        }
        for (call, seconds) in &records.leases {
            let lasts = u64::from(*seconds) * SEC;
            let lease = self.leases.entry((shard, *call)).or_insert((lasts, None));
            *lease = (lasts, lease.1.map(|_| now + lasts));
        }
        for call in &records.over {
            self.leases.remove(&(shard, *call));
        }
        let latest = now.saturating_sub(self.slack + SEC);
        let is_over = |(_, due): &(Nanos, Option<Nanos>)| due.is_some_and(|due| due < latest);
        let late = self.leases.iter().find(|(_, lease)| is_over(lease));
        if let Some((&(shard, call), _)) = late {
            self.plan = self.bill.plan_of(shard, call);
            self.fail(now, "it went on for longer than its lease".into());
        }
    }

    /// A judged INVITE: its verdict is in this turn's records, and its set-up
    /// if it was passed on.
    /// With `money`, its lease is there, too.
    pub(super) fn verdict_written(
        &self,
        id: Id,
        plan: &CallPlan,
        money: bool,
    ) -> Result<(), String> {
        let server = &self.servers[id];
        let call_id = server.request.at(server.request.call_id);
        let mut verdicts = self.turn_records.verdicts.iter();
        let passed = server.relay.is_some();
        let Some((decision, number, _)) = verdicts.find(|v| v.2 == call_id) else {
            let own_fault = server
                .answer
                .is_some_and(|a| matches!(a.0, 400 | 482 | 483));
            return match own_fault {
                true => Ok(()),
                false => Err("not recorded".into()),
            };
        };
        if (*decision != Decision::Refuse) != passed {
            return Err(format!("recorded as {decision:?}"));
        }
        if *number != plan.dial.canonical && (passed || !number.is_empty()) {
            return Err(format!("recorded as a call to {number}"));
        }
        if passed && self.turn_records.setups == 0 {
            return Err("sent before its set-up was recorded".into());
        }
        if passed && money && self.turn_records.leases.is_empty() {
            return Err("sent before its lease was recorded".into());
        }
        Ok(())
    }

    /// An INVITE leaves in place of another: the caller's Call-ID that its verdict names, and
    /// the number.
    /// With `money`, its lease is recorded, too.
    pub(super) fn attempt_written(
        &self,
        call_id: &[u8],
        money: bool,
    ) -> Result<(&[u8], &str), String> {
        let mut let_in = self.turn_records.let_in.iter();
        let Some((_, of, number)) = let_in.find(|it| it.0 == call_id) else {
            return Err("an INVITE that no INVITE asked for, and no verdict".into());
        };
        if self.turn_records.setups == 0 {
            return Err("sent on before its set-up was recorded".into());
        }
        if money && self.turn_records.leases.is_empty() {
            return Err("sent on before its lease was recorded".into());
        }
        Ok((of, number))
    }

    /// The caller's 200 leaves: the answer is recorded.
    pub(super) fn answer_written(&self) -> Result<(), String> {
        match self.turn_records.answers {
            0 => Err("an answer that was not recorded".into()),
            _ => Ok(()),
        }
    }

    /// Every call that was let in has its end, once.
    pub(super) fn all_written(&mut self, turn: &Turn<'_>) {
        let Written {
            let_in,
            setups,
            answers,
            ends,
        } = self.written;
        if let_in != ends || setups < let_in || answers > let_in {
            let what = format!(
                "{let_in} calls let in, {setups} set-ups, {answers} answers, {ends} ends recorded"
            );
            self.fail(turn.now, what);
        }
    }
}
