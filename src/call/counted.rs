//! What the journal is told of a tenant's counters, so that they can be counted
//! again after a restart.

use crate::policy::{Counted, Hold, Kept, Money, Owed, Statement};
use crate::record::fold::Lived;
use crate::record::{CallRef, Record, write_places};

use crate::base::tally::Place;

use super::Outbox;

/// Which scopes the journal knows by their numbers, in this life of the program.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// Of each number, whether it does.
    known: Vec<bool>,
    /// Where places are written.
    places: Vec<u8>,
}

impl Named {
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
        out.journal(&Record::Counted {
            call,
            tenant,
            mono: counted.at,
            wall: counted.wall,
            day_end: counted.day_end,
            resets: counted.resets,
            marks: counted.marks,
            places: &self.places,
        });
    }

    /// Says what a call holds of budgets now, if any covers it.
    pub(super) fn journal_held(&mut self, call: CallRef, hold: &Hold, out: &mut Outbox) {
        if let Some(statement) = hold.statement() {
            self.journal_account(call, hold, &statement, out);
        }
    }

    /// Says what became of a call's account.
    pub(super) fn journal_account(
        &mut self,
        call: CallRef,
        hold: &Hold,
        statement: &Statement,
        out: &mut Outbox,
    ) {
        self.name(hold, &statement.places, out);
        out.journal(&Record::Account {
            call,
            resets: statement.resets,
            booked: statement.booked.millionths(),
            booked_in: statement.booked_in,
            held: statement.held.millionths(),
            held_in: statement.held_in,
            places: &self.places,
        });
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

/// A call that lived in the life before this one, for the rules.
pub(super) fn kept(lived: Lived) -> Kept {
    Kept {
        tenant: lived.tenant,
        marks: lived.marks,
        since: lived.since,
        wall: lived.wall,
        owed: lived.held.map(|held| Owed {
            money: Money::from_millionths(held.money),
            days: held.days,
            places: held.places,
        }),
    }
}

#[cfg(test)]
mod tests;
