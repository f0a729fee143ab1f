//! What was counted and spent, as the records of one series say.

mod counter;
mod lost;
mod open;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Call;
use crate::base::limits::{CLOSING_CALLS, CLOSING_S};
use crate::base::tally::{Place, Scope, Tallies, Which};
use crate::base::time::{Mono, Now, Wall};
use crate::record::{CallRef, Record, encode, read_billing, read_places};
use counter::Counter;
use open::{Open, Over};

pub use open::{Held, Lived};

/// One series' part of every counter; the parts of all series add up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// What numbers stand for in the life that writes now.
    named: BTreeMap<u32, (Box<str>, Scope)>,
    books: BTreeMap<Box<str>, Book>,
    /// Calls of the life that writes now, until they are over and hold nothing.
    open: BTreeMap<CallRef, Open>,
    /// Those that are over and hold nothing, but may yet be answered once more.
    over: VecDeque<Over>,
    /// Those of lives before it, for as long as it has not taken them over.
    earlier: BTreeMap<CallRef, Open>,
    /// The host's boot in which records are written now, and how many came before.
    boot: Box<str>,
    boots: u32,
    /// Which series this is.
    series: u16,
    /// The life that writes has ended in order.
    stopped: bool,
    /// The last time told.
    latest: Time,
    /// When the wall clock was last believed, and by which boot's monotonic one.
    agreed: Option<Time>,
    /// How many counters there are, and were when they were last searched for what no
    /// longer matters.
    count: usize,
    searched: usize,
}

/// When something happened, by both clocks of a boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Time {
    pub(super) boot: u32,
    pub(super) mono: Mono,
    #[serde(with = "encode::wall")]
    pub(super) wall: Wall,
}

/// One tenant's counters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Book {
    resets: u64,
    counters: BTreeMap<(Scope, Which), Counter>,
    /// What was drawn when the power failed, since the last reset that this series tells
    /// of: whichever of it came before another one is not known.
    lost: BTreeMap<(Scope, Which), Counter>,
}

/// Counters of one series that are kept before they are searched for what no longer
/// matters.
const COUNTERS: usize = 1 << 14;

impl Counters {
    /// Takes the next record of the series into account.
    pub fn apply(&mut self, record: &Record<'_>) {
        match *record {
            Record::Started { boot, shard, .. } => self.started(boot, shard),
            Record::Resumed { .. } => self.resumed(),
            Record::Scope {
                number,
                tenant,
                inbound,
                each,
                to,
                hours,
                outside,
            } => {
                let when = (!hours.is_empty()).then(|| (hours.into(), outside));
                let scope = Scope {
                    inbound,
                    each,
                    to,
                    when,
                };
                self.named.insert(number, (tenant.into(), scope));
            }
            Record::Restored {
                call, was, state, ..
            } => self.restored((call, was), state),
            Record::Counted { .. } => self.counted(record),
            Record::Reset { tenant, resets, .. } => {
                let book = self.books.entry(tenant.into()).or_default();
                book.lost.clear();
                if resets > book.resets {
                    book.reset(resets);
                }
            }
            Record::Account { .. } => self.account(record),
            Record::Drawn {
                scope,
                which,
                stock,
                resets,
                upto,
            } => {
                let place = Place {
                    scope,
                    which,
                    ..Place::default()
                };
                if let Some(counter) = self.counter(&place, resets) {
                    counter.draw(stock, upto);
                }
            }
            Record::Stopped { .. } => self.stopped = true,
            Record::Agreed { mono, wall } => {
                let boot = self.boots;
                self.agreed = Some(Time { boot, mono, wall });
            }
            Record::Ended { call, wall, .. } => {
                if let Some(open) = self.open.get_mut(&call) {
                    open.ended = true;
                    if !open.holds() {
                        self.over.push_back(Over { at: wall, call });
                        self.forget_over(wall);
                    }
                }
            }
            _ => {}
        }
    }

    fn started(&mut self, boot: &str, series: u16) {
        self.named.clear();
        self.end(boot);
        self.series = series;
        self.stopped = false;
        if !self.is_up(boot) {
            self.boot = boot.into();
            self.boots = self.boots.saturating_add(1);
        }
        self.over.clear();
        self.earlier.append(&mut self.open);
    }

    /// How many boots of the host the series has seen: [`Time::boot`] of the one now.
    pub(super) const fn boots(&self) -> u32 {
        self.boots
    }

    /// Whether the host has not gone down since the last life. One that does not tell may
    /// have.
    pub(super) fn is_up(&self, boot: &str) -> bool {
        !boot.is_empty() && *boot == *self.boot
    }

