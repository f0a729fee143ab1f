//! When strangers are banned.

use std::time::Duration;

use super::{MAIN, TENANT, assert_has, compiled, shown, sources};
use crate::policy::Banning;

fn bans(text: &str) -> Result<Banning, Vec<String>> {
    let main = format!("{MAIN}\n[bans]\n{text}\n");
    let sources = sources(&main, &[TENANT]);
    match compiled(&sources, false) {
        Ok(set) => Ok(set.run().bans.clone()),
        faults => Err(shown(faults)),
    }
}

#[test]
fn what_is_not_said_is_as_it_is_without() {
    assert_eq!(bans(""), Ok(Banning::default()));
    let all = "messages = 500\nwithin = \"1m\"\nfor = \"2h\"\nnftables = \"tollgate\"";
    let expected = Banning {
        messages: 500,
        within: Duration::from_secs(60),
        lasts: Duration::from_secs(7_200),
        nftables: Some("tollgate".into()),
    };
    assert_eq!(bans(all), Ok(expected));
    assert_eq!(bans("messages = 0").unwrap().messages, 0);
}

#[test]
fn what_cannot_be_is_shown() {
    for (text, part) in [
        ("messages = 19", "20 to 1000000, or 0 for no bans"),
        ("messages = 5000000000", "20 to 1000000"),
        ("within = \"0s\"", "write 1 s at least"),
        ("within = \"2h\"", "write 3600 s at most"),
        ("for = \"999h\"", "write 2678400 s at most"),
        (
            "nftables = \"x; flush ruleset\"",
            "write letters, digits and _",
        ),
        ("nftables = \"\"", "write letters, digits and _"),
        ("message = 100", "`messages`"),
    ] {
        let faults = bans(text).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:#?}");
        assert_has(&faults[0], &[part]);
    }
}
