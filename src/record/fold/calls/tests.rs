use proptest::prelude::*;

use super::*;
use crate::base::flow::{Flow, ListenerId, Transport};
use crate::record::{self, Buffer, Fold, Session, Side, frame};

const FLOW: &str = "192.0.2.1:5060";

fn at(seconds: i64) -> Wall {
    Wall::from_micros(1_700_000_000_000_000 + seconds * 1_000_000)
}

fn leg<'a>(tags: [&'a str; 2], cseq: u32) -> record::Leg<'a> {
    record::Leg {
        flow: Flow {
            listener: ListenerId(0),
            transport: Transport::Udp,
            remote: FLOW.parse().unwrap(),
            local: None,
            connection: None,
            name: None,
        },
        call_id: b"id",
        local_uri: b"sip:l",
        local_tag: tags[0].as_bytes(),
        remote_uri: b"sip:r",
        remote_tag: tags[1].as_bytes(),
        target: b"sip:t",
        routes: b"",
        local_cseq: cseq,
        remote_cseq: 1,
        allow: None,
        session: Session::NONE,
    }
}

fn started() -> Record<'static> {
    Record::Started {
        wall: at(0),
        shard: 0,
        shards: 1,
        program: "",
        boot: "",
    }
}

fn verdict(call: u64, decision: Decision) -> Record<'static> {
    Record::Verdict {
        call: CallRef(call),
        wall: at(1),
        tenant: "t",
        source: FLOW.parse().unwrap(),
        direction: Direction::Outbound,
        caller: b"+81312345678",
        received_uri: b"",
        number: "+442071838750",
        decision,
        reason: "",
        rule_file: "",
        rule_line: 0,
        value: 0,
        threshold: 0,
        rules_hash8: 0,
        a_call_id: b"a",
        b_call_id: b"b",
        carrier: "up",
    }
}

fn setup(call: u64) -> Record<'static> {
    Record::Setup {
        call: CallRef(call),
        wall: at(1),
        peer: "up",
        leg: leg(["l", ""], 1),
        branch: b"z",
        caller: leg(["c", "p"], 0),
        asked: b"INVITE",
    }
}

fn answered(call: u64) -> Record<'static> {
    Record::Answered {
        call: CallRef(call),
        wall: at(5),
        ends_by: at(3605),
        session_expires: 0,
        caller: leg(["c", "p"], 0),
        callee: leg(["l", "q"], 1),
    }
}

fn ended(call: u64, wall: Wall) -> Record<'static> {
    Record::Ended {
        call: CallRef(call),
        wall,
        answered: true,
        duration_ms: 0,
        by: Party::Caller,
        cause: "bye",
        status: 200,
        cost: 0,
        currency: "",
    }
}

