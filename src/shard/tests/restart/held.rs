//! What calls that are over still hold, around a restart.

use super::*;
use crate::policy::{Money, Quantity, Used};

/// Its calls have a price and a budget.
fn budgeted() -> String {
    let priced = TENANT.replace("plan = \"jp\"", "plan = \"jp\"\ntariff = \"carrier\"");
    priced + "[budget]\nper_day = \"JPY 100000\"\n"
}

/// What a call of 32 s costs at the most, in millionths.
const ONE: u64 = 15_000_000;

impl World {
    /// What became of the budget: by the counters, and by what the journal says.
    fn used(&self) -> [Used; 2] {
        let of = |counters: &Counters| {
            let rules = compiled(&self.main, &budgeted(), counters);
            let tenant = rules.tenant_named("acme").unwrap();
            let none = Used {
                booked: Money::ZERO,
                held: Money::ZERO,
            };
            let used = rules.used(tenant, Quantity::MoneyPerDay, self.now);
            used.unwrap_or(none)
        };
        let kept = Counters::new();
        kept.restore(self.fold.clone().taken_over(self.now, BOOT).0);
        [of(&self.counters), of(&kept)]
    }

    /// Nothing is held any more, and the end says what was booked.
    fn is_settled(&self) {
        let cost = Money::from_millionths(self.cost);
        let [used, kept] = self.used();
        assert_eq!((used.booked, used.held), (cost, Money::ZERO));
        assert_eq!((kept.booked, kept.held), (cost, Money::ZERO));
        assert_eq!((self.counters.live(), self.counters.leaked()), (0, 0));
        assert_eq!(self.shard.counts(), Counts::default());
    }

    /// The carrier answers the BYE among these.
    fn parted(&mut self, sent: &[(String, String)]) {
        let bye = sent
            .iter()
            .find(|(to, text)| to == CARRIER && text.starts_with("BYE "));
        let bye = &bye.unwrap_or_else(|| panic!("{sent:#?}")).1;
        self.send(CARRIER, &answer(bye, "200 OK", "c", ""));
    }
}

#[test]
fn what_may_yet_be_billed_of_a_call_is_held_over_restarts_and_then_given_back() {
    let cost = |restarts: &[u64]| {
        let mut world = World::of(&budgeted());
        world.pass(5);
        let talk = world.established("a1");
        world.pass(5);
        let sent = world.send(PBX, &talk.of_pbx("BYE", 2, "a1"));
        world.parted(&sent);
        // Another user of the carrier's may still answer the INVITE.
        let [used, _] = world.used();
        assert_ne!(used.held, Money::ZERO);
        assert_eq!(world.counters.places(), 0);
        for &absence in restarts {
            world.crash(absence);
            let [again, kept] = world.used();
            assert_eq!(again, used);
            // Nobody would go on with it who did not know of it.
            assert_eq!(kept.booked, used.booked);
            assert_eq!(world.counters.places(), 0);
        }
        world.rest();
        world.is_settled();
        world.cost
    };
    let before = cost(&[]);
    // Whoever answers while nobody is there repeats it to who comes soon.
    for restarts in [&[1][..], &[1; 9], &[16]] {
        assert_eq!(cost(restarts), before, "{restarts:?}");
    }
    // Otherwise, at the most, somebody else answered meanwhile.
    for restarts in [&[17][..], &[4; 5]] {
        let after = cost(restarts);
        assert!(
            (before + 1..=before + ONE).contains(&after),
            "{before}, {after}: {restarts:?}"
        );
    }
}

#[test]
fn who_answers_a_call_that_a_restart_found_over_is_hung_up_and_booked() {
    let mut world = World::of(&budgeted());
    let talk = world.established("a1");
    let sent = world.send(PBX, &talk.of_pbx("BYE", 2, "a1"));
    world.parted(&sent);
    world.crash(1);
    let before = world.cost;
    let more = "Contact: <sip:d@127.0.0.2:5070>\nSession-Expires: 1800;refresher=uac\n";
    let sent = world.send(CARRIER, &answer(&talk.invited, "200 OK", "d", more));
    assert_eq!(lines(&sent), ["carrier ACK", "carrier BYE"]);
    world.parted(&sent);
    world.rest();
    world.is_settled();
    assert!(world.cost > before, "{} after {before}", world.cost);
}

