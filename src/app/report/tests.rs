//! A page with everything on it that there can be.

use super::*;
use crate::app::cli::Language;
use crate::base::time::Wall;
use crate::ledger::{Finding, Journal, Ledger, Remark, Wrong};
use crate::policy::Reason;
use crate::record::frame::Damage;
use crate::record::{Buffer, CallRef, Decision, Direction, Record};

const AT: Wall = Wall::from_micros(1_800_000_000_000_000);

/// Numbers of a country and of none, of kinds without a country, and none at all.
const NUMBERS: [&str; 12] = [
    "+23276123456",
    "+80012345678",
    "+80812345678",
    "+87812345678901",
    "+882161234567",
    "+8835100012345",
    "+88812345678",
    "+97912345678",
    "+2109",
    "+870773123456",
    "110",
    "",
];

fn verdict<'r>(call: u64, reason: &'r str, number: &'r str) -> Record<'r> {
    Record::Verdict {
        call: CallRef(call),
        wall: AT,
        tenant: "acme",
        source: "192.0.2.7:5060".parse().unwrap(),
        direction: Direction::Outbound,
        caller: b"+81335570000",
        received_uri: b"sip:0@192.0.2.1",
        number,
        decision: Decision::Refuse,
        reason,
        rule_file: "",
        rule_line: 0,
        value: 0,
        threshold: 0,
        rules_hash8: 0,
        a_call_id: b"a",
        b_call_id: b"",
        carrier: "",
    }
}

fn ordered<'r>(order: &'r str, detail: &'r str) -> Record<'r> {
    Record::Ordered {
        wall: AT,
        order,
        tenant: "",
        detail,
        hang_up: true,
        lasts_s: 3_600,
        uid: 0,
        by: "",
        why: "",
    }
}

/// All of a tenant that the journal can tell.
fn told(journal: &mut Journal) {
    let mut buffer = Buffer::new();
    let mut add = |record: &Record<'_>| buffer.append(record).unwrap();
    for (call, reason) in (0..).zip(Reason::ALL) {
        add(&verdict(call, reason.code(), ""));
    }
    for (call, number) in (100..).zip(NUMBERS) {
        add(&verdict(call, "no-price", number));
    }
    let message = b"INVITE sip:x SIP/2.0\r\nUser-Agent: 7\r\n\r\n";
    add(&verdict(200, "no-price", ""));
    add(&Record::Invite {
        call: CallRef(200),
        message,
    });
    let sights = "5 of 3, number none, from 192.0.2.1: 7:7: 7";
    let patterns = Reason::PATTERNS.iter().map(|it| (it.code(), sights));
    let others = [
        ("shed", "12 new, 3 under way, 1 EMERGENCY CALLS"),
        ("transferred", "call 17 goes on with sip:+232@192.0.2.1"),
        (
            "transfer-refused",
            "the phone system would transfer a call to no number: no-transfers",
        ),
        (
            "redirect-refused",
            "7 redirected a call to +442071838750 to +232: no-price",
        ),
    ];
    for (what, detail) in patterns.chain(others) {
        add(&Record::Note {
            wall: AT,
            what,
            detail: &format!("acme: {detail}"),
            count: 1,
        });
    }
    for (order, detail) in [
        ("block", "everything"),
        ("block", "international"),
        ("unblock", "everything"),
        ("clock", "90 s ahead"),
        ("lift-ban", "all 3"),
    ] {
        add(&ordered(order, detail));
    }
    add(&Record::Reset {
        wall: AT,
        tenant: "acme",
        resets: 1,
        by: "",
        why: "",
    });
    journal.append(buffer.bytes()).unwrap();
}