fn folded(records: &[Record<'_>]) -> Calls {
    let mut calls = Calls::default();
    for record in records {
        calls.apply(record);
    }
    calls
}

fn known(records: &[Record<'_>]) -> Vec<Call> {
    folded(records).into_calls().collect()
}

#[test]
fn an_answered_call_stands_as_its_records_say() {
    let target = Record::Target {
        call: CallRef(7),
        side: Side::Callee,
        target: b"sip:elsewhere",
    };
    let cseq = Record::CSeq {
        call: CallRef(7),
        side: Side::Callee,
        local: 9,
        remote: 4,
    };
    let acked = Record::Acked { call: CallRef(7) };
    let verdict = verdict(7, Decision::Allow);
    let calls = known(&[
        started(),
        verdict,
        setup(7),
        answered(7),
        acked,
        target,
        cseq,
    ]);
    let [call] = calls.as_slice() else {
        panic!("{calls:?}");
    };
    assert_eq!((&*call.tenant, &*call.number), ("t", "+442071838750"));
    let legs = call.legs.as_ref().unwrap();
    assert_eq!(&*legs.callee.target, b"sip:elsewhere");
    assert_eq!((legs.callee.local_cseq, legs.callee.remote_cseq), (9, 4));
    assert_eq!(&*legs.callee.remote_tag, b"q");
    let answer = legs.answer.as_ref().unwrap();
    assert!(answer.acked && legs.asked.is_empty());
    assert_eq!(answer.ends_by, at(3605));
}

#[test]
fn what_a_record_leaves_out_is_known_from_before() {
    let invite = Record::Invite {
        call: CallRef(7),
        message: b"INVITE sip:x SIP/2.0",
    };
    let Record::Setup {
        call,
        wall,
        peer,
        leg: callee,
        branch,
        caller,
        ..
    } = setup(7)
    else {
        unreachable!()
    };
    let there = record::Leg {
        target: b"",
        ..callee
    };
    let set_up = Record::Setup {
        call,
        wall,
        peer,
        leg: there,
        branch,
        caller,
        asked: b"",
    };
    let answered = Record::Answered {
        call,
        wall: at(5),
        ends_by: at(3605),
        session_expires: 0,
        caller: leg(["fork", "p"], 4).since_setup(),
        callee: record::Leg {
            target: b"",
            ..leg(["l", "q"], 1).since_setup()
        },
    };
    let mut records = vec![started(), verdict(7, Decision::Allow), invite, set_up];
    let calls = known(&records);
    let legs = calls[0].legs.as_deref().unwrap();
    assert_eq!(*legs.asked, *b"INVITE sip:x SIP/2.0");
    assert_eq!(*legs.callee.target, *b"sip:r");
    records.push(answered);
    let calls = known(&records);
    let legs = calls[0].legs.as_deref().unwrap();
    let is_known = |leg: &Leg| {
        (&*leg.call_id, &*leg.local_uri, &*leg.remote_uri)
            == (&b"id"[..], &b"sip:l"[..], &b"sip:r"[..])
    };
    assert!(is_known(&legs.caller) && is_known(&legs.callee));
    assert_eq!(
        (&*legs.caller.local_tag, legs.caller.local_cseq),
        (&b"fork"[..], 4)
    );
    assert_eq!(
        (&*legs.callee.remote_tag, &*legs.callee.target),
        (&b"q"[..], &b"sip:r"[..])
    );
    assert_eq!(*legs.caller.target, *b"sip:t");
}

#[test]
fn only_what_left_and_has_not_ended_is_up() {
    let refused = verdict(1, Decision::Refuse);
    assert!(known(&[started(), refused, setup(1)]).is_empty());
    assert!(known(&[started(), verdict(1, Decision::Allow)]).is_empty());
    let calls = folded(&[
        started(),
        verdict(1, Decision::Allow),
        setup(1),
        ended(1, at(9)),
    ]);
    assert_eq!(calls.up(), 0);
    assert_eq!(calls.highest(), CallRef(1));
}

#[test]
fn a_call_that_ended_is_known_for_as_long_as_a_peer_may_not_know_it() {
    let first = [verdict(1, Decision::Allow), setup(1), ended(1, at(9))];
    let second = [verdict(2, Decision::Allow), setup(2), ended(2, at(41))];
    let all = |second_ended| {
        let mut calls = folded(&first);
        for record in second.iter().take(2) {
            calls.apply(record);
        }
        calls.apply(&ended(2, second_ended));
        calls.into_calls().count()
    };
    assert_eq!((all(at(41)), all(at(42))), (2, 1));
}

#[test]
fn an_answer_may_be_acknowledged_when_all_is_over() {
    let begun = [verdict(1, Decision::Allow), setup(1), answered(1)];
    let mut calls = folded(&begun);
    calls.apply(&ended(1, at(9)));
    calls.apply(&Record::Acked { call: CallRef(1) });
    let call = calls.into_calls().next().unwrap();
    let legs = call.legs.unwrap();
    assert!(legs.asked.is_empty() && legs.answer.unwrap().acked);
}

#[test]
fn a_call_that_ended_long_before_the_last_record_is_not_known() {
    let mut calls = folded(&[verdict(1, Decision::Allow), setup(1), ended(1, at(9))]);
    calls.apply(&Record::Stopped {
        wall: at(42),
        live: 0,
    });
    assert_eq!(calls.into_calls().count(), 0);
}

#[test]
fn what_a_life_has_not_taken_over_is_still_the_earlier_ones() {
    let mut calls = folded(&[
        started(),
        verdict(1, Decision::Allow),
        setup(1),
        answered(1),
    ]);
    calls.apply(&started());
    assert_eq!(calls.up(), 1);
    let before = known(&[verdict(1, Decision::Allow), setup(1), answered(1)]);
    let state = before[0].state();
    calls.apply(&Record::Restored {
        call: CallRef(30),
        wall: at(50),
        was_shard: 0,
        was: CallRef(1),
        tenant: "t",
        number: "",
        state: &state,
    });
    calls.apply(&Record::Resumed {
        wall: at(50),
        calls: 1,
    });
    let after: Vec<Call> = calls.into_calls().collect();
    let expected = Call {
        reference: CallRef(30),
        ..before[0].clone()
    };
    assert_eq!(after, [expected]);
}

/// Some records of a few calls, in any order.
fn any_record() -> impl Strategy<Value = Record<'static>> {
    let calls = 1_u64..4;
    prop_oneof![
        Just(started()),
        Just(Record::Resumed {
            wall: at(0),
            calls: 0
        }),
        calls
            .clone()
            .prop_map(|call| verdict(call, Decision::Allow)),
        calls.clone().prop_map(setup),
        calls.clone().prop_map(answered),
        calls.clone().prop_map(|call| Record::Acked {
            call: CallRef(call)
        }),
        calls.clone().prop_map(|call| Record::Ending {
            call: CallRef(call),
            wall: at(8),
            by: Party::Tollgate,
            cause: "x",
        }),
        (calls, 0_i64..60).prop_map(|(call, wall)| ended(call, at(wall))),
    ]
}

proptest! {
    /// A fold that was kept and read again goes on like one that was not, and
    /// what records it is made of may have been read from a file.
    #[test]
    fn a_fold_can_be_kept_at_any_record(
        records in proptest::collection::vec(any_record(), 0..40),
        kept in any::<prop::sample::Index>(),
    ) {
        let kept = kept.index(records.len() + 1);
        let (mut whole, mut parts) = (Fold::default(), Fold::default());
        for (at, record) in records.iter().enumerate() {
            if at == kept {
                let bytes = postcard::to_allocvec(&parts).unwrap();
                parts = postcard::from_bytes(&bytes).unwrap();
            }
            let mut buffer = Buffer::new();
            buffer.append(record).unwrap();
            whole.apply(record);
            let (read, _) = frame::next(buffer.bytes()).unwrap().unwrap();
            parts.apply(&read);
        }
        prop_assert_eq!(whole, parts);
    }
}
