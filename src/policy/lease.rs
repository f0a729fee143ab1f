//! What a carrier may bill for a call: reserved before it can, booked when it
//! cannot any more.
//!
//! ```text
//!   INVITE                 200 sent    200 seen           BYE sent    BYE taken
//!     |  rings               |<- late ->|      lease        |<- teardown ->|<- interval ->|
//!     +----------------------+----------+-------------------+--------------+--------------+
//!                            |<------------------- billed, at the most ------------------>|
//! ```
//!
//! When a call has asked for a lease and got it, everything up to the end of that
//! picture is reserved: a BYE at the lease's end may get lost until the carrier's
//! own session timer runs out, and the call is paid for all the same. Nothing here
//! reads a clock or a counter; the [`Course`] of a call is what is known of it.

mod told;

use std::time::Duration;

use smallvec::SmallVec;

use super::counters::{Dates, Sum, Zone};
use super::money::{Amount, Money};
use super::tariff::Price;
use crate::base::limits::{ANSWERS_BESIDE, CLOCK_SKEW_S, LATE_ANSWER_S, TEARDOWN_S};
use crate::base::time::{Mono, Now, Wall};

/// One answer to a call's INVITE, which makes a dialog that a carrier may bill.
#[derive(Clone, Copy, Debug)]
struct Answer {
    /// Whose: see [`Course::answered`].
    dialog: u8,
    /// The earliest time at which it may have been given.
    from: Mono,
    /// The latest time until which it may be billed, once that is known.
    end: Option<Mono>,
    /// How long the carrier's session timer lets it go on unrefreshed; zero if it
    /// keeps none.
    interval: Duration,
    /// When it got its first BYE.
    parted: Option<Mono>,
}

impl Answer {
    /// Until when it may be billed at the latest if it is hung up then, or was
    /// before.
    fn gone_by(&self, hung_up: Mono) -> Mono {
        self.parted.unwrap_or(hung_up) + seconds(TEARDOWN_S) + self.interval
    }
}

/// What is known of a call as far as its cost goes.
#[derive(Clone, Debug)]
pub struct Course {
    invited: Mono,
    /// Until when it may be answered: the longest ring, and what a CANCEL and a
    /// late 200 may take.
    answer_by: Mono,
    /// INVITEs that went to the carrier.
    attempts: u32,
    /// The session interval that the carrier was asked for.
    interval: Duration,
    answers: SmallVec<[Answer; 1]>,
    /// When its INVITE was given up that nobody had answered or refused.
    unheard: Option<Mono>,
    /// Answers may still come.
    open: bool,
    /// It comes from a carrier: the one answer there is, is Tollgate's own.
    inbound: bool,
}

impl Course {
    /// The dialog of the call itself: others are numbered from 1.
    pub const OWN: u8 = 0;

    /// A call whose INVITE leaves now, that may ring for `ring` and whose carrier
    /// is asked for this session interval.
    #[must_use]
    pub fn new(now: Now, ring: Duration, interval: Duration) -> Self {
        let twice = seconds(2 * LATE_ANSWER_S);
        Self {
            invited: now.mono,
            answer_by: now.mono + ring + twice,
            attempts: 1,
            interval,
            answers: SmallVec::new(),
            unheard: None,
            open: true,
            inbound: false,
        }
    }

    /// The same for an INVITE from a carrier, whose answer says this session interval.
    pub fn inbound(now: Now, ring: Duration, interval: Duration) -> Self {
        Self {
            inbound: true,
            ..Self::new(now, ring, interval)
        }
    }

