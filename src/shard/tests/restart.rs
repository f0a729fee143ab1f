//! A life ends without warning, and another one goes on with its calls.

mod carried;
mod ends;
mod held;

use super::*;
use crate::record::Recovered;

/// Who says what in a call: the phone system's dialog, and the carrier's.
struct Talk {
    /// The INVITE that reached the carrier.
    invited: String,
    /// The carrier's 200.
    accepted: String,
    /// The To of the 200 that reached the phone system.
    tagged: String,
}

const NUMBER: &str = "+442071838750";

impl World {
    /// The shard is gone, and so is all that it knew; after so long another one
    /// begins with what the journal says. Returns what it sends at once.
    pub(super) fn crash(&mut self, seconds: u64) -> Vec<(String, String)> {
        self.now = self.now + Duration::from_secs(seconds);
        self.counters = Counters::new();
        let next = CallRef(self.fold.calls.highest().0 + 1);
        let mut recovered = Recovered::of([(0, self.fold.clone())], self.now, BOOT);
        if let Some(ahead) = recovered.ahead {
            self.counters.agree(ahead);
        }
        self.counters
            .restore(std::mem::take(&mut recovered.tallies));
        let bindings = std::mem::take(&mut recovered.bindings);
        let shares = recovered.deal(&Buckets::new(2), 1, self.now.wall).shares;
        let calls: Vec<_> = shares.into_iter().flat_map(|it| it.calls).collect();
        let calls: Vec<_> = calls.into_iter().map(|it| it.call).collect();
        let config = Config {
            id: 0,
            shards: 1,
            key: 1_000 + u128::from(self.now.mono.as_nanos()),
            bucket_key: 2,
            timers: Timers::default(),
            rules: compiled(&self.main, &self.tenant, &self.counters),
        };
        restore_bindings(&config.rules, self.now, bindings);
        self.shard = Shard::new(config, self.now);
        let wall = self.now.wall;
        self.fold.apply(&started(wall));
        for call in &calls {
            self.fold.apply(&Record::Restored {
                call: call.reference,
                wall: self.now.wall,
                was_shard: 0,
                was: call.reference,
                tenant: &call.tenant,
                number: &call.number,
                state: &call.state(),
            });
        }
        self.fold.apply(&Record::Resumed { wall, calls: 0 });
        let now = self.counters.believed(self.now);
        self.shard.restore(now, calls, next, &mut self.out);
        self.taken()
    }

    /// Sets a call up as far as the carrier's INVITE.
    fn invited(&mut self, branch: &str) -> String {
        let sent = self.send(PBX, &invite(NUMBER, branch));
        sent.clone()
            .into_iter()
            .find(|(to, _)| to == CARRIER)
            .unwrap_or_else(|| panic!("{sent:#?}"))
            .1
    }

    /// As far as the carrier's 200.
    fn answered(&mut self, branch: &str) -> Talk {
        let invited = self.invited(branch);
        let more = "Contact: <sip:127.0.0.2:5070>\nAllow: INVITE, ACK, BYE, UPDATE\n\
             Session-Expires: 180;refresher=uac\n";
        let accepted = answer(&invited, "200 OK", "c", more);
        let sent = self.send(CARRIER, &accepted);
        let tagged = header(&sent[0].1, "To").to_owned();
        Talk {
            invited,
            accepted,
            tagged,
        }
    }

    /// As far as the phone system's ACK.
    fn established(&mut self, branch: &str) -> Talk {
        let talk = self.answered(branch);
        let sent = self.send(PBX, &talk.of_pbx("ACK", 1, branch));
        assert!(sent[0].1.starts_with("ACK "), "{sent:#?}");
        talk
    }
}

impl Talk {
    fn of_pbx(&self, method: &str, cseq: u32, branch: &str) -> String {
        let tagged = &self.tagged;
        format!(
            "{method} sip:127.0.0.1:5060 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.3:5080;branch=z9hG4bK{branch}{method}{cseq}\n\
             Max-Forwards: 70\nFrom: \"Desk\" <sip:+81335570001@127.0.0.3>;tag=pbx{branch}\nTo: {tagged}\n\
             Call-ID: {branch}@pbx\nCSeq: {cseq} {method}\nContent-Length: 0\n\n"
        )
    }

