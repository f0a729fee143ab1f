//! What the journal is told of a tenant's counters, so that they can be counted
//! again after a restart.

use std::time::Duration;

use crate::base::limits::LATE_ANSWER_S;
use crate::base::tally::{Answer, Billing, Place};
use crate::base::time::{Mono, Now};
use crate::policy::{Counted, Course, Currency, Hold, Kept, Money, Owed, Statement};
use crate::record::fold::{self, Held, Lived};
use crate::record::{Ahead, CallRef, Direction, Record, write_billing, write_places};

use super::account::Account;
use super::{Calls, Outbox};

/// Which scopes the journal knows by their numbers, in this life of the program.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// Of each number, whether it does.
    known: Vec<bool>,
    /// Where places are written.
    places: Vec<u8>,
    /// What is known of a call's cost, and where that is written.
    told: Billing,
    billing: Vec<u8>,
    ahead: Ahead,
}

impl Named {
    /// Records were lost: what they named is named again.
    pub(super) fn forget(&mut self) {
        self.known.clear();
        self.ahead.forget();
    }

    /// Says where a call was counted that was let in.
    pub(super) fn journal_counted(
        &mut self,
        call: CallRef,
        hold: &Hold,
        counted: &Counted,
        out: &mut Outbox,
    ) {
        let tenant = hold.tenant();
        self.name(hold, &counted.places, out);
        let record = Record::Counted {
            call,
            tenant,
            mono: counted.at,
            wall: counted.wall,
            day_end: counted.day_end,
            resets: counted.resets,
            marks: counted.marks,
            places: &self.places,
        };
        draw(&mut self.ahead, &record, &counted.places, out);
        out.journal(&record);
    }

    /// Says what a call holds of budgets now, if any covers it, and what is known of
    /// what it costs. Where none does, only what is not plain is worth that: see
    /// [`unleased`].
    pub(super) fn journal_held(
        &mut self,
        call: CallRef,
        hold: &Hold,
        account: &Account,
        out: &mut Outbox,
    ) {
        let told = !account.course.is_plain();
        let statement = hold.statement();
        if let Some(statement) = statement.or_else(|| told.then(Statement::default)) {
            self.journal_account(call, hold, &statement, Some(account), out);
        }
    }

    /// Says what became of a call's account, and what may yet be billed, if anything.
    pub(super) fn journal_account(
        &mut self,
        call: CallRef,
        hold: &Hold,
        statement: &Statement,
        account: Option<&Account>,
        out: &mut Outbox,
    ) {
        self.name(hold, &statement.places, out);
        self.billing.clear();
        if let Some(account) = account {
            account.tell(&mut self.told);
            write_billing(&self.told, &mut self.billing);
        }
        let record = Record::Account {
            call,
            resets: statement.resets,
            booked: statement.booked.millionths(),
            booked_in: statement.booked_in,
            held: statement.held.millionths(),
            held_in: statement.held_in,
            places: &self.places,
            billing: &self.billing,
        };
        draw(&mut self.ahead, &record, &statement.places, out);
        out.journal(&record);
    }

    /// Names what the journal does not know yet, and writes the places down.
    fn name(&mut self, hold: &Hold, places: &[Place], out: &mut Outbox) {
        for place in places {
            let number = place.scope as usize;
            if self.known.get(number) == Some(&true) {
                continue;
            }
            let Some(scope) = hold.scope(place.scope) else {
                continue;
            };
            if self.known.len() <= number {
                self.known.resize(number + 1, false);
            }
            if let Some(known) = self.known.get_mut(number) {
                *known = true;
            }
            let (hours, outside) = match &scope.when {
                Some((hours, outside)) => (&**hours, *outside),
                None => ("", false),
            };
            out.journal(&Record::Scope {
                number: place.scope,
                tenant: hold.tenant(),
                inbound: scope.inbound,
                each: scope.each,
                to: scope.to,
                hours,
                outside,
            });
        }
        self.places.clear();
        write_places(places, &mut self.places);
    }
}

/// Draws what these counters need ahead of a record.
fn draw(ahead: &mut Ahead, record: &Record<'_>, places: &[Place], out: &mut Outbox) {
    out.drawn |= ahead.draw(record, places, |drawn| out.journal(drawn));
}

/// What it holds of budgets, if any covers it.
fn covered(lived: &Lived) -> Option<&Held> {
    lived.held.as_ref().filter(|held| held.money > 0)
}

/// A call that lived in the life before this one, for the rules.
pub(super) fn kept(lived: &Lived) -> Kept {
    Kept {
        tenant: lived.tenant.clone(),
        marks: lived.marks,
        since: lived.since,
        wall: lived.wall,
        owed: covered(lived).map(|held| Owed {
            money: Money::from_millionths(held.money),
            days: held.days,
            places: held.places.clone(),
        }),
    }
}

/// When a call of an earlier life must ask for another lease.
pub(super) fn due(call: &fold::Call) -> Option<Mono> {
    let held = call.counted.as_ref()?.held.as_ref()?;
    held.billing.as_ref()?.due
}

impl Calls {
    /// What a call of an earlier life holds in the counters, whatever the caps say,
    /// and its account if it can cost anything. One that is over has no places there.
    pub(super) fn taken_over(
        &self,
        now: Now,
        call: &fold::Call,
    ) -> (Option<Hold>, Option<Box<Account>>) {
        let Some(lived) = &call.counted else {
            return (None, None);
        };
        let hold = self.tools.rules.readmit(&kept(lived), now);
        if let (Some(hold), Some(_)) = (&hold, &call.end) {
            hold.leave(now, None);
        }
        let lease = call.lease.as_ref();
        let currency = lease.and_then(|lease| Currency::parse(&lease.currency));
        let currency = currency.unwrap_or(Currency::NONE);
        let inbound = call.direction == Direction::Inbound;
        let held = lived.held.as_ref();
        let account = match held.and_then(|held| held.billing.as_ref()) {
            Some(billing) => Account::resumed(billing, currency, now, (inbound, lived.missed)),
            None => {
                let billing = unleased(call, lived);
                Account::resumed(&billing, currency, now, (inbound, lived.missed))
            }
        };
        (hold, Some(account))
    }
}

/// What is known of the cost of a call that no budget covered.
fn unleased(call: &fold::Call, lived: &Lived) -> Billing {
    let inbound = call.direction == Direction::Inbound;
    let legs = call.legs.as_ref();
    // What a phone system answers too late, its caller never hears.
    let legs = legs.filter(|legs| !inbound || !legs.is_late());
    let late = if inbound { 0 } else { LATE_ANSWER_S };
    let late = Duration::from_secs(late.into());
    let answer = legs.and_then(|legs| Some((legs, legs.answer.as_ref()?)));
    let answer = answer.map(|(legs, answer)| Answer {
        dialog: Course::OWN,
        // As early as it may have been given: see `Course::answered`.
        from: lived.since + answer.at.saturating_since(call.began).saturating_sub(late),
        // A carrier that called may keep no session timer, and then waits for a BYE: that
        // is repeated for longer where one is believed in.
        interval_s: match inbound {
            false => legs.callee.session.seconds,
            true => legs.caller.session.seconds,
        },
        ..Answer::default()
    });
    Billing {
        invited: lived.since,
        answer_by: lived.since,
        // Our first INVITE has CSeq 1, and each further one counts on.
        attempts: legs.filter(|_| !inbound).map_or(1, |legs| legs.cseq.max(1)),
        // How long after its answer that life ended is not known.
        open: true,
        answers: answer.into_iter().collect(),
        ..Billing::default()
    }
}

#[cfg(test)]
mod tests;
