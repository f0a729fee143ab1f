//! `explain`: what it says of numbers.

use crate::folder::{Folder, Said};

const CASES: [&str; 2] = [include_str!("cases.tsv"), include_str!("../cases.tsv")];

/// Asks about the shipped example.
fn explain(files: &Folder, arguments: &[&str]) -> Said {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/tollgate.toml");
    let head = ["explain", "-c", shipped, "--tenant", "acme"];
    files.tollgate(&[&head, arguments].concat())
}

fn json(said: &Said) -> serde_json::Value {
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

#[test]
fn every_case_has_its_verdict() {
    let files = Folder::new();
    let lines = CASES.iter().flat_map(|table| table.lines());
    let lines = lines.filter(|line| !line.starts_with('#') && !line.starts_with("request_uri\t"));
    let mut count = 0;
    for line in lines {
        let cells: Vec<&str> = line.split('\t').collect();
        let [uri, canonical, verdict, why] = cells[..] else {
            panic!("{line}");
        };
        let said = explain(&files, &["--json", uri]);
        let object = json(&said);
        assert_eq!(object["canonical"], canonical, "{uri}: {why}");
        assert_eq!(object["verdict"], verdict, "{uri}: {why}");
        let code = if verdict == "refuse" { 3 } else { 0 };
        assert_eq!(said.code, Some(code), "{uri}: {why}");
        assert_eq!(object["reason"].is_null(), verdict != "refuse", "{uri}");
        assert_eq!(said.err, "", "{uri}");
        count += 1;
    }
    assert!(count > 80);
}

/// The line of the tenant's file that the rule of an answer stands in.
fn ruled_by(object: &serde_json::Value) -> String {
    let rule = object["rule"].as_str().unwrap();
    let (file, line) = rule.rsplit_once(':').unwrap();
    assert!(file.ends_with("policies/tenants/acme.toml"), "{rule}");
    let text = std::fs::read_to_string(file).unwrap();
    let line = text.lines().nth(line.parse::<usize>().unwrap() - 1);
    line.unwrap_or_else(|| panic!("{rule}")).to_owned()
}

#[test]
fn the_rule_the_price_and_the_caps_are_named() {
    let files = Folder::new();
    let object = json(&explain(&files, &["--json", "+442079460000"]));
    assert_eq!(
        (&object["country"], &object["class"]),
        (&"gb".into(), &"fixed".into())
    );
    let line = ruled_by(&object);
    assert!(
        line.starts_with("allow") && line.contains("\"+44 20\""),
        "{line}"
    );
    assert_eq!(object["rule_text"], "allow \"+4420\"");
    assert_eq!(object["price"]["currency"], "JPY");
    assert_eq!(object["price"]["minute"], "20");
    let caps: Vec<&str> = object["caps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["text"].as_str().unwrap())
        .collect();
    for cap in [
        "[caps] calls_at_once = 30",
        "[[cap]] on \"international\" calls_at_once = 4",
    ] {
        assert!(caps.contains(&cap), "{caps:?}");
    }
    assert_eq!(object["longest_call"], 4 * 3_600);
    let denied = json(&explain(&files, &["--json", "+19005550100"]));
    assert_eq!(denied["reason"], "destination-denied");
    let line = ruled_by(&denied);
    assert!(
        line.starts_with("deny") && line.contains("\"+1 900\""),
        "{line}"
    );
}

#[test]
fn a_caret_stands_under_what_was_read() {
    let files = Folder::new();
    let said = explain(&files, &["184010442079460000"]);
    let expected = "  184010442079460000
  ^^^ do not show the caller's number
     ^^^ an international number follows
        ^^ the country's code: gb
          ^^^^^^^^^^ the number

  +442079460000  gb.fixed
";
    assert!(said.out.starts_with(expected), "{}", said.out);
    assert!(
        said.out.contains("JPY 20 for a minute (tariff jp-carrier)"),
        "{}",
        said.out
    );
    let sent = "sent as    +442079460000 to ";
    assert!(said.out.contains(sent), "{}", said.out);
    let said = explain(&files, &["--json", "184010442079460000"]);
    assert_eq!(json(&said)["sent_as"], "+442079460000");
    let said = explain(&files, &["sip:%2A01023279123456@pbx"]);
    let expected = "  sip:%2A01023279123456@pbx\n      ^ a number is made";
    assert!(said.out.starts_with(expected), "{}", said.out);
}

#[test]
fn a_caller_may_be_named() {
    let files = Folder::new();
    let shown = |caller| {
        let said = explain(&files, &["--json", "--caller", caller, "0355501234"]);
        json(&said)["caller"].as_str().unwrap().to_owned()
    };
    assert_eq!(shown("0335570042"), "+81335570042");
    assert_eq!(shown("+81335570042"), "+81335570042");
    assert_eq!(shown("tel:+81-3-3557-0042"), "+81335570042");
    assert_eq!(shown("+15550100"), "+81335570000", "not the tenant's");
}

#[test]
fn what_is_observed_is_said_to_be() {
    let files = Folder::new();
    files.replace("rules/tenants/kiku.toml", "\"enforce\"", "\"observe\"");
    let say = |number| {
        files.tollgate(&[
            "explain",
            "-c",
            "tollgate.toml",
            "--tenant",
            "kiku",
            "--json",
            number,
        ])
    };
    let said = say("+442079460000");
    assert_eq!(
        (json(&said)["verdict"].as_str(), said.code),
        (Some("observe"), Some(0))
    );
    assert_eq!(json(&said)["reason"], "destination-not-allowed");
    assert!(json(&said)["price"].is_null(), "there is no tariff");
    assert_eq!(
        say("*1").code,
        Some(3),
        "what has no number is never let go"
    );
    files
        .tollgate(&["explain", "-c", "tollgate.toml", "--tenant", "kuki", "1"])
        .is_one_line("no tenant `kuki`: there is kiku");
}
