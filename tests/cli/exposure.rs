//! `exposure`: the most that can be lost.

use crate::folder::{Folder, Said};

const TARIFF: &str = "destination,setup,per_minute,first_pulse,next_pulse,currency\n\
                      jp.fixed,0,3,60,60,JPY\njp.mobile,5,18,60,60,JPY\n";

fn priced() -> Folder {
    let files = Folder::new();
    std::fs::create_dir(files.path("rules/tariffs")).unwrap();
    files.write("rules/tariffs/metro.csv", TARIFF);
    files.replace(
        "rules/tenants/kiku.toml",
        "plan ",
        "tariff = \"metro\"\nplan ",
    );
    files
}

fn exposure(files: &Folder, more: &[&str]) -> Said {
    files.tollgate(&[&["exposure", "-c", "tollgate.toml"], more].concat())
}

#[test]
fn the_most_is_said_with_what_sets_it() {
    let files = priced();
    let said = exposure(&files, &[]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    // Three at once for a day and an hour, and 24 times 60 set-ups and pulses.
    let most = 3 * 25 * 60 * 18 + 24 * 60 * 5 + 24 * 60 * 59 * 18 / 60;
    for what in [
        format!("kiku       JPY {most}").as_str(),
        "[caps] calls_at_once = 3",
        "[caps] calls_per_hour = 60",
        "jp.mobile, JPY 23 for a minute",
        "a carrier that ignores BYE",
        "a carrier without session timers",
        "a tariff that is wrong",
    ] {
        assert!(said.out.contains(what), "{what}: {}", said.out);
    }
    let json: serde_json::Value = serde_json::from_str(&exposure(&files, &["--json"]).out).unwrap();
    let tenant = &json["tenants"][0];
    assert_eq!(tenant["most"], most.to_string());
    assert_eq!(tenant["set_by"].as_array().unwrap().len(), 2);
    assert!(json["not_included"].as_array().unwrap().len() > 3);
}

#[test]
fn more_than_the_most_that_may_be_is_a_fault() {
    let files = priced();
    assert_eq!(exposure(&files, &["--max", "JPY 1000000"]).code, Some(0));
    let said = exposure(&files, &["--max", "JPY 1000"]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.err
            .contains("1 tenant can lose more than JPY 1000 in a day: kiku"),
        "{said:?}"
    );
    assert!(
        said.out.contains("kiku"),
        "the report is there all the same"
    );
    let said = exposure(&files, &["--max", "EUR 1000000"]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.err
            .contains("kiku loses JPY, which cannot be compared with EUR: give --max in JPY"),
        "{said:?}"
    );
    let said = exposure(&files, &["--max", "a lot"]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("JPY 10000"), "{said:?}");
}

#[test]
fn what_nothing_bounds_is_said_to_be_unbounded() {
    let files = Folder::new();
    let said = exposure(&files, &["--max", "JPY 1000000000"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.out.contains("unbounded: it has no tariff"),
        "{}",
        said.out
    );
    let files = priced();
    files.replace("rules/tenants/kiku.toml", "calls_per_hour = 60\n", "");
    let said = exposure(&files, &[]);
    assert!(
        said.out.contains("unbounded: it has no budget"),
        "{}",
        said.out
    );
}

#[test]
fn a_budget_sets_the_figure() {
    let files = priced();
    let tenant = std::fs::read_to_string(files.path("rules/tenants/kiku.toml")).unwrap();
    let budget = "[budget]\nper_day = \"JPY 3000\"\n";
    files.write("rules/tenants/kiku.toml", &format!("{tenant}{budget}"));
    let said = exposure(&files, &["--max", "JPY 3000"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("kiku       JPY 3000\n"), "{}", said.out);
    assert!(
        said.out.contains("[budget] per_day = \"JPY 3000\""),
        "{}",
        said.out
    );
    assert_eq!(files.check().err, "", "nothing is odd any more");
}
