use super::*;

/// A call of acme's at this second.
fn call(buffer: &mut Buffer, number: u64, to: &str, decision: Decision) {
    let micros = i64::try_from(number).unwrap() * 1_000_000;
    let verdict = Record::Verdict {
        call: CallRef(number),
        wall: at(micros),
        tenant: "acme",
        source: "127.0.0.3:5060".parse().unwrap(),
        direction: Direction::Outbound,
        caller: b"+81335570000",
        received_uri: b"sip:x@y",
        number: to,
        decision,
        reason: if decision == Decision::Refuse {
            "no-price"
        } else {
            ""
        },
        rule_file: "",
        rule_line: 0,
        value: 0,
        threshold: 0,
        rules_hash8: 1,
        a_call_id: b"a",
        b_call_id: b"b",
        carrier: "upstream",
    };
    let invite = Record::Invite {
        call: CallRef(number),
        message: b"INVITE sip:x@y SIP/2.0\r\nUser-agent : dial<er>\r\n\r\nUser-Agent: body\r\n",
    };
    buffer.append(&verdict).unwrap();
    buffer.append(&invite).unwrap();
}

fn answered(number: u64) -> Record<'static> {
    let leg = leg("127.0.0.3:5060", b"c", b"l");
    let micros = i64::try_from(number).unwrap() * 1_000_000;
    let wall = at(micros);
    Record::Answered {
        call: CallRef(number),
        wall,
        ends_by: at(micros + 60_000_000),
        session_expires: 0,
        caller: leg,
        callee: leg,
    }
}

fn ended(buffer: &mut Buffer, number: u64, cost: u64) {
    let ended = Record::Ended {
        call: CallRef(number),
        wall: at(0),
        answered: true,
        duration_ms: 1_500,
        by: Party::Caller,
        cause: "bye",
        status: 200,
        cost,
        currency: "JPY",
    };
    buffer.append(&ended).unwrap();
}

#[test]
fn an_incident_is_told_from_the_journal_alone() {
    let folder = Temporary::new();
    let ledger = Ledger::open(&folder.ledger()).unwrap();
    let mut journal = Journal::open(&ledger, 0, at(0)).unwrap();
    let mut buffer = Buffer::new();
    // The first and the last are out of the span.
    call(&mut buffer, 9, "+442071838750", Decision::Refuse);
    call(&mut buffer, 10, "+442071838750", Decision::Allow);
    for number in 11..14 {
        call(&mut buffer, number, "+23276123456", Decision::Refuse);
    }
    let sums = Record::Refusals {
        wall: at(15_000_000),
        tenant: "acme",
        direction: Direction::Outbound,
        reason: "no-price",
        first: at(14_000_000),
        last: at(14_500_000),
        count: 5_000,
        source: "127.0.0.3:5060".parse().unwrap(),
        number: "+23276123456",
    };
    buffer.append(&sums).unwrap();
    let others = [("other", Direction::Outbound), ("acme", Direction::Inbound)];
    for (tenant, direction) in others {
        let mut record = sums;
        if let Record::Refusals {
            tenant: whose,
            direction: way,
            ..
        } = &mut record
        {
            (*whose, *way) = (tenant, direction);
        }
        buffer.append(&record).unwrap();
    }
    ended(&mut buffer, 10, 3_000_000);
    let booked = Record::Booked {
        call: CallRef(10),
        wall: at(16_000_000),
        tenant: "acme",
        cost: 4_000_000,
        currency: "JPY",
    };
    buffer.append(&booked).unwrap();
    for detail in ["acme: 3 of 3", "other: 9 of 9"] {
        let note = Record::Note {
            wall: at(17_000_000),
            what: "burst",
            detail,
            count: 3,
        };
        buffer.append(&note).unwrap();
    }
    // A carrier of the same name.
    let lost = Record::Note {
        wall: at(17_000_000),
        what: "registration-lost",
        detail: "acme: 403",
        count: 1,
    };
    buffer.append(&lost).unwrap();
    // One is up.
    call(&mut buffer, 19, "+442071838750", Decision::Allow);
    buffer.append(&answered(19)).unwrap();
    call(&mut buffer, 20, "+442071838750", Decision::Refuse);
    journal.append(buffer.bytes()).unwrap();

    let span = Span {
        tenant: "acme".to_owned(),
        from: at(10_000_000),
        to: at(20_000_000),
    };
    let mut reader = Reader::open(&folder.ledger()).unwrap();
    let told = incident(&mut reader, &span, &|number| number[..4].to_owned()).unwrap();
    let pair = |stopped, passed| Pair { stopped, passed };
    assert_eq!(told.calls, pair(5_003, 2));
    assert_eq!((told.answered, told.live), (2, 1));
    assert_eq!(told.up.as_millis(), 1_500);
    assert_eq!(told.cost["JPY"], 4_000_000);
    assert_eq!(told.reasons.top(9), (vec![("no-price", pair(5_003, 0))], 0));
    assert_eq!(
        told.places.top(9).0,
        [("+232", pair(5_003, 0)), ("+442", pair(0, 2))]
    );
    assert_eq!(
        told.numbers.top(1),
        (vec![("+23276123456", pair(5_003, 0))], 1)
    );
    assert_eq!(told.sources.top(9).0, [("127.0.0.3", pair(5_003, 2))]);
    assert_eq!(told.agents.top(9).0, [("dial<er>", pair(3, 2))]);
    let event = Event {
        what: "burst".to_owned(),
        detail: "3 of 3".to_owned(),
        ..Event::default()
    };
    assert_eq!(told.events, [(at(17_000_000), event)]);
    // From the first call to the last, however long the time is that was asked about.
    let timeline = told.timeline(&span, 10);
    let second = 1_000_000;
    assert_eq!(timeline.from, at(10 * second));
    assert!(timeline.to > at(19 * second) && timeline.to < at(20 * second));
    assert!(timeline.each.as_millis().abs_diff(900) < 3, "{timeline:?}");
    let parts = &timeline.parts;
    assert_eq!(
        (parts.len(), parts[0], parts[9]),
        (10, pair(0, 1), pair(0, 1))
    );
    assert_eq!(
        parts.iter().map(|it| it.stopped + it.passed).sum::<u64>(),
        5_005
    );
    let none = Incident::default().timeline(&span, 10);
    assert_eq!(none, Timeline::default());

    // What is shown of a record is how it lies in the file.
    let bytes = std::fs::read(folder.segment(0, 1)).unwrap();
    for exhibit in [told.first.unwrap(), told.last.unwrap()] {
        assert_eq!((exhibit.shard, &*exhibit.segment), (0, "00000001.tgj"));
        let from = usize::try_from(exhibit.offset).unwrap();
        let frame = &bytes[from..from + exhibit.length];
        assert_eq!(exhibit.hash, blake3::hash(frame).to_hex().as_str());
    }
}
