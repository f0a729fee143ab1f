//! What a call may cost: its lease is taken before its INVITE leaves, asked for
//! again while it lives, and booked when no carrier can bill it any more.

use std::time::Duration;

use crate::base::tally::Billing;
use crate::base::time::{Mono, Now};
use crate::base::wheel::TimerId;
use crate::policy::{Amount, Course, Currency, Lease, Money, Renewal};
use crate::record::{CallRef, Record, Side};
use crate::sip::message::Message;

use super::call::{Alarm, Call};
use super::refresh::{self, Offer};
use super::table::Tools;
use super::{Calls, Outbox, Turn};

/// A call's account with the budgets of its tenant.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) course: Course,
    /// What it got at its INVITE, until that is answered.
    granted: Option<Lease>,
    /// Runs until it must ask again, and when that is; none where no budget
    /// covers it.
    due: Option<(TimerId, Mono)>,
    /// The session interval that what it holds was reserved for.
    covers: Duration,
    /// What was booked of it so far.
    booked: Money,
    /// Its currency, as far as that is known.
    currency: Currency,
    /// That is all it has cost, if no other answer comes.
    settled: bool,
}

impl Account {
    pub(super) fn new(now: Now, ring: Duration, granted: Option<Lease>) -> Box<Self> {
        Self::begun(Course::new(now, ring, interval_with(granted)), granted)
    }

    /// The same of a call that comes from a carrier.
    pub(super) fn inbound(now: Now, ring: Duration, granted: Option<Lease>) -> Box<Self> {
        Self::begun(Course::inbound(now, ring, interval_with(granted)), granted)
    }

    fn begun(course: Course, granted: Option<Lease>) -> Box<Self> {
        let currency = granted.map_or(Currency::NONE, |lease| lease.reserved.currency);
        Box::new(Self {
            covers: course.interval(),
            course,
            granted,
            due: None,
            booked: Money::ZERO,
            currency,
            settled: false,
        })
    }

    /// An account of an earlier life, as far as the journal knows it. Its lease runs
    /// again once [`Turn::run_lease`] says so.
    pub(super) fn resumed(
        told: &Billing,
        currency: Currency,
        now: Now,
        (inbound, missed): (bool, bool),
    ) -> Box<Self> {
        let course = Course::resumed(told, now, (inbound, missed));
        let answered = told.answers.iter().any(|it| it.dialog == Course::OWN);
        let granted = (told.lasts_s > 0 && !answered).then(|| Lease {
            lasts: Duration::from_secs(told.lasts_s.into()),
            interval: Duration::from_secs(told.interval_s.into()),
            from_invite: told.from_invite,
            reserved: Amount {
                currency,
                money: Money::ZERO,
            },
            minute: Money::ZERO,
        });
        Box::new(Self {
            covers: course.interval(),
            course,
            granted,
            due: None,
            booked: Money::from_millionths(told.booked),
            currency,
            settled: false,
        })
    }

    /// Writes down what is known of what the call costs.
    pub(super) fn tell(&self, to: &mut Billing) {
        let lasts = self.granted.map_or(0, |lease| lease.lasts.as_secs());
        to.lasts_s = u32::try_from(lasts).unwrap_or(u32::MAX);
        to.from_invite = self.granted.is_some_and(|lease| lease.from_invite);
        to.due = self.due.map(|(_, at)| at);
        to.booked = self.booked.millionths();
        self.course.tell(to);
    }

    /// The timer it has set.
    pub(super) fn timer(&self) -> Option<TimerId> {
        self.due.map(|(timer, _)| timer)
    }
}

/// The session interval to begin with.
fn interval_with(granted: Option<Lease>) -> Duration {
    let interval = Duration::from_secs(refresh::wanted(true).into());
    granted.map_or(interval, |lease| lease.interval)
}

impl Call {
    /// The session interval that the callee is asked for, in seconds.
    pub(super) fn wanted_interval(&self) -> u32 {
        let carrier = self.carrier_side() == Side::Callee;
        let leased = self.leased_interval().filter(|_| carrier);
        leased.unwrap_or_else(|| refresh::wanted(carrier))
    }

    /// The longest session interval that the carrier gets who asks for one, in seconds:
    /// of a call from it, no more than is reserved.
    pub(super) fn longest_interval(&self) -> u32 {
        let wanted = refresh::wanted(true);
        let inbound = self.carrier_side() == Side::Caller;
        let leased = self.leased_interval().filter(|it| inbound && *it > 0);
        leased.map_or(wanted, |leased| leased.min(wanted))
    }

