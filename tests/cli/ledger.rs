//! `ledger export`.

use std::path::Path;

use tollgate::base::time::{Now, Wall};
use tollgate::ledger::{Chain, Follower, Indexing, Journal, Keep, Ledger};
use tollgate::record::{Buffer, CallRef, Decision, Direction, Party, Record};

use crate::folder::Folder;

/// Calls of two days. The ledger is not to be opened again at once: programs that other
/// tests start may have its lock for a moment.
fn fill(directory: &Path) -> Ledger {
    let ledger = Ledger::open(directory).unwrap();
    let mut buffer = Buffer::new();
    for (number, tenant) in [(1_u32, "kiku"), (2, "other")] {
        let wall = Wall::from_micros(i64::from(number) * 86_400_000_000);
        let call = CallRef(u64::from(number));
        let verdict = Record::Verdict {
            call,
            wall,
            tenant,
            source: "127.0.0.9:5060".parse().unwrap(),
            direction: Direction::Outbound,
            caller: b"+81335570000",
            received_uri: b"sip:0335571234@gw",
            number: "+81335571234",
            decision: Decision::Allow,
            reason: "",
            rule_file: "rules/tenants/kiku.toml",
            rule_line: 17,
            value: 0,
            threshold: 0,
            rules_hash8: 1,
            a_call_id: b"a",
            b_call_id: b"b",
            carrier: "metro",
        };
        let ended = Record::Ended {
            call,
            wall,
            answered: false,
            duration_ms: 0,
            by: Party::Callee,
            cause: "busy",
            status: 486,
            cost: 0,
            currency: "",
        };
        for record in [verdict, ended] {
            buffer.append(&record).unwrap();
        }
    }
    let mut journal = Journal::open(&ledger, 0, Wall::from_micros(0)).unwrap();
    journal.append(buffer.bytes()).unwrap();
    ledger
}

#[test]
fn the_ledger_is_exported_as_lines() {
    let files = Folder::new();
    fill(&files.path("ledger"));
    let records = |arguments: &[&str]| -> Vec<String> {
        let said = files.tollgate(&[&["ledger", "export"], arguments].concat());
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
        let lines = said.out.lines().map(|line| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            format!("{} {}", value["record"].as_str().unwrap(), value["call"])
        });
        lines.collect()
    };
    let all = ["verdict 1", "ended 1", "verdict 2", "ended 2"];
    assert_eq!(records(&["--dir", "ledger"]), all);
    assert_eq!(records(&["-c", "tollgate.toml", "--json", "lines"]), all);
    assert_eq!(records(&["--dir", "ledger", "--tenant", "kiku"]), all[..2]);
    assert_eq!(
        records(&["--dir", "ledger", "--since", "1970-01-03"]),
        all[2..]
    );
}

#[test]
fn who_asks_for_a_tenant_that_has_no_calls_is_told_who_has() {
    let files = Folder::new();
    fill(&files.path("ledger"));
    let said = files.tollgate(&["ledger", "export", "--dir=ledger", "--tenant=nobody"]);
    assert_eq!((said.code, said.out.as_str()), (Some(0), ""), "{said:?}");
    let hint = "the journal has no such record, nor any of a tenant `nobody`: it has calls of \
                kiku, other\n";
    assert!(said.err.ends_with(hint), "{said:?}");
}

#[test]
fn who_leaves_out_the_plus_is_told() {
    let files = Folder::new();
    let ledger = fill(&files.path("ledger"));
    drop(Indexing::start(ledger, Keep::default(), Now::default).unwrap());
    for command in [&["calls"][..], &["ledger", "export"]] {
        let asked = |number: &str| {
            files.tollgate(&[command, &["--dir", "ledger", "--number", number]].concat())
        };
        let said = asked("8133");
        assert_eq!((said.code, said.out.as_str()), (Some(0), ""), "{said:?}");
        assert!(said.err.contains("--number +8133"), "{said:?}");
        assert!(!asked("+8133").out.is_empty());
        assert!(!asked("+8134").err.contains("country"));
    }
}

#[test]
fn a_damaged_ledger_is_a_fault_and_still_exported() {
    let files = Folder::new();
    fill(&files.path("ledger"));
    let segment = files.path("ledger/shard-000/00000001.tgj");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    let said = files.tollgate(&["ledger", "export", "--dir", "ledger"]);
    assert_eq!(said.code, Some(1));
    assert!(said.out.contains("\"record\":\"damage\""), "{said:?}");
    assert_eq!(said.out.lines().count(), 4);
    assert!(said.err.contains("1 damaged place"), "{said:?}");
    files
        .tollgate(&["ledger", "export", "--dir", "none"])
        .is_one_line("none");
}

