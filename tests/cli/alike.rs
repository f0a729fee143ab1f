//! One call, told by each command: in the same words, and at the same time.

use std::collections::BTreeSet;

use serde_json::Value;
use tollgate::base::flow::{Flow, ListenerId, Transport};
use tollgate::base::time::{Now, Wall};
use tollgate::ledger::{Indexing, Journal, Keep, Ledger};
use tollgate::record::{Buffer, CallRef, Decision, Direction, Leg, Party, Record, Session};

use crate::folder::Folder;

/// Shortly before midnight, so that whoever rounds has another day.
const BEGAN: i64 = 1_799_999_999_999_999;
const CUT: &str = "2027-01-15T07:59:59";

fn leg() -> Leg<'static> {
    Leg {
        flow: Flow::to(
            ListenerId(0),
            Transport::Udp,
            "127.0.0.9:5060".parse().unwrap(),
        ),
        call_id: b"",
        local_uri: b"",
        local_tag: b"l",
        remote_uri: b"",
        remote_tag: b"r",
        target: b"",
        routes: b"",
        local_cseq: 1,
        remote_cseq: 1,
        allow: None,
        session: Session::NONE,
    }
}

/// A call of a minute and a little, and refusals beside it.
fn fill(files: &Folder) {
    let ledger = Ledger::open(&files.path("ledger")).unwrap();
    let began = Wall::from_micros(BEGAN);
    let source = "127.0.0.9:5060".parse().unwrap();
    let records = [
        Record::Verdict {
            call: CallRef(7),
            wall: began,
            tenant: "kiku",
            source,
            direction: Direction::Outbound,
            caller: b"+81335570000",
            received_uri: b"sip:0335571234@gw",
            number: "+81335571234",
            decision: Decision::Allow,
            reason: "",
            rule_file: "rules/tenants/kiku.toml",
            rule_line: 17,
            value: 3,
            threshold: 10,
            rules_hash8: 1,
            a_call_id: b"a",
            b_call_id: b"b",
            carrier: "metro",
        },
        Record::Answered {
            call: CallRef(7),
            wall: began,
            ends_by: Wall::from_micros(BEGAN + 3_600_000_000),
            session_expires: 0,
            caller: leg(),
            callee: leg(),
        },
        Record::Ended {
            call: CallRef(7),
            wall: began,
            answered: true,
            duration_ms: 60_001,
            by: Party::Callee,
            cause: "bye",
            status: 200,
            cost: 2_670_000,
            currency: "JPY",
        },
        Record::Refusals {
            wall: began,
            tenant: "kiku",
            direction: Direction::Outbound,
            reason: "destination-denied",
            first: began,
            last: began,
            count: 5,
            source,
            number: "+442071838750",
        },
    ];
    let mut buffer = Buffer::new();
    records.iter().for_each(|it| buffer.append(it).unwrap());
    let mut journal = Journal::open(&ledger, 0, began).unwrap();
    journal.append(buffer.bytes()).unwrap();
    drop(Indexing::start(ledger, Keep::default(), Now::default).unwrap());
}

fn lines(files: &Folder, arguments: &[&str]) -> Vec<Value> {
    let said = files.tollgate(arguments);
    assert_eq!(said.code, Some(0), "{said:?}");
    let lines = said.out.lines();
    lines.map(|it| serde_json::from_str(it).unwrap()).collect()
}

#[test]
fn a_call_has_one_time_and_lasts_as_long_everywhere() {
    let files = Folder::new();
    fill(&files);
    let table = files.tollgate(&["calls", "--dir=ledger"]).out;
    assert!(table.starts_with(&format!("{CUT}Z  kiku ")), "{table}");
    assert!(table.contains("  61 s  JPY 2.67\n"), "{table}");
    assert!(
        table.ends_with(&format!(", from {CUT}Z to {CUT}Z\n")),
        "{table}"
    );
    let exact = Value::from(format!("{CUT}.999999Z"));
    let told = lines(&files, &["calls", "--dir=ledger", "--json"]);
    for name in ["wall", "answered_at", "ended_at"] {
        assert_eq!(told[0][name], exact, "{name}");
    }
    for name in ["first", "last"] {
        assert_eq!(told[1][name], exact, "{name}");
    }
    for line in lines(&files, &["ledger", "export", "--dir=ledger"]) {
        assert_eq!(line["wall"], exact, "{line}");
    }
    let csv = files
        .tollgate(&["ledger", "export", "--dir=ledger", "--csv"])
        .out;
    assert_eq!(
        csv.matches(&format!("\n{CUT}.999999Z,")).count(),
        4,
        "{csv}"
    );
    let report = [
        "--dir=ledger",
        "--tenant=kiku",
        "--from=2027-01-01",
        "--to=2027-02-01",
    ];
    let page = files
        .tollgate(&[&["ledger", "report"], &report[..]].concat())
        .out;
    assert!(page.contains("2027-01-15 07:59:59 +00:00"), "{page}");
    assert!(!page.contains("2027-01-15 08:00:00"), "{page}");
    assert!(page.contains("<td>1 min 1 s</td>"), "{page}");
}

/// The index and `calls --json` call a field as the journal does, whose records are what an
/// export has. What a row has of several records has a name of its own.
#[test]
fn a_field_has_one_name_everywhere() {
    let files = Folder::new();
    fill(&files);
    let names =
        |line: &Value| -> BTreeSet<String> { line.as_object().unwrap().keys().cloned().collect() };
    let export = lines(&files, &["ledger", "export", "--dir=ledger"]);
    let told = lines(&files, &["calls", "--dir=ledger", "--json"]);
    let mut of_a_call = &names(&export[0]) | &names(&export[2]);
    for one_record_s in ["answered", "rules_hash8", "a_call_id", "b_call_id"] {
        assert!(of_a_call.remove(one_record_s), "{one_record_s}");
    }
    of_a_call.extend(["answered_at", "ended_at"].map(str::to_owned));
    assert_eq!(names(&told[0]), of_a_call);
    assert_eq!(told[0]["record"], "call");
    for name in [
        "received_uri",
        "rule_file",
        "rule_line",
        "value",
        "threshold",
        "caller",
        "source",
    ] {
        assert_eq!(told[0][name], export[0][name], "{name}");
    }
    for name in ["duration_ms", "by", "cause", "status", "cost", "currency"] {
        assert_eq!(told[0][name], export[2][name], "{name}");
    }
    // Those are sums over shards, without what is of one record alone.
    for name in ["tenant", "reason", "count", "first", "last", "record"] {
        assert_eq!(told[1][name], export[3][name], "{name}");
    }
    assert_eq!(names(&told[1]).len(), 6);

    let sqlite = files.path("ledger/index/2027-01-15.sqlite");
    let sqlite = rusqlite::Connection::open(sqlite).unwrap();
    let columns = sqlite.prepare("SELECT * FROM calls").unwrap();
    let columns = columns.column_names().map(str::to_owned);
    let record = BTreeSet::from(["record".to_owned()]);
    assert_eq!(&columns.collect::<BTreeSet<_>>() | &record, of_a_call);
    let by: String = sqlite
        .query_row("SELECT by FROM calls", [], |row| row.get(0))
        .unwrap();
    assert_eq!(by, "callee");
}