    /// A call that this life took over from an earlier one.
    fn restored(&mut self, (call, was): (CallRef, CallRef), state: &[u8]) {
        let Some(kept) = Call::read(state) else {
            return;
        };
        let ended = kept.end.is_some();
        let Some(lived) = kept.counted else {
            return;
        };
        let since = Time {
            boot: self.boots,
            mono: lived.since,
            wall: lived.wall,
        };
        let open = Open {
            tenant: lived.tenant,
            marks: lived.marks,
            since,
            held: lived.held,
            ended,
        };
        if ended && !open.holds() {
            let at = self.latest.wall;
            self.over.push_back(Over { at, call });
        }
        self.open.insert(call, open);
        if was == call {
            // It is of this series: one that has moved here got a number of its own.
            self.earlier.remove(&was);
        }
    }

    /// Calls of earlier lives that live on are written anew. What carriers might
    /// still have billed of the others counts as billed: nobody was there to see.
    fn resumed(&mut self) {
        for (_, open) in mem::take(&mut self.earlier) {
            self.give_up(open);
        }
    }

    fn give_up(&mut self, open: Open) {
        let Some(held) = open.held.filter(|_| open.ended) else {
            return;
        };
        // Nothing else may have been counted of its tenant in this series.
        let book = self.books.entry(open.tenant).or_default();
        if held.resets > book.resets {
            book.reset(held.resets);
        }
        // Also after a reset, which forgets nothing of what is held.
        for (scope, which, day, month) in held.places {
            let counter = book.counters.entry((scope, which)).or_default();
            counter.book((day, month), held.days, held.money);
        }
    }

    fn counted(&mut self, record: &Record<'_>) {
        let Record::Counted {
            call,
            tenant,
            mono,
            wall,
            day_end,
            resets,
            marks,
            places,
        } = *record
        else {
            return;
        };
        let boot = self.boots;
        let time = Time { boot, mono, wall };
        if wall > self.latest.wall {
            self.latest = time;
        }
        self.agreed = Some(time);
        let open = Open {
            tenant: tenant.into(),
            marks,
            since: time,
            held: None,
            ended: false,
        };
        self.open.insert(call, open);
        for place in read_places(places) {
            if let Some(counter) = self.counter(&place, resets) {
                counter.count(&place, time, day_end, marks.called);
            }
        }
        self.make_room();
    }

    fn account(&mut self, record: &Record<'_>) {
        let Record::Account {
            call,
            resets,
            booked,
            booked_in,
            held,
            held_in,
            places,
            billing,
        } = *record
        else {
            return;
        };
        for place in read_places(places).filter(|_| booked > 0) {
            if let Some(counter) = self.counter(&place, resets) {
                counter.book((place.day, place.month), booked_in, booked);
            }
        }
        let named = &self.named;
        let place = |place: Place| {
            let (_, scope) = named.get(&place.scope)?;
            Some((scope.clone(), place.which, place.day, place.month))
        };
        // Of an earlier life, one says so that has moved to another series.
        let earlier = &mut self.earlier;
        let open = self.open.get_mut(&call);
        let Some(open) = open.or_else(|| earlier.get_mut(&call)) else {
            return;
        };
        let told = held > 0 || !billing.is_empty();
        open.held = told.then(|| Held {
            resets,
            money: held,
            days: held_in,
            places: read_places(places).filter_map(place).collect(),
            billing: read_billing(billing),
        });
        if open.ended && open.held.is_none() {
            self.open.remove(&call);
            self.earlier.remove(&call);
        }
    }

    /// Forgets calls that nobody may ask for any more: see [`CLOSING_S`].
    fn forget_over(&mut self, now: Wall) {
        while let Some(first) = self.over.front()
            && (self.over.len() > CLOSING_CALLS
                || now.saturating_since(first.at).as_secs() > u64::from(CLOSING_S))
        {
            let call = first.call;
            self.over.pop_front();
            if self
                .open
                .get(&call)
                .is_some_and(|it| it.ended && !it.holds())
            {
                self.open.remove(&call);
            }
        }
    }

    /// The counter of a place; none if it is not known which that is, or if it was
    /// reset since.
    fn counter(&mut self, place: &Place, resets: u64) -> Option<&mut Counter> {
        let (tenant, scope) = self.named.get(&place.scope)?;
        if !self.books.contains_key(tenant) {
            self.books.insert(tenant.clone(), Book::default());
        }
        let book = self.books.get_mut(tenant)?;
        if resets > book.resets {
            book.reset(resets);
        }
        let key = (scope.clone(), place.which);
        let count = &mut self.count;
        (resets == book.resets).then(|| {
            book.counters.entry(key).or_insert_with(|| {
                *count += 1;
                Counter::default()
            })
        })
    }