#[test]
fn a_call_that_nobody_refused_is_held_until_nobody_can_answer_it() {
    let mut world = World::of(&budgeted());
    let invited = world.invited("a1");
    world.send(CARRIER, &answer(&invited, "180 Ringing", "c", ""));
    let cancel = invite(NUMBER, "a1").replace("INVITE", "CANCEL").replace(
        "Content-Type: application/sdp\nContent-Length: 5\n\nv=0\n",
        "Content-Length: 0\n\n",
    );
    world.send(PBX, &cancel);
    // The CANCEL gets no answer, and the INVITE is given up.
    world.pass(40);
    let [used, _] = world.used();
    assert_ne!(used.held, Money::ZERO);
    world.crash(1);
    assert_eq!(world.used()[0], used);
    world.rest();
    world.is_settled();
}

#[test]
fn of_a_call_whose_tenant_is_gone_what_it_held_is_booked_and_its_end_says_so() {
    let other = budgeted().replace("\"acme\"", "\"other\"");
    for restarts in [false, true] {
        let mut world = World::of(&budgeted());
        let talk = world.established("a1");
        let held = world.used()[0].held;
        world.tenant = other.clone();
        let sent = match restarts {
            true => world.crash(1),
            false => {
                let rules = compiled(&world.main, &other, &world.counters);
                let mut sent = world.take(Input::Command(Command::Rules(rules)));
                sent.append(&mut world.send(PBX, &talk.of_pbx("BYE", 2, "a1")));
                sent
            }
        };
        world.parted(&sent);
        world.send(PBX, &talk.of_pbx("BYE", 3, "a1"));
        world.rest();
        assert_eq!(world.cost, held.millionths(), "{restarts}");
        world.is_settled();
    }
}

#[test]
fn a_call_that_was_ended_is_not_up_whatever_is_owed_on_its_legs() {
    let mut world = World::new();
    let up = |world: &World| {
        let Counts {
            live,
            up,
            emergencies,
            ..
        } = world.shard.counts();
        (live, up, emergencies)
    };
    let talk = world.established("a1");
    world.send(PBX, &invite("119", "e1"));
    assert_eq!(up(&world), (2, 2, 1));
    // The carrier does not answer the BYE.
    world.send(PBX, &talk.of_pbx("BYE", 2, "a1"));
    assert_eq!(up(&world), (2, 1, 1));
    world.crash(1);
    assert_eq!(up(&world), (2, 0, 0));
    world.rest();
    assert_eq!(up(&world), (0, 0, 0));
}

#[test]
fn a_clock_that_was_set_while_nothing_ran_opens_no_budget_and_ends_no_call() {
    const DAY: Duration = Duration::from_secs(86_400);
    let mut world = World::of(&budgeted());
    let talk = world.established("a1");
    world.pass(20);
    let sent = world.send(PBX, &talk.of_pbx("BYE", 2, "a1"));
    world.parted(&sent);
    let talk = world.established("a2");
    let [before, _] = world.used();
    assert_ne!(before.booked, Money::ZERO);
    world.now.wall = world.now.wall + DAY;
    let sent = world.crash(1);
    assert!(!lines(&sent).concat().contains("BYE"), "{sent:#?}");
    assert_eq!(world.counters.clock_ahead_s(world.now), 86_400);
    assert_eq!(world.used()[0].booked, before.booked);
    let sent = world.send(PBX, &talk.of_pbx("BYE", 2, "a2"));
    world.parted(&sent);
    let talk = world.established("a3");
    let sent = world.send(PBX, &talk.of_pbx("BYE", 2, "a3"));
    world.parted(&sent);
    world.crash(1);
    assert_eq!(world.counters.clock_ahead_s(world.now), 86_400);
    assert_ne!(world.used()[0].booked, Money::ZERO);
    // Once somebody has said that it is right, it is, also for those who come later.
    world.counters.confirm_clock();
    let confirmed = Confirmed {
        ahead_s: 86_400,
        uid: 0,
        by: "root".into(),
        why: "".into(),
    };
    world.take(Input::Command(Command::Confirmed(Arc::new(confirmed))));
    for _ in 0..2 {
        assert_eq!(world.used()[0].booked, Money::ZERO);
        world.crash(20);
        assert_eq!(world.counters.clock_ahead_s(world.now), 0);
    }
    // What was said of it is said of no later jump.
    world.now.wall = world.now.wall + DAY;
    world.crash(20);
    assert_eq!(world.counters.clock_ahead_s(world.now), 86_400);
}