    /// Whether the answer to the call and the time of now say all that is known.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let beside = |it: &Answer| it.dialog != Self::OWN || it.end.is_some();
        !self.answers.iter().any(beside)
    }

    /// The numbers of dialogs that others made who answered, too.
    pub fn beside(&self) -> impl Iterator<Item = u8> {
        let numbers = self.answers.iter().map(|answer| answer.dialog);
        numbers.filter(|number| *number != Self::OWN)
    }

    /// Another INVITE of the call leaves, which asks for this interval.
    pub fn invited_again(&mut self, interval: Duration) {
        self.attempts = self.attempts.saturating_add(1);
        self.interval = interval;
    }

    /// A 200 was seen that makes this dialog, in which the carrier agreed to this
    /// session interval; none if it keeps no session timer. One to a carrier leaves now.
    pub fn answered(&mut self, dialog: u8, now: Now, interval: Option<Duration>) {
        let late = if self.inbound { 0 } else { LATE_ANSWER_S };
        self.answered_before(dialog, now, seconds(late), interval);
    }

    /// A BYE came in a dialog whose 200 was not seen: that may have been repeated
    /// for as long as one is, and the BYE after it.
    pub fn overtaken(&mut self, dialog: u8, now: Now) {
        let late = seconds(LATE_ANSWER_S + TEARDOWN_S);
        self.answered_before(dialog, now, late, None);
    }

    fn answered_before(
        &mut self,
        dialog: u8,
        now: Now,
        late: Duration,
        interval: Option<Duration>,
    ) {
        if self.answers.iter().any(|answer| answer.dialog == dialog) {
            return;
        }
        self.unheard = None;
        let since = now.mono.saturating_since(self.invited);
        let late = late.min(since);
        self.answers.push(Answer {
            dialog,
            from: self.invited + (since - late),
            end: None,
            interval: interval.unwrap_or_default(),
            parted: None,
        });
    }

    /// The INVITE is given up, without a final response. It may have been answered
    /// all the same: then the carrier waits for an ACK, for as long as a 200 is
    /// repeated, and bills that.
    pub fn unheard(&mut self, at: Mono) {
        if self.answers.is_empty() {
            self.unheard = Some(at);
        }
    }

    /// A dialog gets a BYE. Says whether it is the first.
    pub fn parts(&mut self, dialog: u8, at: Mono) -> bool {
        let answer = self.answer(dialog).filter(|it| it.parted.is_none());
        let first = answer.map(|it| it.parted = Some(at));
        first.is_some()
    }

    /// Until when a dialog that got a BYE may be billed if that was lost: it is
    /// not repeated any more then, and the carrier's session timer has run out, if
    /// there is one. None if the dialog is over.
    #[must_use]
    pub fn gone_by(&self, dialog: u8) -> Option<Mono> {
        let mut answers = self.answers.iter();
        let answer = answers.find(|it| it.dialog == dialog && it.end.is_none())?;
        let parted = answer.parted?;
        Some(answer.gone_by(parted))
    }

    fn answer(&mut self, dialog: u8) -> Option<&mut Answer> {
        self.answers.iter_mut().find(|it| it.dialog == dialog)
    }

    /// The carrier agreed to another session interval in the call's own dialog.
    /// A longer one is kept: which of two the carrier goes by may not be known. A
    /// carrier that calls and knew of none in its INVITE keeps none: only Tollgate does.
    pub fn agreed(&mut self, interval: Duration) {
        let silent = self.inbound && self.interval() == Duration::ZERO;
        if let Some(own) = self.answer(Self::OWN).filter(|_| !silent) {
            own.interval = own.interval.max(interval);
        }
    }

    /// The session interval that what is reserved now must cover.
    #[must_use]
    pub fn interval(&self) -> Duration {
        let own = self.answers.iter().find(|it| it.dialog == Self::OWN);
        own.map_or(self.interval, |own| own.interval)
    }

    /// A dialog is over for the carrier, by `at` at the latest.
    pub fn ended(&mut self, dialog: u8, at: Mono) {
        if let Some(answer) = self.answer(dialog) {
            answer.end = answer.end.or(Some(at));
        }
    }

    /// No answer can come any more.
    pub fn close(&mut self) {
        self.open = false;
    }

    /// Whether a carrier may yet bill more than is known.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open || self.answers.iter().any(|answer| answer.end.is_none())
    }

    /// Whether it may still be answered for the first time.
    fn rings(&self) -> bool {
        self.open && self.answers.is_empty()
    }

    /// The most that the call can come to cost if it is hung up in `lease`: to be
    /// reserved now.
    pub(super) fn reserve(&self, rate: &Rate<'_>, now: Now, lease: Duration) -> Sum {
        let ends = now.mono + lease;
        let mut bill = Bill::new(rate, now, self.start(rate, self.invited));
        for answer in &self.answers {
            let from = self.start(rate, answer.from);
            let hung_up = match answer.dialog {
                // No BYE goes to who called before his ACK, or so long without one.
                Self::OWN if self.inbound => ends.max(answer.from + seconds(LATE_ANSWER_S)),
                Self::OWN => ends,
                // These are hung up as soon as they are seen.
                _ => now.mono,
            };
            let end = answer.end.unwrap_or_else(|| answer.gone_by(hung_up));
            bill.add(from, end);
        }
        let beside = u32::try_from(self.answers.len()).unwrap_or(u32::MAX);
        let all = if self.inbound { 1 } else { 1 + ANSWERS_BESIDE };
        let mut may_come = all.saturating_sub(beside);
        if self.rings() {
            let late = seconds(LATE_ANSWER_S);
            let talk = late + lease + seconds(TEARDOWN_S) + self.interval;
            let (from, length) = match rate.price.bills_ringing() {
                true => (
                    self.invited,
                    ends.saturating_since(self.invited) + talk - lease,
                ),
                false => (self.answer_by, talk),
            };
            bill.add_at_any_time(self.invited, from + length, length);
            may_come -= 1;
        }
        if self.open {
            let mut length = seconds(LATE_ANSWER_S + TEARDOWN_S) + self.interval;
            let last = now.mono.max(self.answer_by);
            if rate.price.bills_ringing() {
                length += last.saturating_since(self.invited);
            }
            for _ in 0..may_come {
                bill.add_at_any_time(self.invited, last + length, length);
            }
        }
        self.add_unheard(&mut bill, rate);
        bill.add_attempts(self.attempts.saturating_sub(1), now.mono);
        bill.sum()
    }

    /// An answer that nobody saw.
    fn add_unheard(&self, bill: &mut Bill<'_>, rate: &Rate<'_>) {
        let Some(given_up) = self.unheard else { return };
        let late = seconds(LATE_ANSWER_S);
        let length = match rate.price.bills_ringing() {
            true => given_up.saturating_since(self.invited) + late,
            false => late,
        };
        bill.add_at_any_time(self.invited, given_up + late, length);
    }

    /// What the call has cost at the most, if nothing more happens.
    pub(super) fn cost(&self, rate: &Rate<'_>, now: Now) -> Sum {
        let mut bill = Bill::new(rate, now, self.start(rate, self.invited));
        for answer in &self.answers {
            let from = self.start(rate, answer.from);
            bill.add(from, answer.end.unwrap_or(now.mono));
        }
        self.add_unheard(&mut bill, rate);
        let unanswered = match self.answers.is_empty() && self.unheard.is_none() {
            true => self.attempts,
            false => self.attempts.saturating_sub(1),
        };
        bill.add_attempts(unanswered, now.mono);
        bill.sum()
    }

    /// From when on it is billed that was answered at `from`.
    fn start(&self, rate: &Rate<'_>, from: Mono) -> Mono {
        match rate.price.bills_ringing() {
            true => self.invited,
            false => from,
        }
    }
}