    /// A request of the carrier's.
    fn of_carrier(&self, method: &str, cseq: u32) -> String {
        let [from, to] = [header(&self.accepted, "To"), header(&self.invited, "From")];
        let call_id = header(&self.invited, "Call-ID");
        format!(
            "{method} sip:127.0.0.1:5060 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.2:5070;branch=z9hG4bKc{method}{cseq}\n\
             Max-Forwards: 70\nFrom: {from}\nTo: {to}\n\
             Call-ID: {call_id}\nCSeq: {cseq} {method}\nContent-Length: 0\n\n"
        )
    }
}

fn lines(sent: &[(String, String)]) -> Vec<String> {
    let line = |(to, text): &(String, String)| {
        format!(
            "{} {}",
            peer(to),
            text.split(" sip:")
                .next()
                .unwrap_or_default()
                .lines()
                .next()
                .unwrap_or_default()
        )
    };
    sent.iter().map(line).collect()
}

fn peer(to: &str) -> &str {
    match to {
        PBX => "pbx",
        CARRIER => "carrier",
        other => other,
    }
}

#[test]
fn an_established_call_goes_on_and_ends_on_both_sides() {
    let mut world = World::new();
    let talk = world.established("a1");
    assert!(world.crash(20).is_empty());
    // What goes on goes on from where it was.
    let sent = world.send(PBX, &talk.of_pbx("INFO", 2, "a1"));
    let [(to, info)] = sent.as_slice() else {
        panic!("{sent:#?}");
    };
    assert_eq!(to, CARRIER);
    for name in ["From", "Call-ID"] {
        assert_eq!(header(info, name), header(&talk.invited, name));
    }
    assert_eq!(header(info, "To"), header(&talk.accepted, "To"));
    let cseq: u32 = header(info, "CSeq")
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(cseq > 1, "{info}");
    let sent = world.send(CARRIER, &answer(info, "200 OK", "c", ""));
    assert_eq!(lines(&sent), ["pbx SIP/2.0 200 OK"]);
    // And once more over a restart.
    world.crash(1);
    let sent = world.send(CARRIER, &talk.of_carrier("BYE", 7));
    assert_eq!(lines(&sent), ["carrier SIP/2.0 200 OK", "pbx BYE"]);
    let bye = sent[1].1.clone();
    assert!(
        bye.contains(
            header(&talk.tagged.replace("<", "To: <"), "To")
                .split(";tag=")
                .nth(1)
                .unwrap()
        )
    );
    world.send(PBX, &answer(&bye, "200 OK", "", ""));
    world.rest();
    assert_eq!(world.shard.counts(), Counts::default());
}

#[test]
fn a_call_costs_no_less_because_of_a_restart() {
    let tenant = TENANT.replace("plan = \"jp\"", "plan = \"jp\"\ntariff = \"carrier\"");
    let cost = |restarts: bool| {
        let mut world = World::of(&tenant);
        // Its INVITE leaves twice, and each is billed.
        let first = world.invited("a1");
        let sent = world.send(
            CARRIER,
            &answer(&first, "422 Too Small", "c", "Min-SE: 400\n"),
        );
        let second = sent
            .into_iter()
            .find(|(_, text)| text.starts_with("INVITE"));
        let second = second.unwrap().1;
        world.pass(10);
        let more = "Contact: <sip:127.0.0.2:5070>\nSession-Expires: 400;refresher=uac\n";
        let accepted = answer(&second, "200 OK", "c", more);
        let sent = world.send(CARRIER, &accepted);
        let talk = Talk {
            tagged: header(&sent[0].1, "To").to_owned(),
            invited: second,
            accepted,
        };
        world.send(PBX, &talk.of_pbx("ACK", 1, "a1"));
        if restarts {
            world.crash(20);
        } else {
            world.pass(20);
        }
        world.send(CARRIER, &talk.of_carrier("BYE", 7));
        world.cost
    };
    let (before, after) = (cost(false), cost(true));
    assert!(before > 6_000_000, "{before}");
    // At the most, somebody else answered meanwhile.
    let one = 15_000_000;
    assert!(
        (before..=before + one).contains(&after),
        "{before}, {after}"
    );
}

#[test]
fn session_timers_run_on() {
    let mut world = World::new();
    world.established("a1");
    world.pass(60);
    assert!(world.crash(10).is_empty());
    assert!(world.pass(19).is_empty());
    let sent = world.pass(2);
    assert!(
        lines(&sent).iter().all(|line| line == "carrier UPDATE"),
        "{sent:#?}"
    );
    assert!(header(&sent[0].1, "Session-Expires").starts_with("180;refresher=uac"));
    // One that is overdue is refreshed at once.
    world.send(
        CARRIER,
        &answer(
            &sent[0].1,
            "200 OK",
            "c",
            "Session-Expires: 180;refresher=uac\n",
        ),
    );
    world.crash(100);
    let sent = lines(&world.pass(1));
    assert!(sent.contains(&"carrier UPDATE".to_owned()), "{sent:?}");
}