    fn leased_interval(&self) -> Option<u32> {
        let account = self.account.as_ref()?;
        u32::try_from(account.course.interval().as_secs()).ok()
    }

    /// What the carrier's leg of a call is known by in its account.
    pub(super) fn course(&mut self) -> Option<&mut Course> {
        self.account.as_mut().map(|account| &mut account.course)
    }
}

/// The session interval that a 2xx agrees to.
pub(super) fn interval_of(message: &Message) -> Option<Duration> {
    let (seconds, _) = refresh::agreed(message)?;
    Some(Duration::from_secs(seconds.into()))
}

/// Notes what a call holds of budgets, before its INVITE leaves.
pub(super) fn journal_lease(call: CallRef, now: Now, lease: &Lease, out: &mut Outbox) {
    write(call, now, lease, (0, 0), out);
}

fn write(call: CallRef, now: Now, lease: &Lease, (value, threshold): (u64, u64), out: &mut Outbox) {
    out.journal(&Record::Lease {
        call,
        wall: now.wall,
        lasts_s: u32::try_from(lease.lasts.as_secs()).unwrap_or(u32::MAX),
        reserved: lease.reserved.money.millionths(),
        currency: lease.reserved.currency.as_str(),
        minute: lease.minute.millionths(),
        value,
        threshold,
    });
}

impl Tools {
    /// Says that a call holds nothing any more, before it gives that back.
    pub(super) fn journal_release(&mut self, call: &Call, out: &mut Outbox) {
        let Some(hold) = &call.hold else { return };
        if let Some(statement) = hold.statement() {
            let closed = statement.closed();
            self.named
                .journal_account(call.reference, hold, &closed, None, out);
        }
    }
}

/// Calls that hold nothing yet ask new rules within this time, one after the other.
const SPREAD: u64 = 1_000;

impl Calls {
    /// New rules may have budgets for calls that hold nothing of any. The others
    /// ask when their leases end.
    pub(super) fn ask_new_rules(&mut self, now: Now) {
        let keys = self.calls.iter().filter_map(|(key, call)| {
            let account = call.account.as_ref()?;
            (account.due.is_none() && call.ending.is_none()).then_some(key)
        });
        let keys: Vec<_> = keys.collect();
        for (turn, key) in (0..).zip(keys) {
            let wait = Duration::from_millis(turn % SPREAD);
            let timer = self.tools.schedule(key, Alarm::Lease, now.mono, wait);
            if let Some(account) = self.calls.get_mut(key).and_then(|it| it.account.as_mut()) {
                account.due = Some((timer, now.mono + wait));
            }
        }
    }
}