/// What calls to a destination cost, and by which calendar.
#[derive(Clone, Copy)]
pub(super) struct Rate<'r> {
    pub price: Price<'r>,
    pub zone: &'r Zone,
    /// The wall clock now, as far as it is believed.
    pub wall: Wall,
}

impl Rate<'_> {
    /// A sum of its currency.
    pub(super) fn amount(&self, sum: &Sum) -> Amount {
        Amount {
            currency: self.price.currency(),
            money: sum.money,
        }
    }
}

/// A sum in the making.
struct Bill<'a> {
    rate: &'a Rate<'a>,
    now: Now,
    invited: Mono,
    money: Money,
    from: Mono,
    until: Mono,
}

impl<'a> Bill<'a> {
    fn new(rate: &'a Rate<'a>, now: Now, invited: Mono) -> Self {
        Self {
            rate,
            now,
            invited,
            money: Money::ZERO,
            from: invited,
            until: now.mono,
        }
    }

    /// A dialog that is billed from and to these times.
    fn add(&mut self, from: Mono, end: Mono) {
        let length = end.saturating_since(from);
        self.add_at_any_time(from, end, length);
    }

    /// A dialog that is billed for so long, somewhere between these times.
    fn add_at_any_time(&mut self, from: Mono, until: Mono, length: Duration) {
        let (price, zone) = (&self.rate.price, self.rate.zone);
        let (early, late) = (self.early(from), self.late(until));
        let cost = price.at_most(zone, early, late, billed(length));
        self.money = self.money.saturating_add(cost);
        self.until = self.until.max(until);
    }

    /// INVITEs that were never answered.
    fn add_attempts(&mut self, attempts: u32, until: Mono) {
        if attempts == 0 {
            return;
        }
        let (price, zone) = (&self.rate.price, self.rate.zone);
        let (early, late) = (self.early(self.invited), self.late(until));
        let length = billed(until.saturating_since(self.invited));
        let cost = price.attempt(zone, early, late, length);
        self.money = self
            .money
            .saturating_add(cost.saturating_mul(attempts.into()));
    }

    fn sum(&self) -> Sum {
        let (early, late) = (self.early(self.from), self.late(self.until));
        let dates: Dates = self.rate.zone.dates(self.rate.wall, early, late);
        Sum {
            money: self.money,
            dates,
        }
    }

    /// The earliest that a carrier's clock may show at a time.
    fn early(&self, at: Mono) -> Wall {
        self.wall(at, -i64::from(CLOCK_SKEW_S))
    }

    /// The latest.
    fn late(&self, at: Mono) -> Wall {
        self.wall(at, i64::from(CLOCK_SKEW_S))
    }

    fn wall(&self, at: Mono, skew: i64) -> Wall {
        let micros = |nanos: u64| i64::try_from(nanos / 1_000).unwrap_or(i64::MAX);
        let now = micros(self.now.mono.as_nanos());
        let wall = self.rate.wall.as_micros();
        let away = micros(at.as_nanos()).saturating_sub(now);
        Wall::from_micros(wall.saturating_add(away).saturating_add(skew * 1_000_000))
    }
}

/// The most seconds that a carrier measures where this much time has passed.
fn billed(length: Duration) -> u32 {
    let whole = u32::try_from(length.as_secs()).unwrap_or(u32::MAX);
    let begun = u32::from(length.subsec_nanos() > 0);
    whole.saturating_add(begun).saturating_add(CLOCK_SKEW_S)
}

fn whole(length: Duration) -> u32 {
    u32::try_from(length.as_secs()).unwrap_or(u32::MAX)
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}
