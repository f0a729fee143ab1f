//! What a carrier writes on its bill.

use super::{Answer, Bill, Call, Habits};
use crate::link::{Nanos, SEC};
use crate::peer::T64;

impl Bill {
    /// What a carrier's own clock shows, in whole seconds.
    fn stamps(&self, habits: Habits, from: Nanos, end: Nanos) -> (i64, i64) {
        let shows = |at: Nanos| self.wall + at as i64 + habits.ahead;
        let second = SEC as i64;
        (
            shows(from).div_euclid(second),
            (shows(end) + second - 1).div_euclid(second),
        )
    }

    /// What the carrier writes for a call: sums, each with its day.
    pub(super) fn lines(&self, call: &Call, now: Nanos) -> Vec<(i64, u64)> {
        let habits = self.habits[usize::from(call.carrier)];
        let price = Self::price(&self.prices, call);
        let mut lines = Vec::new();
        // An answer that nobody ever heard of is a call only if there is no other.
        let only = call.answers.iter().all(|answer| !answer.acked);
        // Who keeps no session timer, and is forgotten, bills for ever: nobody can bound that.
        let bounded = |answer: &Answer| !self.forgetful || answer.expires.is_some();
        let heard =
            |(at, answer): &(usize, &Answer)| (answer.acked || only && *at == 0) && bounded(answer);
        let answers = call.answers.iter().enumerate().filter(heard);
        for (_, answer) in answers {
            let from = if price.from_invite {
                answer.invited
            } else {
                answer.from
            };
            let mut end = answer.end().unwrap_or(now);
            if !answer.acked {
                // The core could not even take its INVITE back: no ringing after that.
                end = end.min(call.sent + T64);
            }
            let end = end.max(from);
            let (start, stop) = self.stamps(habits, from, end);
            let sum = price.charge(start, (stop - start).unsigned_abs(), habits.by_pulse);
            let day = if habits.by_end { stop } else { start }.div_euclid(86_400);
            lines.push((day, sum));
        }
        let answered = usize::from(!call.answers.is_empty());
        let missed = call.attempts.len().saturating_sub(answered);
        for attempt in call.attempts.iter().take(missed) {
            // One that never says anything final stops where the core does.
            let end = attempt.end.unwrap_or(now).min(call.sent).max(attempt.at);
            let (start, stop) = self.stamps(habits, attempt.at, end);
            let sum = price.attempt(start, (stop - start).unsigned_abs(), habits.by_pulse);
            let day = if habits.by_end { stop } else { start }.div_euclid(86_400);
            lines.push((day, sum));
        }
        lines
    }
}
