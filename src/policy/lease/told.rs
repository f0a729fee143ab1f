//! What the journal is told of a call's cost, and what a later life makes of that.

use std::time::Duration;

use super::{Answer, Course, seconds, whole};
use crate::base::limits::LATE_ANSWER_S;
use crate::base::tally::{self, Billing};
use crate::base::time::{Mono, Now};

impl Course {
    /// Writes down what is known.
    pub fn tell(&self, to: &mut Billing) {
        to.invited = self.invited;
        to.answer_by = self.answer_by;
        to.attempts = self.attempts;
        to.interval_s = whole(self.interval);
        to.unheard = self.unheard;
        to.open = self.open;
        let answers = self.answers.iter();
        to.answers.clear();
        to.answers.extend(answers.map(|it| tally::Answer {
            dialog: it.dialog,
            from: it.from,
            end: it.end,
            interval_s: whole(it.interval),
            parted: it.parted,
        }));
    }

    /// A call of which so much is known that a life begins with `now`, and whether it is
    /// inbound. What may have happened in between, with nobody there to see, counts as if
    /// it did: if one may have been `missed`, another answer came, and was repeated until its
    /// carrier gave up. A call that has outlived its lease was hung up by its carrier as
    /// reserved, if that keeps a session timer. Tollgate's own answers are on record.
    #[must_use]
    pub fn resumed(told: &Billing, now: Now, (inbound, missed): (bool, bool)) -> Self {
        let answers = told.answers.iter().map(|it| Answer {
            dialog: it.dialog,
            from: it.from,
            end: it.end,
            interval: seconds(it.interval_s),
            // Who keeps no session timer waits for a BYE that arrives.
            parted: it.parted.filter(|_| it.interval_s > 0),
        });
        let mut course = Self {
            invited: told.invited,
            answer_by: told.answer_by,
            attempts: told.attempts,
            interval: seconds(told.interval_s),
            answers: answers.collect(),
            unheard: told.unheard,
            open: told.open,
            inbound,
        };
        let asked = course.unheard.is_some() || !course.answers.is_empty();
        if missed && asked && course.open && !inbound {
            course.unheard = Some(course.last_unheard(now));
        }
        // Nobody hears that these were hung up, if they are not again.
        let answers = course.answers.iter_mut();
        for beside in answers.filter(|it| it.dialog != Self::OWN) {
            beside.end = beside.end.or(Some(beside.gone_by(now.mono)));
        }
        let due = told.due.filter(|due| *due < now.mono);
        if let (Some(due), Some(own)) = (due, course.answer(Self::OWN))
            && own.interval > Duration::ZERO
            && own.end.is_none()
        {
            own.parted = own.parted.or(Some(due));
        }
        course
    }

    /// Until when an answer may have come that nobody was there to see.
    fn last_unheard(&self, now: Now) -> Mono {
        let own = self.answers.iter().find(|it| it.dialog == Self::OWN);
        if own.is_some_and(|own| own.end.is_none()) {
            return now.mono;
        }
        // Of a call that was given up, or is over, no other comes after these.
        let late = seconds(2 * LATE_ANSWER_S);
        let answers = self.answers.iter().map(|it| it.from + late);
        let last = answers.chain(self.unheard.map(|at| at + late)).max();
        now.mono.min(self.answer_by.max(last.unwrap_or_default()))
    }

    /// A dialog of an earlier life gets its BYE again, unless the carrier has hung up by
    /// itself meanwhile. Says whether it does.
    pub fn parts_again(&mut self, dialog: u8, at: Mono) -> bool {
        let answer = self.answer(dialog);
        let there = answer.filter(|it| at < it.gone_by(at));
        there.map(|it| it.end = None).is_some()
    }
}