fn report() -> Report {
    let file = || PathBuf::from("7");
    let finding = |what| Finding {
        file: file(),
        from: 1,
        to: Some((file(), 2)),
        what,
    };
    let late = Wrong::Late {
        records: 1,
        first: AT,
        last: AT,
        signed: AT,
        number: 1,
    };
    Report {
        findings: vec![finding(Wrong::Damaged(Damage::Torn))],
        late: vec![finding(late)],
        remarks: vec![
            Remark::PartialCheckpoint { file: file() },
            Remark::PartialRecord {
                segment: file(),
                byte: 1,
            },
            Remark::EarlierCheckpoint {
                before: (1, AT),
                later: (2, AT),
            },
            Remark::EarlierRecords {
                shard: 0,
                times: 1,
                segment: file(),
                byte: 1,
                from: AT,
                to: AT,
            },
            Remark::SignedLater {
                shard: 0,
                times: 1,
                segment: file(),
                byte: 1,
                written: AT,
                signed: AT,
            },
            Remark::Gap {
                shard: 0,
                segment: file(),
                byte: 1,
                from: AT,
                to: AT,
            },
        ],
        checkpoints: 1,
        last: Some((1, AT)),
        records: 9,
        unsigned: 1,
    }
}

fn page_in(language: Language, directory: &Path) -> String {
    let span = Span {
        tenant: "acme".to_owned(),
        from: Wall::from_micros(AT.as_micros() - 1),
        to: Wall::from_micros(AT.as_micros() + 1),
    };
    let mut reader = Reader::open(directory).unwrap();
    let mut told = incident(&mut reader, &span, &|number| names::place(language, number)).unwrap();
    (told.damaged, told.live, told.more_events) = (1, 1, 1);
    told.cost.insert("JPY".to_owned(), 1_500_000);
    page(&Facts {
        span: &span,
        told: &told,
        saved: &BTreeMap::from([("JPY".to_owned(), 1_000_000)]),
        key: "7",
        report: &report(),
        zone: TimeZone::UTC,
        now: AT,
        language,
    })
}

/// What a reader sees: without markup, and without the commands to type.
fn visible(page: &str) -> String {
    let mut text = page.to_owned();
    for (from, to) in [("<style>", "</style>"), ("<pre>", "</pre>"), ("<", ">")] {
        while let Some(begin) = text.find(from) {
            let end = text[begin..].find(to).unwrap() + begin + to.len();
            text.replace_range(begin..end, " ");
        }
    }
    text
}

#[test]
fn a_page_in_japanese_has_no_english_on_it() {
    let folder = std::env::temp_dir().join(format!("tollgate-page-{}", std::process::id()));
    let ledger = Ledger::open(&folder).unwrap().with_segment_size(4096);
    told(&mut Journal::open(&ledger, 0, AT).unwrap());
    let [english, japanese] = [Language::En, Language::Ja].map(|it| page_in(it, &folder));
    std::fs::remove_dir_all(&folder).unwrap();
    let rows = |page: &str| page.matches("<tr").count() + page.matches("<p").count();
    assert_eq!(rows(&english), rows(&japanese));
    for reason in Reason::ALL {
        assert!(
            japanese.contains(&format!(" ({})", reason.code())),
            "{reason:?}"
        );
    }

    // Names, and what stands so in the journal and in SIP.
    let codes = Reason::ALL.iter().map(|it| format!("({})", it.code()));
    let names = [
        "Tollgate",
        "INVITE",
        "REFER",
        "BLAKE3",
        "TLS",
        "UTC",
        "sips:",
        "sip:",
        "shard-000/",
        ".tgj",
        "public.key",
        "acme",
        "checkpoints",
        "T08:00:00Z",
        "3xx",
        "IP",
    ];
    let mut text = visible(&japanese);
    for known in codes.chain(names.map(str::to_owned)) {
        text = text.replace(&known, "");
    }
    let hash = |word: &str| word.len() == 64 && word.bytes().all(|it| it.is_ascii_hexdigit());
    let left: Vec<&str> = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| word.chars().filter(char::is_ascii_alphabetic).count() > 1 && !hash(word))
        .collect();
    assert_eq!(left, Vec::<&str>::new(), "{text}");
}
