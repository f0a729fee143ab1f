use super::*;

fn call(journal: &mut Journal, number: u64, tenant: &str, decision: Decision) {
    let mut buffer = Buffer::new();
    let micros = i64::try_from(number).unwrap() * 1_000_000;
    let verdict = Record::Verdict {
        call: CallRef(number),
        wall: at(micros),
        tenant,
        source: "127.0.0.3:5060".parse().unwrap(),
        direction: Direction::Outbound,
        caller: b"+81335570000",
        received_uri: b"sip:\xff@x",
        number: "+442071838750",
        decision,
        reason: "",
        rule_file: "tenants/acme.toml",
        rule_line: 19,
        value: 0,
        threshold: 0,
        rules_hash8: 0x0102_0304_0506_0708,
        a_call_id: b"a",
        b_call_id: b"b",
        carrier: "upstream",
    };
    buffer.append(&verdict).unwrap();
    if decision != Decision::Refuse {
        let ended = Record::Ended {
            call: CallRef(number),
            wall: at(micros + 500_000),
            answered: true,
            duration_ms: 500,
            by: Party::Caller,
            cause: "bye",
            status: 200,
            cost: 2_670_000,
            currency: "JPY",
        };
        buffer.append(&ended).unwrap();
    }
    journal.append(buffer.bytes()).unwrap();
}

#[test]
fn an_export_is_lines_of_json() {
    let folder = Temporary::new();
    let ledger = Ledger::open(&folder.ledger())
        .unwrap()
        .with_segment_size(4096);
    let mut journal = Journal::open(&ledger, 0, at(0)).unwrap();
    call(&mut journal, 1, "acme", Decision::Allow);
    call(&mut journal, 2, "other", Decision::Allow);
    call(&mut journal, 3, "acme", Decision::Refuse);
    journal.append(&note(4_000_000, "n")).unwrap();
    journal.append(&note(5_000_000, "torn")[..20]).unwrap();

    let run = |filter: &Filter| {
        let mut out = Vec::new();
        let mut reader = Reader::open(&folder.ledger()).unwrap();
        let summary = export(&mut reader, filter, Form::Lines, &mut out).unwrap();
        let lines: Vec<serde_json::Value> = String::from_utf8(out)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        (summary, lines)
    };
    let (summary, lines) = run(&Filter::default());
    assert_eq!((summary.records, summary.torn, summary.damaged), (6, 1, 0));
    let verdict = &lines[0];
    assert_eq!(verdict["record"], "verdict");
    assert_eq!(verdict["shard"], 0);
    assert_eq!(verdict["wall"], "1970-01-01T00:00:01.000000Z");
    assert_eq!(verdict["decision"], "allow");
    assert_eq!(verdict["source"], "127.0.0.3:5060");
    assert_eq!(verdict["received_uri"]["hex"], "7369703aff4078");
    assert_eq!(verdict["rules_hash8"], "0102030405060708");
    assert_eq!(verdict["call"], 1);
    assert_eq!(lines[1]["record"], "ended");
    assert_eq!(lines[1]["by"], "caller");
    assert_eq!(lines[6]["record"], "damage");

    let kinds = |filter: &Filter| -> Vec<String> {
        let (_, lines) = run(filter);
        lines
            .iter()
            .filter(|line| line["record"] != "damage")
            .map(|line| format!("{} {}", line["record"].as_str().unwrap(), line["call"]))
            .collect()
    };
    let tenant = Some("acme".to_owned());
    let acme = Filter {
        tenant: tenant.clone(),
        ..Filter::default()
    };
    assert_eq!(kinds(&acme), ["verdict 1", "ended 1", "verdict 3"]);
    // A call that began before is still known as the tenant's.
    let late = Filter {
        tenant,
        since: Some(at(1_200_000)),
        ..Filter::default()
    };
    assert_eq!(kinds(&late), ["ended 1", "verdict 3"]);
    let by = |decision, number: &str, until| Filter {
        decision: Some(decision),
        number: Some(number.to_owned()),
        until: Some(at(until)),
        ..Filter::default()
    };
    let allowed = by(Decision::Allow, "+44", 2_400_000);
    assert_eq!(kinds(&allowed), ["verdict 1", "ended 1", "verdict 2"]);
    assert_eq!(
        kinds(&by(Decision::Refuse, "+4420", 9_000_000)),
        ["verdict 3"]
    );
    assert!(kinds(&by(Decision::Allow, "+81", 9_000_000)).is_empty());

    let mut table = Vec::new();
    let mut reader = Reader::open(&folder.ledger()).unwrap();
    let _ = export(&mut reader, &acme, Form::Csv, &mut table).unwrap();
    let table = String::from_utf8(table).unwrap();
    let mut rows = table.lines();
    assert!(
        rows.next()
            .unwrap()
            .starts_with("wall,shard,record,call,tenant,")
    );
    let first = "1970-01-01T00:00:01.000000Z,0,verdict,1,acme,127.0.0.3:5060,outbound,";
    assert!(rows.next().unwrap().starts_with(first), "{table}");
    assert_eq!(rows.count(), 3);
}

/// Two fields of one name would leave it to the reader which of them counts.
#[test]
fn no_line_names_a_field_twice() {
    let folder = Temporary::new();
    let ledger = Ledger::open(&folder.ledger()).unwrap();
    let mut journal = Journal::open(&ledger, 7, at(0)).unwrap();
    journal
        .begin(&[Record::Started {
            wall: at(1),
            shard: 7,
            shards: 8,
            program: "p",
            boot: "b",
        }])
        .unwrap();
    call(&mut journal, 1, "acme", Decision::Allow);
    let mut out = Vec::new();
    let mut reader = Reader::open(&folder.ledger()).unwrap();
    let _ = export(&mut reader, &Filter::default(), Form::Lines, &mut out).unwrap();
    for line in String::from_utf8(out).unwrap().lines() {
        assert_eq!(line.matches(r#""shard":7"#).count(), 1, "{line}");
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let fields = value.as_object().unwrap().len();
        let hex = usize::from(line.contains("received_uri"));
        assert_eq!(line.matches("\":").count(), fields + hex, "{line}");
    }
}
