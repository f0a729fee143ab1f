//! Bad files, given to a Tollgate that runs: each is refused with what is wrong,
//! where, and what to do about it, and the rules in force stay.

use std::fs::{File, remove_file};

use serde_json::Value;

use crate::folder::Folder;
use crate::run::{Running, folder};

const HEADING: &str = "destination,setup,per_minute,first_pulse,next_pulse,currency\n";
const PLAN: &str = "rules/plans/jp.toml";
const TENANT: &str = "rules/tenants/kiku.toml";
const TARIFF: &str = "rules/tariffs/metro.csv";
const NUMBERING: &str = "rules/numbering/table.tsv";
const OTHER: &str = "rules/tenants/ume.toml";

/// A file, a text in it, what stands there instead, and what must be said of it.
type Case = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

const CASES: [Case; 15] = [
    (
        NUMBERING,
        "813[1-9]\tjp\tfixed",
        "813[1-9]\tjp\tcheap",
        &["table.tsv:", "the class is none", "delete the file"],
    ),
    (
        NUMBERING,
        "version\t",
        "verse\t",
        &["table.tsv:", "no numbering table"],
    ),
    (
        TARIFF,
        "per_minute,",
        "",
        &[
            "metro.csv:1:1: error: the column `per_minute` is missing",
            "the first line is destination,setup",
        ],
    ),
    (
        TARIFF,
        "us,0,9",
        "jp.fixed,0,4,60,60,JPY\nus,0,9",
        &["metro.csv:4:1", "has a price already", "metro.csv:2"],
    ),
    (
        TARIFF,
        "us,0,9",
        "+1 212,0,9,6,6,JPY\n+1212,0,9",
        &["metro.csv:5:1", "has a price already", "metro.csv:4"],
    ),
    (
        TARIFF,
        "us,0,9",
        "us,0,-9",
        &[
            "metro.csv:4:6",
            "`-9` is no `per_minute`",
            "write 0, or what it charges",
        ],
    ),
    (
        TARIFF,
        "6,6,JPY",
        "6,6,USD",
        &[
            "metro.csv:4:12",
            "`USD` in a tariff in JPY",
            "one tariff for each currency",
        ],
    ),
    (
        TENANT,
        "JPY 3000",
        "EUR 3000",
        &["kiku.toml:", "in EUR, the tariff in JPY"],
    ),
    (
        PLAN,
        "carrier_codes   = []",
        "carrier_codes = [\"1841\"]",
        &["jp.toml:8:", "1841", "help"],
    ),
    (
        PLAN,
        "prefixes = [\"010\", \"+\"]",
        "prefixes = [\"010\", \"+\", \"0\"]",
        &["jp.toml:", "error", "help"],
    ),
    (
        OTHER,
        "127.0.0.10/32",
        "127.0.0.9/32",
        &[
            "ume.toml:9:12",
            "`127.0.0.9/32` is claimed twice",
            "kiku.toml:10",
        ],
    ),
    (
        OTHER,
        "127.0.0.10/32",
        "127.0.0.2",
        &["ume.toml:9:12", "claimed twice", "tollgate.toml:8"],
    ),
    (
        TENANT,
        "calls_at_once  = 3",
        "calls_at_once  = 0",
        &["kiku.toml:21:18", "a cap of 0", "`deny`"],
    ),
    (
        TENANT,
        "calls_at_once  = 3",
        "calls_at_once  = -3",
        &["kiku.toml:21:18", "takes a whole number"],
    ),
    (
        TENANT,
        "calls_at_once  = 3",
        "calls_at_once  = 99999999999999999999",
        &["kiku.toml:21:18", "takes a whole number"],
    ),
];

