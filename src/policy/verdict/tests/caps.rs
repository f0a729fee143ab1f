//! Caps as a tenant's file has them, against counting by definition.

use proptest::prelude::*;

use super::*;

const CALLERS: [&str; 3] = [
    "<sip:0335570011@pbx>",
    "<sip:0335570012@pbx>",
    "<sip:0335570013@pbx>",
];
const DIALLED: [&str; 6] = [
    "sip:0355551234@gw",
    "sip:0355551235@gw",
    "sip:+12125551234@gw",
    "sip:+12125551235@gw",
    "sip:+442081234567@gw",
    "sip:+18005551234@gw",
];

/// A call: who, where to, when in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Made {
    caller: usize,
    dialled: usize,
    at: u64,
}

impl Made {
    fn is_abroad(self) -> bool {
        self.dialled >= 2
    }

    fn is_us(self) -> bool {
        matches!(self.dialled, 2 | 3 | 5)
    }
}

fn made() -> impl Strategy<Value = Vec<Made>> {
    let one = (0..CALLERS.len(), 0..DIALLED.len(), 0..40_000_u64);
    let calls = proptest::collection::vec(one, 1..120);
    calls.prop_map(|calls| {
        let mut at = 0;
        let add = |(caller, dialled, after)| {
            // Two in three come in quick succession.
            at += if after % 3 == 0 { after } else { after % 900 };
            Made {
                caller,
                dialled,
                at,
            }
        };
        calls.into_iter().map(add).collect()
    })
}

fn moment(millis: u64) -> Now {
    now(0) + Duration::from_millis(millis)
}

fn tenant(more: &str) -> String {
    let at = ACME.find("[caps]").unwrap();
    let head = ACME[..at].replace("\"us\"", "\"us\", \"gb\", \"us.freephone\"");
    format!("{head}{more}").replace("deny = [\"+44 207\"]", "")
}

impl Box {
    fn made(&self, call: Made) -> Result<Allowed, Refused> {
        let facts = facts(DIALLED[call.dialled], CALLERS[call.caller]);
        match self.rules.judge(&facts, moment(call.at)) {
            Verdict::Allow(allowed) => Ok(allowed),
            Verdict::Refuse(refused) => Err(refused),
            Verdict::Emergency(_) => panic!("{call:?}"),
        }
    }
}

/// A cap by definition: which calls it counts as one; how many there may be in
/// how many milliseconds.
type Defined<'a> = (&'a dyn Fn(Made) -> Option<[usize; 2]>, usize, u64);