/// A ledger as a run leaves it: chained and signed.
fn fill_and_sign(directory: &Path) {
    let ledger = fill(directory);
    let chain = Chain::open(&ledger).unwrap();
    let follower = Follower::new(ledger, vec![Box::new(chain)], Now::default);
    follower.finish().unwrap();
}

#[test]
fn a_ledger_is_verified_where_it_is_or_as_a_copy() {
    let files = Folder::new();
    fill_and_sign(&files.path("ledger"));
    for arguments in [
        ["-c", "tollgate.toml"],
        ["ledger", "--key=ledger/public.key"],
    ] {
        let said = files.tollgate(&[&["ledger", "verify"], &arguments[..]].concat());
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
        let expected = "4 records, 1 checkpoint, the last one 1 of 1970-01-01T00:00:00Z\n\
                        intact: all of it is as it was signed\n";
        assert_eq!(said.out, expected);
    }
    std::fs::copy(
        files.path("ledger/checkpoints/1970-01-01.txt"),
        files.path("kept"),
    )
    .unwrap();
    let segment = files.path("ledger/shard-000/00000001.tgj");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    let said = files.tollgate(&["ledger", "verify", "ledger", "--expect", "kept"]);
    assert_eq!(said.code, Some(1));
    let place = "ledger/shard-000/00000001.tgj, bytes 64 to ";
    assert!(said.out.starts_with(place), "{said:?}");
    assert!(
        said.err.contains("2 places are not as they were signed"),
        "{said:?}"
    );

    for arguments in [
        ["none", "--key=ledger/public.key"],
        ["ledger", "--key=none"],
        ["ledger", "--expect=none"],
        ["ledger", "--expect=tollgate.toml"],
    ] {
        let said = files.tollgate(&[&["ledger", "verify"], &arguments[..]].concat());
        let named = arguments[1].split('=').next_back().unwrap();
        let named = if arguments[0] == "none" {
            "none"
        } else {
            named
        };
        said.is_one_line(named);
    }
}

