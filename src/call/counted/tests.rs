//! A life that is taken up again from its journal answers every question as one
//! that never ended.

mod power;
mod world;

use proptest::prelude::*;

use crate::base::tally::Which;
use crate::base::time::{Mono, Now};
use crate::policy::{Money, Quantity, TenantId};
use power::matters;
use world::{CALLED, CALLERS, SHARDS, World, at};

#[derive(Clone, Debug)]
enum Step {
    Judge(usize, usize, usize),
    Inbound(usize),
    Answer(usize),
    Renew(usize),
    End(usize, bool),
    Close,
    Reload,
    Reset,
    Crash,
}

fn step() -> impl Strategy<Value = (u64, Step)> {
    let step = prop_oneof![
        12 => (0..SHARDS, 0..CALLED.len(), 0..CALLERS.len())
            .prop_map(|(shard, called, caller)| Step::Judge(shard, called, caller)),
        1 => (0..SHARDS).prop_map(Step::Inbound),
        3 => any::<usize>().prop_map(Step::Answer),
        3 => any::<usize>().prop_map(Step::Renew),
        6 => (any::<usize>(), any::<bool>()).prop_map(|(call, lingers)| Step::End(call, lingers)),
        2 => Just(Step::Close),
        1 => Just(Step::Reload),
        1 => Just(Step::Reset),
        2 => Just(Step::Crash),
    ];
    const SECOND: u64 = 1_000_000_000;
    let wait = prop_oneof![
        6 => 0..SECOND,
        6 => SECOND..40 * SECOND,
        3 => 60 * SECOND..1_800 * SECOND,
        1 => 3_600 * SECOND..40_000 * SECOND,
    ];
    (wait, step)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_was_taken_up_again_answers_as_what_never_ended(
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let (mut one, mut other) = (World::new(), World::new());
        let mut time = 0;
        for (wait, step) in steps {
            time += wait;
            let now = at(time);
            let pick = |of: usize, world: &World| match world.calls.len() {
                0 => None,
                count => Some(of % count).filter(|&at| !world.calls[at].over),
            };
            let both = match step {
                Step::Judge(shard, called, caller) => {
                    [&mut one, &mut other].map(|it| it.judge(shard, called, caller, now))
                }
                Step::Inbound(shard) => [&mut one, &mut other].map(|it| it.inbound(shard, now)),
                Step::Answer(call) => {
                    if let Some(at) = pick(call, &one) {
                        [&mut one, &mut other].into_iter().for_each(|it| it.answer(at, now));
                    }
                    continue;
                }
                Step::Renew(call) => match pick(call, &one) {
                    Some(at) => [&mut one, &mut other].map(|it| it.renew(at, now)),
                    None => continue,
                },
                Step::End(call, lingers) => match pick(call, &one) {
                    Some(at) => [&mut one, &mut other].map(|it| it.end(at, lingers, now)),
                    None => continue,
                },
                Step::Close => {
                    [&mut one, &mut other].into_iter().for_each(|it| it.close(now));
                    continue;
                }
                Step::Reload => {
                    [&mut one, &mut other].into_iter().for_each(|it| it.reload(now));
                    continue;
                }
                Step::Reset => {
                    [&mut one, &mut other].into_iter().for_each(|it| it.reset(now));
                    continue;
                }
                Step::Crash => {
                    // What lingers then counts as spent, which it does not here.
                    [&mut one, &mut other].into_iter().for_each(|it| it.close(now));
                    let boot = other.boot;
                    other = other.crash(now, boot);
                    [&one, &other].map(|it| it.used(now))
                }
            };
            prop_assert_eq!(&both[0], &both[1]);
            let used = [&one, &other].map(|it| it.used(now));
            prop_assert_eq!(&used[0], &used[1]);
        }
        one.finish(at(time));
        other.finish(at(time));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_a_loss_of_power_takes_counts_as_used(
        steps in proptest::collection::vec((step(), 0..=1_000_usize, 0..=1_000_usize), 1..120),
    ) {
        let (mut world, mut time) = (World::new(), 0);
        for ((wait, step), one, other) in steps {
            time += wait;
            let now = at(time);
            let pick = |of: usize, world: &World| match world.calls.len() {
                0 => None,
                count => Some(of % count).filter(|&at| !world.calls[at].over),
            };
            match step {
                Step::Judge(shard, called, caller) => _ = world.judge(shard, called, caller, now),
                Step::Inbound(shard) => _ = world.inbound(shard, now),
                Step::Answer(call) => {
                    if let Some(at) = pick(call, &world) {
                        world.answer(at, now);
                    }
                }
                Step::Renew(call) => {
                    if let Some(at) = pick(call, &world) {
                        world.renew(at, now);
                    }
                }
                Step::End(call, lingers) => {
                    if let Some(at) = pick(call, &world) {
                        world.end(at, lingers, now);
                    }
                }
                Step::Close => world.close(now),
                Step::Reload => world.reload(now),
                Step::Reset => world.reset(now),
                // Killed: the host stays up, and nothing is lost.
                Step::Crash if one % 3 == 0 => {
                    let (boot, truth) = (world.boot, world.come_to(now, world.boot));
                    world = world.crash(now, boot);
                    let after = world.come_to(now, boot);
                    for (total, amount) in truth.into_iter().filter(|(it, _)| matters(it, now)) {
                        let counted = after.get(&total).copied().unwrap_or_default();
                        prop_assert!(counted >= amount, "{total:?}: {counted} of {amount}");
                    }
                }
                Step::Crash => {
                    let boot = if world.boot == "a" { "b" } else { "a" };
                    let truth = world.come_to(now, world.boot);
                    // Where nothing is lost, what is held counts twice, and little besides.
                    for ((scope, _, (what, period)), amount) in world.come_to(now, boot) {
                        let part = match (scope.to, what) {
                            ([0, 0], "day") => 180_000_000,
                            ([0, 0], "month") => 400_000_000,
                            ([0, 0], "calls") if scope.when.is_none() => 1,
                            _ => continue,
                        };
                        let total = (scope, Which::Whole, (what, period));
                        let known = truth.get(&total).copied().unwrap_or_default();
                        prop_assert!(amount <= 2 * known + SHARDS as u64 * 3 * part, "{total:?}");
                    }
                    world = world.fail([one, other], now, boot);
                    let after = world.come_to(now, boot);
                    for (total, amount) in truth.into_iter().filter(|(it, _)| matters(it, now)) {
                        let counted = after.get(&total).copied().unwrap_or_default();
                        prop_assert!(counted >= amount, "{total:?}: {counted} of {amount}");
                    }
                }
            }
        }
        world.finish(at(time));
    }
}

#[test]
fn what_lingered_when_a_life_ended_counts_as_spent() {
    let mut world = World::new();
    world.judge(0, 3, 0, at(0));
    world.end(0, true, at(0));
    let used = |world: &World| {
        let used = world.rules.used(TenantId(0), Quantity::MoneyPerDay, at(0));
        used.unwrap()
    };
    let before = used(&world);
    assert!(before.held > Money::ZERO);
    let all = before.booked.saturating_add(before.held);
    // Each life after that says the same, whether it is taken over or breaks off.
    for _ in 0..3 {
        world = world.crash(at(0), "a");
        let after = used(&world);
        assert_eq!((after.booked, after.held), (all, Money::ZERO));
    }
    world.finish(at(0));
}

#[test]
fn a_reset_forgets_nothing_of_what_lingers_when_a_life_ends() {
    let mut world = World::new();
    world.judge(0, 3, 0, at(0));
    world.end(0, true, at(0));
    world.reset(at(0));
    let used = |world: &World| {
        let used = world.rules.used(TenantId(0), Quantity::MoneyPerDay, at(0));
        used.unwrap()
    };
    let before = used(&world);
    assert!(before.held > Money::ZERO);
    world = world.crash(at(0), "a");
    assert_eq!(used(&world).booked, before.held);
    world.finish(at(0));
}

#[test]
fn after_a_boot_windows_go_by_the_wall_clock() {
    let mut world = World::new();
    let minute = 60_000_000_000;
    let says = |world: &mut World, now| world.judge(0, 1, 0, now);
    for _ in 0..3 {
        assert!(says(&mut world, at(0)).starts_with("allow"));
    }
    assert!(says(&mut world, at(minute - 1_000)).starts_with("calls-per-minute"));
    // The host was down for a while, and its clock began again.
    let booted = |nanos| Now {
        mono: Mono::from_nanos(7_200_000_000_000 + nanos),
        ..at(nanos)
    };
    let mut world = world.crash(booted(minute - 1_000), "b");
    assert!(says(&mut world, booted(minute - 1_000)).starts_with("calls-per-minute"));
    assert!(says(&mut world, booted(minute)).starts_with("allow"));
    world.finish(booted(minute));
}