impl Turn<'_> {
    /// The INVITE leaves: where ringing is billed, the lease runs from now on.
    pub(super) fn start_lease(&mut self) {
        let account = self.call.account.as_ref();
        let granted = account.and_then(|account| account.granted);
        if let Some(lease) = granted.filter(|lease| lease.from_invite) {
            self.run_lease(lease.lasts);
        }
    }

    /// The session timer that the carrier keeps of a call that `answer` makes, if it
    /// keeps one: who calls has what it is told, if its INVITE knew of such.
    pub(super) fn carrier_keeps(&self, answer: &Message, offer: Option<Offer>) -> Option<Duration> {
        match self.call.carrier_side() {
            Side::Callee => interval_of(answer),
            Side::Caller => {
                let known = offer.filter(|offer| offer.is_supported());
                known.and(self.call.caller.session.map(|session| session.interval))
            }
        }
    }

    /// The callee made this dialog beside the call, which is billed if it is the carrier.
    pub(super) fn stray_billed(&mut self, dialog: u8, interval: Option<Duration>) {
        if self.call.carrier_side() == Side::Callee {
            self.answer_billed(dialog, interval);
        }
    }

    /// A carrier's 200 makes this dialog, or the one that it gets.
    pub(super) fn answer_billed(&mut self, dialog: u8, interval: Option<Duration>) {
        let now = self.now;
        let Some(account) = &mut self.call.account else {
            return;
        };
        account.course.answered(dialog, now, interval);
        account.settled = false;
        let granted = match dialog {
            Course::OWN => account.granted.take(),
            _ => None,
        };
        if let Some(lease) = granted.filter(|it| !it.from_invite) {
            self.run_lease(lease.lasts);
        }
        self.journal_held();
    }

    /// A BYE of the callee's overtook the 200 that made this dialog, which is billed if
    /// it is the carrier.
    pub(super) fn overtaken_billed(&mut self, dialog: u8) {
        let now = self.now;
        let carrier = self.call.carrier_side() == Side::Callee;
        if let Some(account) = self.call.account.as_mut().filter(|_| carrier) {
            account.course.overtaken(dialog, now);
            account.settled = false;
            self.journal_held();
        }
    }

    /// Notes what the call holds of budgets, and what is known of what it costs.
    pub(super) fn journal_held(&mut self) {
        if let (Some(hold), Some(account)) = (&self.call.hold, &self.call.account) {
            let (call, named) = (self.call.reference, &mut self.tools.named);
            named.journal_held(call, hold, account, self.out);
        }
    }

    pub(super) fn run_lease(&mut self, lasts: Duration) {
        let now = self.now.mono;
        let timer = self.tools.schedule(self.key, Alarm::Lease, now, lasts);
        if let Some(account) = &mut self.call.account
            && let Some((before, _)) = account.due.replace((timer, now + lasts))
        {
            self.tools.wheel.cancel(before);
        }
    }

    /// Whether its time is over: then nothing may be done that has the carrier go
    /// on, before it got more.
    pub(super) fn is_lease_over(&self) -> bool {
        let due = self.call.account.as_ref().and_then(|account| account.due);
        due.is_some_and(|(_, at)| at <= self.now.mono)
    }

    /// The carrier agreed to another session interval.
    pub(super) fn interval_agreed(&mut self, interval: Duration) {
        if let Some(course) = self.call.course() {
            course.agreed(interval);
        }
    }

    /// After each step: what is reserved must cover the session interval that the
    /// carrier has agreed to. Not before, since a call that cannot pay for it is
    /// hung up, and the peers must know by then how far it has come.
    pub(super) fn cover_interval(&mut self) {
        let account = self.call.account.as_ref();
        let leased = account.filter(|account| account.due.is_some());
        if leased.is_some_and(|it| it.course.interval() > it.covers) {
            self.renew_lease();
        }
    }

    /// The lease is over: the call gets another one, or ends.
    pub(super) fn lease_over(&mut self) {
        if let Some(account) = &mut self.call.account {
            account.due = None;
        }
        self.renew_lease();
    }

    fn renew_lease(&mut self) {
        if self.call.ending.is_some() {
            return;
        }
        self.note_closed();
        let Some(hold) = &self.call.hold else { return };
        let Some(account) = &mut self.call.account else {
            return;
        };
        if let Some((due, _)) = account.due.take() {
            self.tools.wheel.cancel(due);
        }
        account.covers = account.course.interval();
        match self.tools.rules.renew(hold, &account.course, self.now) {
            Renewal::Free => {}
            Renewal::Granted(lease) => self.hold_lease(lease, (0, 0)),
            Renewal::Over(lease, over) => self.hold_lease(lease, (over.value, over.threshold)),
            Renewal::Refused(refused) => self.hang_up(refused.reason.code()),
        }
    }

    /// The call has this lease in place of the one before, and that is recorded, with
    /// what there would be of a budget that it overshoots. One that still rings has it
    /// from its answer on, where ringing is not billed.
    fn hold_lease(&mut self, lease: Lease, overshot: (u64, u64)) {
        write(self.call.reference, self.now, &lease, overshot, self.out);
        let Some(account) = &mut self.call.account else {
            return;
        };
        account.currency = lease.reserved.currency;
        let rings = account.granted.is_some();
        if rings {
            account.granted = Some(lease);
        }
        if !rings || lease.from_invite {
            self.run_lease(lease.lasts);
        }
        self.journal_held();
    }

    /// Whether the INVITE may be sent once more, asking for this interval: what
    /// is reserved must cover that, too, if it is the carrier who is asked.
    pub(super) fn afford_interval(&mut self, interval: Duration) -> bool {
        let carrier = self.call.carrier_side() == Side::Callee;
        let Some(account) = self.call.account.as_mut().filter(|_| carrier) else {
            return true;
        };
        account.course.invited_again(interval);
        let (Some(hold), Some(_)) = (&self.call.hold, &account.granted) else {
            return true;
        };
        match self.tools.rules.renew(hold, &account.course, self.now) {
            Renewal::Free => true,
            Renewal::Granted(lease) | Renewal::Over(lease, _) => {
                account.covers = interval;
                self.hold_lease(lease, (0, 0));
                true
            }
            Renewal::Refused(_) => false,
        }
    }

    /// Notes that no further answer can come, if so: the carrier's, or the one that a
    /// carrier gets.
    fn note_closed(&mut self) {
        let mut exchanges = self.call.exchanges.iter();
        let open = match self.call.carrier_side() {
            Side::Callee => {
                let awaited = exchanges.any(|it| it.opening && it.client.is_some());
                awaited || self.call.linger.is_some()
            }
            Side::Caller => self.call.caller.progress.pending,
        };
        if let (false, Some(course)) = (open, self.call.course()) {
            course.close();
        }
    }

    /// Books what the call has cost so far, and returns it. A call that nothing
    /// more can be billed of gives back all it holds: the one place.
    pub(super) fn book(&mut self) -> Option<Amount> {
        self.note_closed();
        let Some((hold, account)) = self.call.hold.as_ref().zip(self.call.account.as_mut()) else {
            self.call.release(self.now);
            return None;
        };
        let rules = &self.tools.rules;
        let settled = rules.settle(hold, &account.course, account.booked, self.now);
        let (cost, holds) = (settled.cost, settled.holds);
        let cost = cost.map(|cost| match cost.currency {
            Currency::NONE => Amount {
                currency: account.currency,
                ..cost
            },
            _ => cost,
        });
        account.booked = cost.map_or(account.booked, |cost| cost.money);
        account.settled = !account.course.is_open();
        if let Some(statement) = &settled.statement {
            let (call, named) = (self.call.reference, &mut self.tools.named);
            // What may yet be billed outlives a restart.
            let owed = holds.then_some(&**account);
            named.journal_account(call, hold, statement, owed, self.out);
        }
        if !holds {
            self.call.release(self.now);
        }
        cost
    }

    /// The call is over: books what came after its end, and gives the rest back.
    pub(super) fn close_account(&mut self) {
        let account = self.call.account.as_ref();
        let Some(before) = account.filter(|it| !it.settled).map(|it| it.booked) else {
            self.tools.journal_release(self.call, self.out);
            self.call.release(self.now);
            return;
        };
        let hold = self.call.hold.as_ref();
        let tenant = hold.map_or_else(String::new, |hold| hold.tenant().to_owned());
        if let Some(cost) = self.book().filter(|cost| cost.money != before) {
            let record = Record::Booked {
                call: self.call.reference,
                wall: self.now.wall,
                tenant: &tenant,
                cost: cost.money.millionths(),
                currency: cost.currency.as_str(),
            };
            self.out.journal(&record);
        }
        self.tools.journal_release(self.call, self.out);
        self.call.release(self.now);
    }

    /// A BYE of ours on the carrier's leg got no answer. It is sent again until
    /// the carrier has hung up by itself. Says whether that is to be awaited.
    pub(super) fn awaits_carrier(&mut self, side: Side, dialog: u8) -> bool {
        let now = self.now.mono;
        let carrier = side == self.call.carrier_side();
        let Some(course) = self.call.course().filter(|_| carrier) else {
            return false;
        };
        course.gone_by(dialog).is_some_and(|gone| now < gone)
    }

    /// A dialog with the carrier is over.
    pub(super) fn dialog_over(&mut self, side: Side, dialog: u8) {
        let now = self.now.mono;
        self.dialog_ends(side, dialog, |gone| gone.map_or(now, |gone| now.min(gone)));
    }

    /// The INVITE to the callee got no final response.
    pub(super) fn never_answered(&mut self) {
        let now = self.now.mono;
        let carrier = self.call.carrier_side() == Side::Callee;
        if let Some(course) = self.call.course().filter(|_| carrier) {
            course.unheard(now);
        }
    }

    /// Nobody knows when a dialog with the carrier is over: when its session timer
    /// has run out, if it keeps one.
    pub(super) fn dialog_lost(&mut self, side: Side, dialog: u8) {
        let now = self.now.mono;
        self.dialog_ends(side, dialog, |gone| gone.unwrap_or(now));
    }

    fn dialog_ends(&mut self, side: Side, dialog: u8, at: impl FnOnce(Option<Mono>) -> Mono) {
        let carrier = side == self.call.carrier_side();
        if side == Side::Callee {
            self.journal_beside(dialog, None);
        }
        if let Some(course) = self.call.course().filter(|_| carrier) {
            let end = at(course.gone_by(dialog));
            course.ended(dialog, end);
            // What ends together with its leg is told then.
            let crossed = self.call.leg(side).progress.byes > 0;
            if dialog != Course::OWN || crossed {
                self.journal_held();
            }
        }
    }
}