    /// Forgets counters in which nothing matters any more, when there are twice as
    /// many as the last time.
    fn make_room(&mut self) {
        if self.count < COUNTERS.max(2 * self.searched) {
            return;
        }
        let latest = self.latest;
        for book in self.books.values_mut() {
            book.counters.retain(|_, it| !it.is_at_rest(latest));
            book.lost.retain(|_, it| !it.is_at_rest(latest));
        }
        self.books.retain(|_, book| {
            book.resets > 0 || !(book.counters.is_empty() && book.lost.is_empty())
        });
        self.count = self.books.values().map(|book| book.counters.len()).sum();
        self.searched = self.count;
    }

    /// What every counter has come to, for a life that begins `now`, in this boot of
    /// the host, and goes on with these calls.
    #[must_use]
    pub fn tallies(
        &self,
        now: Now,
        boot: &str,
        kept: &BTreeSet<CallRef>,
    ) -> BTreeMap<Box<str>, Tallies> {
        let mut all = self.clone();
        all.end(boot);
        let (earlier, open) = (mem::take(&mut all.earlier), mem::take(&mut all.open));
        for (call, open) in earlier.into_iter().chain(open) {
            if !kept.contains(&call) {
                all.give_up(open);
            }
        }
        let translate = all.clock(now, boot);
        let books = all.books.into_iter().map(|(tenant, book)| {
            let tallies = |counters: BTreeMap<_, Counter>| {
                let counters = counters.into_iter();
                let tally = |it: Counter| it.tally(now.mono, &translate);
                counters.map(|(key, it)| (key, tally(it))).collect()
            };
            let tallies = Tallies {
                resets: book.resets,
                counters: tallies(book.counters),
                lost: tallies(book.lost),
            };
            (tenant, tallies)
        });
        books.collect()
    }

    /// What is known of a call that lived when its life ended.
    #[must_use]
    pub fn lived(&self, call: CallRef, now: Now, boot: &str) -> Option<Lived> {
        let open = self.open.get(&call).or_else(|| self.earlier.get(&call))?;
        let (clock, since) = (self.clock(now, boot), open.since);
        // Of that life's times only this one is known by both clocks.
        let at = |mono: Mono| {
            let (later, sooner) = match mono >= since.mono {
                true => (mono.saturating_since(since.mono), Duration::ZERO),
                false => (Duration::ZERO, since.mono.saturating_since(mono)),
            };
            let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
            let wall = since.wall.as_micros().saturating_add(micros(later));
            let wall = Wall::from_micros(wall.saturating_sub(micros(sooner)));
            Time {
                mono,
                wall,
                ..since
            }
        };
        Some(Lived {
            tenant: open.tenant.clone(),
            marks: open.marks,
            since: clock(since),
            wall: since.wall,
            missed: true,
            held: open.held.clone().map(|held| Held {
                billing: held.billing.map(|it| it.by(|mono| clock(at(mono)))),
                ..held
            }),
        })
    }

    /// What is known of a call that was over when its life ended, if it still held what
    /// a carrier may bill.
    #[must_use]
    pub fn left(&self, call: CallRef, now: Now, boot: &str) -> Option<Lived> {
        let lived = self.lived(call, now, boot)?;
        let held = lived.held.as_ref();
        let owed = held.is_some_and(|it| it.billing.is_some());
        owed.then_some(lived)
    }

    /// What both clocks showed when the wall clock was believed last in this boot of the
    /// host.
    #[must_use]
    pub fn agreed(&self, boot: &str) -> Option<Now> {
        let agreed = self.agreed.filter(|it| it.boot == self.boots)?;
        let (mono, wall) = (agreed.mono, agreed.wall);
        self.is_up(boot).then_some(Now { mono, wall })
    }

    /// Tells a time by the monotonic clock of a boot. Between boots only the wall
    /// clock knows how much time passed.
    pub(super) fn clock(&self, now: Now, boot: &str) -> impl Fn(Time) -> Mono + use<> {
        let same = self.is_up(boot).then_some(self.boots);
        move |time| {
            if same == Some(time.boot) {
                return time.mono;
            }
            let (past, ahead) = (
                now.wall.saturating_since(time.wall),
                time.wall.saturating_since(now.wall),
            );
            let past = u64::try_from(past.as_nanos()).unwrap_or(u64::MAX);
            Mono::from_nanos(now.mono.as_nanos().saturating_sub(past)) + ahead
        }
    }
}

impl Book {
    fn reset(&mut self, resets: u64) {
        self.resets = resets;
        self.counters.clear();
    }
}