const SECOND: &str = "name      = \"ume\"
plan      = \"jp\"
time_zone = \"Asia/Tokyo\"
carriers  = [\"metro\"]
[callers]
own     = [\"+81335580000\"]
default = \"+81335580000\"
[identify]
sources = [\"127.0.0.10/32\"]
[destinations]
allow = [\"jp.fixed\"]
";

fn good() -> Folder {
    let files = folder();
    std::fs::create_dir(files.path("rules/tariffs")).unwrap();
    let rows = "jp.fixed,0,3,60,60,JPY\njp.mobile,5,18,60,60,JPY\nus,0,9,6,6,JPY\n";
    files.write(TARIFF, &format!("{HEADING}{rows}"));
    files.write(OTHER, SECOND);
    std::fs::create_dir(files.path("rules/numbering")).unwrap();
    files.write(
        NUMBERING,
        include_str!("../../policies/numbering/table.tsv"),
    );
    files.replace(TENANT, "plan ", "tariff    = \"metro\"\nplan ");
    let tenant = std::fs::read_to_string(files.path(TENANT)).unwrap();
    files.write(
        TENANT,
        &format!("{tenant}[budget]\nper_day = \"JPY 3000\"\n"),
    );
    files
}

/// The hash of the rules in force, and how many tenants they have.
fn in_force(files: &Folder) -> (String, Value) {
    let said = files.tollgate(&["status", "-c", "tollgate.toml", "--json"]);
    let status: Value = serde_json::from_str(&said.out).unwrap();
    let rules = &status["rules"];
    (rules["hash"].to_string(), rules["tenants"].clone())
}

#[test]
fn bad_files_are_refused_and_the_rules_in_force_stay() {
    let files = good();
    let mut running = Running::start(&files, &[]);
    running.says("listening on UDP");
    let before = in_force(&files);
    assert_eq!(before.1, 2);
    let mut wrong = Vec::new();
    let mut refused = |what: &str, parts: &[&str]| {
        let said = files.tollgate(&["reload", "-c", "tollgate.toml"]);
        assert_eq!(said.code, Some(1), "{what}: {said:?}");
        let missing = parts.iter().filter(|part| !said.err.contains(**part));
        wrong.extend(missing.map(|part| format!("{what}: {part}: {}", said.err)));
        assert!(
            said.err.contains("the rules stay as they were"),
            "{what}: {}",
            said.err
        );
        assert_eq!(in_force(&files), before, "{what}");
    };
    for (name, from, to, parts) in CASES {
        let good = std::fs::read_to_string(files.path(name)).unwrap();
        files.replace(name, from, to);
        refused(to, parts);
        files.write(name, &good);
    }
    // Files of 100 MB, of nothing but zeros.
    for (name, most) in [
        ("rules/tenants/large.toml", "larger than 4 MB"),
        ("rules/plans/large.toml", "larger than 4 MB"),
        ("rules/tariffs/large.csv", "larger than 50 MB"),
        (NUMBERING, "larger than 4 MB"),
    ] {
        let large = File::create(files.path(name)).unwrap();
        large.set_len(100_000_000).unwrap();
        refused(name, &[name, most, ": "]);
        remove_file(files.path(name)).unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // And good ones come into force all the same; without a table, the one that is
    // compiled in, which is the same.
    let reload = || {
        let said = files.tollgate(&["reload", "-c", "tollgate.toml"]);
        assert_eq!(said.code, Some(0), "{said:?}");
        in_force(&files)
    };
    assert_eq!(reload(), before);
    files.replace(TENANT, "calls_at_once  = 3", "calls_at_once  = 4");
    let after = reload();
    assert_ne!(after, before);
    let table = include_str!("../../policies/numbering/table.tsv");
    let table = table.replace("8150[1-9]\tjp\tip", "8150[1-9]\tjp\tpremium");
    files.write(NUMBERING, &table);
    assert_ne!(reload(), after);
    running.stop();
}

/// Any bytes as a number: those that a command line can have.
#[test]
fn whatever_is_asked_about_has_an_answer() {
    let files = good();
    let long = "9".repeat(100_000);
    for number in [
        "\u{1}",
        "\u{7f}",
        "%",
        "%%",
        "%00",
        "%zz",
        "+",
        "++1",
        ";",
        "@",
        "a@b@c",
        "sip:",
        "sip:@",
        "tel:",
        "urn:",
        "urn:service:",
        "sip:+1@[",
        "\u{FF11}",
        "\u{202E}110",
        "🐛",
        "-1",
        "0x10",
        "1e9",
        "NaN",
        "' OR 1=1",
        "<sip:1@x>",
        "sip:1@x;;;",
        "sip:1@x?a",
        &long,
    ] {
        let asked = [
            "explain",
            "-c",
            "tollgate.toml",
            "--tenant",
            "kiku",
            "--json",
            "--",
        ];
        let said = files.tollgate(&[&asked[..], &[number]].concat());
        assert_eq!(said.code, Some(3), "{number:.40}: {said:?}");
        let answer: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(answer["verdict"], "refuse", "{number:.40}");
        assert_eq!(answer["canonical"], "-", "{number:.40}");
        assert_eq!(answer["reason"], "no-single-meaning", "{number:.40}");
    }
}
