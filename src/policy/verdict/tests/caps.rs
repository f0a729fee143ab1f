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