/// Whether every cap has room for a call behind those that were let in.
fn has_room(caps: &[Defined<'_>], admitted: &[Made], call: Made) -> bool {
    caps.iter().all(|(key, limit, span)| {
        let Some(own) = key(call) else { return true };
        let counts = |it: &&Made| key(**it) == Some(own) && call.at - it.at < *span;
        admitted.iter().filter(counts).count() < *limit
    })
}

proptest! {
    #[test]
    fn caps_on_several_things_at_once_are_exact(
        calls in made(), pair in 1usize..3, abroad in 1usize..4, us in 1usize..3, free in 1usize..3,
    ) {
        let box_ = Box::new(&tenant(&format!(
            "[[cap]]\non = [\"called\", \"caller\"]\ncalls_per_minute = {pair}\n\
             [[cap]]\non = [\"caller\", \"international\"]\ncalls_per_minute = {abroad}\n\
             [[cap]]\non = [\"us\", \"called\"]\ncalls_per_hour = {us}\n\
             [[cap]]\non = \"us\"\ncalls_per_second = 2\n\
             [[cap]]\non = [\"international\", \"freephone\"]\ncalls_per_hour = {free}\n\
             [[cap]]\non = [\"+1\", \"freephone\", \"caller\"]\ncalls_per_hour = 1\n"
        )));
        let caps: [Defined<'_>; 6] = [
            (&|it| Some([it.caller, it.dialled]), pair, 60_000),
            (&|it| it.is_abroad().then_some([it.caller, 0]), abroad, 60_000),
            (&|it| it.is_us().then_some([it.dialled, 0]), us, 3_600_000),
            (&|it| it.is_us().then_some([0, 0]), 2, 1_000),
            (&|it| (it.dialled == 5).then_some([0, 0]), free, 3_600_000),
            (&|it| (it.dialled == 5).then_some([it.caller, 0]), 1, 3_600_000),
        ];
        let mut admitted = Vec::new();
        for call in calls {
            let room = has_room(&caps, &admitted, call);
            let made = box_.made(call);
            prop_assert_eq!(made.is_ok(), room, "{:?}", call);
            if let Ok(allowed) = made {
                allowed.hold.release(moment(call.at));
                admitted.push(call);
            }
        }
        prop_assert_eq!(box_.counters.live(), 0);
    }
}

#[test]
fn a_refusal_names_the_whole_of_what_the_cap_is_on() {
    let box_ = Box::new(&tenant(
        "[[cap]]\non = [\"international\", \"caller\"]\ncalls_at_once = 1\n",
    ));
    let call = Made {
        caller: 0,
        dialled: 2,
        at: 0,
    };
    let first = box_.made(call).unwrap();
    let refused = box_.made(Made { dialled: 4, ..call }).unwrap_err();
    assert_eq!(
        (refused.reason, refused.value, refused.threshold),
        (Reason::CallsAtOnce, 1, 1)
    );
    let rule = box_.rules.rule(refused.rule.unwrap());
    assert_eq!(
        rule.text,
        "[[cap]] on [\"caller\", \"international\"] calls_at_once = 1"
    );
    // Another caller, and another destination, have room.
    let other = box_.made(Made { caller: 1, ..call }).unwrap();
    let home = box_.made(Made { dialled: 0, ..call }).unwrap();
    for it in [first, other, home] {
        it.hold.release(moment(1));
    }
    assert_eq!(box_.counters.live(), 0);
}

#[test]
fn different_numbers_are_counted_for_each_day_of_the_time_zone() {
    let box_ = Box::new(&tenant(
        "[[cap]]\non = \"caller\"\ndistinct_numbers_per_day = 2\n",
    ));
    let call = |caller, dialled, seconds: u64| {
        let at = seconds * 1_000;
        match box_.made(Made {
            caller,
            dialled,
            at,
        }) {
            Ok(allowed) => {
                allowed.hold.release(moment(at));
                "allow"
            }
            Err(refused) => {
                assert_eq!((refused.value, refused.threshold), (2, 2));
                refused.reason.code()
            }
        }
    };
    const ONE_TOO_MANY: &str = "distinct-numbers-per-day";
    assert_eq!([call(0, 0, 1), call(0, 1, 2), call(0, 0, 3)], ["allow"; 3]);
    assert_eq!(call(0, 2, 4), ONE_TOO_MANY);
    assert_eq!(
        [call(1, 2, 5), call(0, 1, 6)],
        ["allow"; 2],
        "known, or another's"
    );
    // Twelve hours after noon in Tokyo a new day begins there.
    assert_eq!(call(0, 2, 12 * 3_600 - 1), ONE_TOO_MANY);
    assert_eq!(
        [call(0, 2, 12 * 3_600), call(0, 3, 12 * 3_600)],
        ["allow"; 2]
    );
    assert_eq!(call(0, 0, 12 * 3_600), ONE_TOO_MANY);
}

const OFFICE: &str = "[hours.office]\nmon-fri = [\"08:00-12:00\", \"13:00-19:00\"]\n\
                      sat = \"09:00-12:00\"\nholidays = [\"2026-03-03..2026-03-04\"]\n";

/// Whether the office is open so many milliseconds after noon on Sunday,
/// 1 March 2026.
fn office(at: u64) -> bool {
    let minutes = 12 * 60 + at / 60_000;
    let (day, of_day) = (minutes / 1_440 % 7, minutes % 1_440);
    let holiday = matches!(minutes / 1_440, 2 | 3);
    let open = |from: u64, to: u64| (from * 60..to * 60).contains(&of_day);
    !holiday
        && match day {
            0 => false,
            6 => open(9, 12),
            _ => open(8, 12) || open(13, 19),
        }
}

proptest! {
    #[test]
    fn caps_of_some_hours_count_what_was_let_in_then(
        calls in made(), away in 1usize..4, closed in 1usize..5, open in 1usize..8,
    ) {
        let box_ = Box::new(&tenant(&format!(
            "[[cap]]\non = [\"international\"]\nwhen = \"outside office\"\ncalls_per_hour = {away}\n\
             [[cap]]\nwhen = \"outside office\"\non = \"any\"\ncalls_per_hour = {closed}\n\
             [[cap]]\nwhen = \"office\"\ncalls_per_hour = {open}\n\
             [[cap]]\non = \"us\"\nwhen = \"outside office\"\ncalls_per_second = 0\n\
             [[cap]]\non = [\"+1\", \"caller\"]\nwhen = \"office\"\ndistinct_numbers_per_day = 0\n{OFFICE}"
        )));
        const HOUR: u64 = 3_600_000;
        let caps: [Defined<'_>; 5] = [
            (&|it| (it.is_abroad() && !office(it.at)).then_some([0, 0]), away, HOUR),
            (&|it| (!office(it.at)).then_some([0, 0]), closed, HOUR),
            (&|it| office(it.at).then_some([0, 0]), open, HOUR),
            (&|it| (it.is_us() && !office(it.at)).then_some([0, 0]), 0, HOUR),
            (&|it| (it.is_us() && office(it.at)).then_some([0, 0]), 0, HOUR),
        ];
        let mut admitted = Vec::new();
        for call in calls {
            // Some minutes to some hours between calls.
            let call = Made { at: call.at * 500, ..call };
            let room = has_room(&caps, &admitted, call);
            let made = box_.made(call);
            prop_assert_eq!(made.is_ok(), room, "{:?}", call);
            if let Ok(allowed) = made {
                allowed.hold.release(moment(call.at));
                admitted.push(call);
            }
        }
        prop_assert_eq!(box_.counters.live(), 0);
    }
}

#[test]
fn a_new_live_cap_of_some_hours_counts_what_was_let_in_then() {
    const HOUR: u64 = 3_600_000;
    let mut box_ = Box::new(&tenant("[caps]\ncalls_at_once = 9\n"));
    let call = |at| Made {
        caller: 0,
        dialled: 2,
        at,
    };
    // Sunday evening, and Monday from nine.
    let mut held = vec![box_.made(call(9 * HOUR)).unwrap()];
    held.push(box_.made(call(21 * HOUR)).unwrap());
    let more = "[[cap]]\nwhen = \"office\"\ncalls_at_once = 2\n[[cap]]\non = \"us\"\n\
                when = \"outside office\"\ncalls_at_once = 1\n";
    box_.reload(&tenant(&format!("{more}{OFFICE}")));
    held.push(box_.made(call(22 * HOUR)).unwrap());
    let refused = box_.made(call(22 * HOUR)).unwrap_err();
    assert_eq!((refused.value, refused.threshold), (2, 2));
    let rule = box_.rules.rule(refused.rule.unwrap());
    assert_eq!(rule.text, "[[cap]] when \"office\" calls_at_once = 2");
    let refused = box_.made(call(31 * HOUR)).unwrap_err();
    let rule = box_.rules.rule(refused.rule.unwrap());
    assert_eq!(
        (rule.text, refused.value),
        (
            "[[cap]] on \"us\" when \"outside office\" calls_at_once = 1",
            1
        )
    );
    held.into_iter()
        .for_each(|it| it.hold.release(moment(32 * HOUR)));
    assert_eq!(box_.counters.live(), 0);
}

proptest! {
    /// Of two limits on one counter the enforced one refuses, the other only tells;
    /// neither changes what the other counts.
    #[test]
    fn a_limit_that_is_tried_out_refuses_nothing_and_tells_all(
        calls in made(), enforced in 1usize..5, tried in 1usize..9, day in 1usize..30,
    ) {
        let box_ = Box::new(&tenant(&format!(
            "[[cap]]\non = \"international\"\nmode = \"observe\"\ncalls_per_minute = {tried}\n\
             [[cap]]\non = \"international\"\ncalls_per_second = {enforced}\n\
             [[cap]]\non = \"caller\"\nmode = \"observe\"\ncalls_per_day = {day}\n\
             distinct_numbers_per_day = 2\n"
        )));
        let abroad = |it: Made| it.is_abroad().then_some([0, 0]);
        let caller = |it: Made| Some([it.caller, 0]);
        let refuses: [Defined<'_>; 1] = [(&abroad, enforced, 1_000)];
        // All of it is on one day.
        let tells: [Defined<'_>; 2] = [(&abroad, tried, 60_000), (&caller, day, u64::MAX)];
        let mut admitted: Vec<Made> = Vec::new();
        for call in calls {
            let room = has_room(&refuses, &admitted, call);
            let mut own: Vec<usize> = admitted.iter().filter(|it| it.caller == call.caller)
                .map(|it| it.dialled).collect();
            own.sort_unstable();
            own.dedup();
            let quiet = has_room(&tells, &admitted, call)
                && (own.contains(&call.dialled) || own.len() < 2);
            let made = box_.made(call);
            prop_assert_eq!(made.is_ok(), room, "{:?}", call);
            if let Ok(allowed) = made {
                prop_assert_eq!(allowed.observed.is_none(), quiet, "{:?}", allowed.observed);
                allowed.hold.release(moment(call.at));
                admitted.push(call);
            }
        }
        prop_assert_eq!(box_.counters.live(), 0);
    }

    #[test]
    fn inbound_caps_are_exact_and_apart_from_the_others(
        calls in made(), all in 1usize..6, each in 1usize..4, out in 1usize..4,
    ) {
        let box_ = Box::new(&tenant(&format!(
            "[caps]\ncalls_per_minute = {out}\n[[cap]]\non = \"caller\"\ncalls_per_hour = 99\n"
        )).replace("5080\"", &format!(
            "5080\"\ncalls_per_minute = {all}\n[[inbound.cap]]\non = [\"called\", \"caller\"]\n\
             calls_per_minute = {each}\n"
        )));
        const OWN_NUMBERS: [&str; 3] = ["sip:0335570001@gw", "sip:+81335570002@gw", "sip:+815031110000@gw"];
        const OTHERS: [&str; 3] = ["<sip:+442081234567@c>", "<sip:0355551234@c>", "<sip:anonymous@c>"];
        let inward = |it: Made| it.dialled.is_multiple_of(2);
        let caps: [Defined<'_>; 3] = [
            (&|it| inward(it).then_some([0, 0]), all, 60_000),
            (&|it| inward(it).then_some([it.caller, it.dialled]), each, 60_000),
            (&|it| (!inward(it)).then_some([0, 0]), out, 60_000),
        ];
        let mut admitted: Vec<Made> = Vec::new();
        for call in calls {
            let room = has_room(&caps, &admitted, call);
            let at = moment(call.at);
            let hold = if inward(call) {
                let facts = inbound(OWN_NUMBERS[call.dialled / 2], OTHERS[call.caller]);
                match box_.rules.judge_inbound(&facts, &Blocks::default(), at) {
                    Inbound::Deliver(it) => Some(it.hold),
                    Inbound::Refuse(refused, tenant) => {
                        prop_assert_eq!(tenant, Some(TenantId(0)));
                        prop_assert_eq!(refused.reason, Reason::CallsPerMinute);
                        None
                    }
                }
            } else {
                box_.made(call).ok().map(|it| it.hold)
            };
            prop_assert_eq!(hold.is_some(), room, "{:?}", call);
            if let Some(hold) = hold {
                hold.release(at);
                admitted.push(call);
            }
        }
        prop_assert_eq!(box_.counters.live(), 0);
    }
}

#[test]
fn a_new_inbound_cap_counts_the_inbound_calls_that_live() {
    let mut box_ = Box::new(&tenant(""));
    let facts = inbound("sip:0335570001@gw", "<sip:+442081234567@c>");
    let judge = |box_: &Box| match box_
        .rules
        .judge_inbound(&facts, &Blocks::default(), moment(1))
    {
        Inbound::Deliver(it) => Ok(it.hold),
        Inbound::Refuse(refused, _) => Err(refused),
    };
    let out = box_
        .made(Made {
            caller: 0,
            dialled: 0,
            at: 0,
        })
        .unwrap();
    let first = judge(&box_).unwrap();
    let capped = "5080\"\ncalls_at_once = 2\nlongest_call = \"5m\"";
    box_.reload(&tenant("").replace("5080\"", capped));
    let second = judge(&box_).unwrap();
    let refused = judge(&box_).unwrap_err();
    assert_eq!((refused.value, refused.threshold), (2, 2));
    let rule = box_.rules.rule(refused.rule.unwrap());
    assert_eq!(rule.text, "[inbound] calls_at_once = 2");
    first.release(moment(2));
    let Inbound::Deliver(third) = box_
        .rules
        .judge_inbound(&facts, &Blocks::default(), moment(2))
    else {
        panic!("there is room");
    };
    assert_eq!(third.longest_call, Duration::from_secs(300));
    for hold in [second, third.hold, out.hold] {
        hold.release(moment(3));
    }
    assert_eq!(box_.counters.live(), 0);
}

#[test]
fn an_observed_destination_is_let_go_counted_and_recorded() {
    let text = tenant("[[cap]]\non = \"us\"\ncalls_per_hour = 2\n")
        .replace("allow = [", "observe = [\"+1 212\"]\nallow = [");
    let box_ = Box::new(&text);
    for at in 0..2 {
        let allowed = box_
            .made(Made {
                caller: 0,
                dialled: 2,
                at,
            })
            .unwrap();
        let would = allowed.observed.unwrap();
        assert_eq!(
            (would.reason, allowed.permit.rule),
            (Reason::DestinationDenied, None)
        );
        assert_eq!(
            box_.rules.rule(would.rule.unwrap()).text,
            "observe \"+1212\""
        );
        allowed.hold.release(moment(1));
    }
    let refused = box_
        .made(Made {
            caller: 0,
            dialled: 2,
            at: 3,
        })
        .unwrap_err();
    assert_eq!(
        refused.reason,
        Reason::CallsPerHour,
        "caps hold all the same"
    );
    assert_eq!(box_.says("sip:+12125551234x@gw", 5), "no-single-meaning");
    // A caller that is refused is so here too.
    let box_ = Box::new(&text.replace("\"replace\"", "\"refuse\""));
    let facts = facts(DIALLED[2], "<sip:+442081234567@pbx>");
    let Verdict::Refuse(refused) = box_.rules.judge(&facts, moment(9)) else {
        panic!("not its own");
    };
    assert_eq!(refused.reason, Reason::CallerNotOwn);
}