#[test]
fn calls_are_listed_from_the_index() {
    let files = Folder::new();
    let ledger = fill(&files.path("ledger"));
    let said = files.tollgate(&["calls", "--dir", "ledger"]);
    said.is_one_line("there is no index here");
    drop(Indexing::start(ledger, Keep::default(), Now::default).unwrap());
    let said = files.tollgate(&["calls", "-c", "tollgate.toml"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    let expected = "1970-01-03T00:00:00Z  other  +81335570000  -> +81335571234  allow  busy\n\
                    1970-01-02T00:00:00Z  kiku   +81335570000  -> +81335571234  allow  busy\n";
    assert_eq!(said.out, expected);
    let said = files.tollgate(&["calls", "--dir=ledger", "--tenant=kiku", "--json"]);
    let call: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        (&call["number"], &call["status"]),
        (&"+81335571234".into(), &486.into())
    );
    for (wanted, hint) in [
        ("--number=+44", "tollgate: the index has no such call\n"),
        (
            "--tenant=nobody",
            "the index has no such call, nor any of a tenant `nobody`: it has calls of kiku, other\n",
        ),
        (
            "--since=2031-01-01",
            "the index has no such call: it has the days 1970-01-02 to 1970-01-03 (UTC)\n",
        ),
        (
            "--until=1970-01-01",
            "the index has no such call: it has the days 1970-01-02 to 1970-01-03 (UTC)\n",
        ),
    ] {
        let said = files.tollgate(&["calls", "--dir=ledger", wanted]);
        assert_eq!((said.code, said.out.as_str()), (Some(0), ""), "{said:?}");
        assert!(said.err.ends_with(hint), "{said:?}");
    }
    for command in [&["calls"][..], &["ledger", "export"]] {
        let turned = ["--dir=ledger", "--since=1970-01-03", "--until=1970-01-02"];
        files
            .tollgate(&[command, &turned].concat())
            .is_one_line("nothing lies between them");
    }
    let said = files.tollgate(&["calls", "--dir=ledger", "--limit=1"]);
    assert_eq!(said.out.lines().count(), 1);
    assert!(said.err.contains("there are more"), "{said:?}");
}

#[test]
fn an_incident_is_reported_on_one_page() {
    let files = Folder::new();
    fill_and_sign(&files.path("ledger"));
    let mut arguments = vec![
        "ledger",
        "report",
        "--dir",
        "ledger",
        "--tenant",
        "kiku",
        "--from",
        "1970-01-01",
    ];
    let said = files.tollgate(&arguments);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    for part in [
        "<html lang=\"en\">",
        "<tr><th>Let through</th><td>1</td></tr>",
        "<td>Japan (+81)</td>",
        "<td>1970-01-02 00:00:00 +00:00</td>",
        "<td>shard-000/00000001.tgj</td>",
        "<td>64 – ",
        "4 records; signed up to checkpoint 1, 1970-01-01 00:00:00 +00:00</td>",
        "tail -c +65 shard-000/00000001.tgj | head -c ",
        "<td>tollgate+",
        "The journal is as it was signed.",
    ] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    for outside in ["<script", "src=", "href=", "http"] {
        assert!(!said.out.contains(outside), "{outside}");
    }
    arguments.extend(["--language", "ja", "--zone", "Asia/Tokyo"]);
    let said = files.tollgate(&arguments);
    for part in [
        "<html lang=\"ja\">",
        "不正発信",
        "<td>日本 (+81)</td>",
        "1970-01-02 09:00:00 +09:00",
        // A day is one where the page's times are.
        "<p>1970-01-01 00:00:00 +09:00 – ",
    ] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    arguments.extend(["--indicators", "csv"]);
    assert_eq!(files.tollgate(&arguments).out, "kind,value,calls\r\n");

    arguments.truncate(arguments.len() - 4);
    arguments.extend(["--zone", "Nowhere"]);
    files
        .tollgate(&arguments)
        .is_one_line("there is no time zone `Nowhere`");

    // A tenant that the rules have no more has its page all the same.
    let of = |tenant| {
        let place = ["-c", "tollgate.toml", "--from", "1970-01-01"];
        files.tollgate(&[&["ledger", "report", "--tenant", tenant], &place[..]].concat())
    };
    let said = of("other");
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    of("nobody").is_one_line("there is no tenant `nobody`: there is kiku");

    // With the rules there is a price; and a page says what is not as it was signed.
    let segment = files.path("ledger/shard-000/00000001.tgj");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    let said = files.tollgate(&[
        "ledger",
        "report",
        "-c",
        "tollgate.toml",
        "--tenant",
        "kiku",
        "--from",
        "1970-01-01",
    ]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.err
            .contains("is not as it was signed, as the page says"),
        "{said:?}"
    );
    assert!(said.out.contains("NOT as they were signed"), "{}", said.out);
    assert!(said.out.ends_with("</html>\n"), "{}", said.out);
    let of = [
        "--dir=ledger",
        "--tenant=kiku",
        "--from=1970-01-01",
        "--language=ja",
    ];
    let said = files.tollgate(&[&["ledger", "report"], &of[..]].concat());
    for part in [
        "署名された内容と一致しない箇所",
        "バイト目): 改変または欠落により読み取れません",
    ] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    assert!(
        !said.out.contains("has signed") && !said.out.contains(", bytes "),
        "{}",
        said.out
    );
    let of = ["--tenant=kiku", "--from=1970-01-01", "--indicators=csv"];
    let said = files.tollgate(&[&["ledger", "report", "--dir=ledger"], &of[..]].concat());
    assert_eq!(
        (said.code, said.out.as_str()),
        (Some(1), "kind,value,calls\r\n"),
        "{said:?}"
    );
    assert!(
        said.err
            .contains("the journal is damaged, and what is printed"),
        "{said:?}"
    );
}

#[test]
fn segments_that_are_missing_are_a_fault_of_an_export() {
    let files = Folder::new();
    fill(&files.path("ledger"));
    let folder = files.path("ledger/shard-000");
    let bytes = std::fs::read(folder.join("00000001.tgj")).unwrap();
    std::fs::write(folder.join("00000004.tgj"), bytes).unwrap();
    let said = files.tollgate(&["ledger", "export", "--dir", "ledger"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("\"record\":\"verdict\""), "{said:?}");
}

/// What a crash leaves is told by each command, and a fault to none.
#[test]
fn a_last_record_that_was_cut_short_is_no_fault() {
    let files = Folder::new();
    fill_and_sign(&files.path("ledger"));
    let segment = files.path("ledger/shard-000/00000001.tgj");
    let mut bytes = std::fs::read(&segment).unwrap();
    let end = bytes.iter().rposition(|it| *it != 0).unwrap() + 1;
    bytes[end..end + 9].copy_from_slice(b"\x40\0\0\0half ");
    std::fs::write(&segment, &bytes).unwrap();
    let report = ["report", "--tenant=kiku", "--from=1970-01-01"];
    for (arguments, told) in [
        (&["verify"][..], "the last record was only written in part"),
        (&["export"], "\"record\":\"damage\""),
        (&report, "Worth knowing, and no fault:"),
    ] {
        let arguments = [&["ledger"], arguments, &["-c", "tollgate.toml"]].concat();
        let said = files.tollgate(&arguments);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
        assert!(said.out.contains(told), "{told}: {said:?}");
    }
}