#[test]
fn an_overdue_call_is_hung_up_before_a_new_one_is_let_in() {
    let mut world = World::new();
    world.established("a1");
    world.crash(5 * 24 * 3_600);
    let sent = world.send(PBX, &invite(NUMBER, "b1"));
    let sent = lines(&sent);
    assert!(sent[..2].contains(&"carrier BYE".to_owned()), "{sent:#?}");
    assert!(sent[..2].contains(&"pbx BYE".to_owned()), "{sent:#?}");
}

#[test]
fn a_call_in_set_up_ends_on_both_sides() {
    let mut world = World::new();
    let invited = world.invited("a1");
    let sent = world.crash(1);
    assert_eq!(lines(&sent), ["pbx SIP/2.0 603 Decline", "carrier CANCEL"]);
    let (refusal, cancel) = (&sent[0].1, &sent[1].1);
    assert_eq!(header(refusal, "CSeq"), "1 INVITE");
    for name in ["Via", "From", "To", "Call-ID"] {
        assert_eq!(header(cancel, name), header(&invited, name));
    }
    assert_eq!(cancel.split(' ').nth(1), invited.split(' ').nth(1));
    // The INVITE again is no second call.
    let sent = world.send(PBX, &invite(NUMBER, "a1"));
    assert_eq!(lines(&sent), ["pbx SIP/2.0 603 Decline"]);
    // The carrier's user had picked up all the same.
    let accepted = answer(&invited, "200 OK", "c", "Contact: <sip:127.0.0.2:5070>\n");
    let sent = world.send(CARRIER, &accepted);
    assert_eq!(lines(&sent), ["carrier ACK", "carrier BYE"]);
    assert_eq!(header(&sent[0].1, "CSeq"), "1 ACK");
    let bye = sent[1].1.clone();
    world.send(CARRIER, &answer(&bye, "200 OK", "c", ""));
    world.rest();
    assert_eq!(world.shard.counts(), Counts::default());
}

#[test]
fn an_emergency_call_in_set_up_is_to_go_another_way() {
    let sound = invite("119", "a1");
    let faulty = sound.replace("From: \"Desk\"", "From: Desk, 2");
    for text in [sound, faulty] {
        let mut world = World::new();
        world.send(PBX, &text);
        let sent = world.crash(1);
        assert_eq!(
            lines(&sent),
            ["pbx SIP/2.0 503 Service Unavailable", "carrier CANCEL"]
        );
    }
}

#[test]
fn an_answer_that_was_not_acknowledged_is_carried_again() {
    let mut world = World::new();
    let talk = world.answered("a1");
    assert!(world.crash(2).is_empty());
    let sent = world.send(CARRIER, &talk.accepted);
    assert_eq!(lines(&sent), ["pbx SIP/2.0 200 OK"]);
    assert_eq!(header(&sent[0].1, "To"), talk.tagged);
    let sent = world.send(PBX, &talk.of_pbx("ACK", 1, "a1"));
    assert_eq!(lines(&sent), ["carrier ACK"]);
    assert_eq!(header(&sent[0].1, "CSeq"), "1 ACK");
    let sent = world.send(PBX, &talk.of_pbx("BYE", 2, "a1"));
    assert_eq!(lines(&sent), ["pbx SIP/2.0 200 OK", "carrier BYE"]);
    let bye = sent[1].1.clone();
    world.send(CARRIER, &answer(&bye, "200 OK", "c", ""));
    world.rest();
    assert_eq!(world.shard.counts(), Counts::default());
}

#[test]
fn an_answer_that_never_comes_again_is_hung_up() {
    let mut world = World::new();
    world.answered("a1");
    world.crash(2);
    let sent = lines(&world.pass(33));
    for wanted in [
        "pbx SIP/2.0 480 Temporarily Unavailable",
        "pbx BYE",
        "carrier BYE",
    ] {
        assert!(sent.contains(&wanted.to_owned()), "{wanted}: {sent:#?}");
    }
    world.rest();
    assert_eq!(world.shard.counts(), Counts::default());
}

