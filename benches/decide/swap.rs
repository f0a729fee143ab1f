//! New rules come into force while calls are judged.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use tollgate::policy::{Counters, RuleSet, Sources};

use crate::world::{Law, Phones, compiled, drawn};

/// What the verdicts of a while took.
#[derive(Clone, Copy, Default)]
pub struct While {
    pub verdicts: u64,
    /// The longest by the clock, which others' work on the same processor is in.
    pub longest: Duration,
    /// The longest by the processor time that it took itself.
    pub longest_own: Duration,
    /// How often a verdict waited, for a lock or for anything else.
    pub waits: u64,
}

/// What it took.
pub struct Swap {
    pub before: While,
    pub during: While,
    pub compiled_in: Duration,
}

/// How often this thread has given up the processor by itself.
fn waits() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find(|it| it.starts_with("voluntary_ctxt"));
    line.and_then(|it| it.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}

fn own_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .unwrap()
        .into()
}

struct Judge<'a> {
    rules: Arc<RuleSet>,
    phones: Phones,
    drawn: Vec<u32>,
    slot: &'a Mutex<Option<Arc<RuleSet>>>,
    ready: &'a AtomicBool,
    retired: Sender<Arc<RuleSet>>,
}

impl Judge<'_> {
    /// Judges calls until `over` says so, and takes over new rules when there are any.
    fn run(&mut self, over: impl Fn(bool) -> bool) -> While {
        let (mut of, mut swapped) = (While::default(), false);
        let before = waits();
        for tenant in self.drawn.iter().cycle() {
            let (start, own) = (Instant::now(), own_time());
            if self.ready.swap(false, Ordering::Acquire) {
                let fresh = self.slot.lock().unwrap().take().unwrap();
                let old = std::mem::replace(&mut self.rules, fresh);
                self.retired.send(old).unwrap();
                swapped = true;
            }
            self.phones.call_and_end(&self.rules, *tenant);
            of.longest_own = of.longest_own.max(own_time().saturating_sub(own));
            of.longest = of.longest.max(start.elapsed());
            of.verdicts += 1;
            if of.verdicts % 64 == 0 && over(swapped) {
                break;
            }
        }
        of.waits = waits() - before;
        of
    }
}

/// Judges for a while, compiles the same rules anew meanwhile, and judges by them.
pub fn swap(rules: RuleSet, sources: &Sources, counters: &Counters, tenants: u32) -> Swap {
    let (slot, ready) = (Mutex::new(None), AtomicBool::new(false));
    let (retired, old) = channel();
    let mut judge = Judge {
        rules: Arc::new(rules),
        phones: Phones::new(),
        drawn: drawn(Law::Zipf, tenants, 1 << 20),
        slot: &slot,
        ready: &ready,
        retired,
    };
    let quiet = Instant::now();
    let before = judge.run(|_| quiet.elapsed() > Duration::from_secs(3));
    std::thread::scope(|scope| {
        let judged = scope.spawn(move || {
            let since = Mutex::new(None);
            // Half a second more by the new rules: each book sees them for the first time.
            judge.run(|swapped| {
                let mut since = since.lock().unwrap();
                let since = swapped.then(|| *since.get_or_insert_with(Instant::now));
                since.is_some_and(|it| it.elapsed() > Duration::from_millis(500))
            })
        });
        let start = Instant::now();
        let fresh = Arc::new(compiled(sources, counters));
        let compiled_in = start.elapsed();
        *slot.lock().unwrap() = Some(fresh);
        ready.store(true, Ordering::Release);
        // Freed here, as in the program: not where calls are judged.
        drop(old.recv().unwrap());
        Swap {
            before,
            during: judged.join().unwrap(),
            compiled_in,
        }
    })
}