#[test]
fn a_call_that_was_being_hung_up_is_hung_up() {
    let mut world = World::new();
    let talk = world.established("a1");
    let bye = talk.of_pbx("BYE", 2, "a1");
    let sent = world.send(PBX, &bye);
    assert_eq!(lines(&sent), ["pbx SIP/2.0 200 OK", "carrier BYE"]);
    let sent = world.crash(1);
    assert_eq!(lines(&sent), ["carrier BYE"]);
    // Its answer was lost.
    assert_eq!(lines(&world.send(PBX, &bye)), ["pbx SIP/2.0 200 OK"]);
    let bye = sent[0].1.clone();
    world.send(CARRIER, &answer(&bye, "481 Gone", "c", ""));
    world.rest();
    assert_eq!(world.shard.counts(), Counts::default());
}

#[test]
fn who_may_not_know_that_a_call_ended_is_told() {
    let mut world = World::new();
    let talk = world.established("a1");
    let sent = world.send(CARRIER, &talk.of_carrier("BYE", 7));
    assert_eq!(lines(&sent), ["carrier SIP/2.0 200 OK", "pbx BYE"]);
    assert_eq!(lines(&world.crash(5)), ["pbx BYE"]);
    let again = world.send(CARRIER, &talk.of_carrier("BYE", 7));
    assert_eq!(lines(&again), ["carrier SIP/2.0 200 OK"]);
    world.rest();
    assert_eq!(world.shard.counts(), Counts::default());
}

#[test]
fn a_refusal_that_may_be_lost_is_given_again() {
    let mut world = World::new();
    let invited = world.invited("a1");
    let sent = world.send(CARRIER, &answer(&invited, "486 Busy Here", "c", ""));
    assert_eq!(lines(&sent), ["carrier ACK", "pbx SIP/2.0 486 Busy Here"]);
    assert_eq!(lines(&world.crash(5)), ["pbx SIP/2.0 486 Busy Here"]);
    let sent = world.send(PBX, &invite(NUMBER, "a1"));
    assert_eq!(lines(&sent), ["pbx SIP/2.0 486 Busy Here"]);
    world.rest();
    assert_eq!(world.shard.counts(), Counts::default());
}

#[test]
fn a_refusal_that_is_given_again_is_the_one_that_was_given() {
    // Of the first two the phone system does not learn as they are.
    for said in ["302 Moved", "407 Who Are You", "486 Busy Here"] {
        let mut world = World::new();
        let invited = world.invited("a1");
        let sent = world.send(CARRIER, &answer(&invited, said, "c", ""));
        let before = lines(&sent).pop();
        assert_eq!(lines(&world.crash(5)).pop(), before, "{said}");
    }
}

#[test]
fn who_took_a_call_back_is_told_so_again() {
    let mut world = World::new();
    let invited = world.invited("a1");
    let ringing = answer(&invited, "180 Ringing", "c", "");
    world.send(CARRIER, &ringing);
    let cancel = invite(NUMBER, "a1").replace("INVITE", "CANCEL");
    let sent = lines(&world.send(PBX, &cancel));
    let told = "pbx SIP/2.0 487 Request Terminated".to_owned();
    assert!(sent.contains(&told), "{sent:#?}");
    assert_eq!(lines(&world.crash(1)), [told, "carrier CANCEL".to_owned()]);
}

#[test]
fn an_old_invite_is_no_second_call() {
    let mut world = World::new();
    world.established("a1");
    world.crash(1);
    let sent = world.send(PBX, &invite(NUMBER, "a1"));
    assert_eq!(lines(&sent), ["pbx SIP/2.0 482 Loop Detected"]);
}

/// A phone system that may register, and is nowhere known to be now, may come back.
#[test]
fn a_call_of_who_may_register_goes_on() {
    let account = "[[account]]\nusername = \"acme-pbx\"\nsecret_env = \"X\"\n";
    let known = TENANT.replace("127.0.0.3/32", "127.0.0.9/32");
    let known = known.replace("udp:127.0.0.3:5080", "registered");
    let mut world = World::of(&format!("{TENANT}{account}"));
    let talk = world.established("r1");
    world.tenant = format!("{known}{account}");
    assert!(world.crash(1).is_empty());
    // For now it is a stranger, and the call is its carrier's to end.
    let sent = world.send(PBX, &talk.of_pbx("BYE", 2, "r1"));
    assert!(sent.is_empty(), "{sent:#?}");
    let sent = world.send(CARRIER, &talk.of_carrier("BYE", 1));
    assert_eq!(lines(&sent), ["carrier SIP/2.0 200 OK", "pbx BYE"]);
    world.send(PBX, &answer(&sent[1].1, "200 OK", "p", ""));
    world.rest();
    assert_eq!(
        (world.shard.counts(), world.counters.live()),
        (Counts::default(), 0)
    );
}
