//! Tollgate's accounts with carriers.

use super::{MAIN, TENANT, assert_has, compiled, shown, sources};

/// The main file with an account that says this besides.
fn with(text: &str) -> String {
    format!("{MAIN}[carrier.registration]\n{text}\n")
}

#[test]
fn what_is_not_said_goes_by_the_address() {
    let text = "aor = \"sip:0312345678@sip.example:5080\"\nsecret_env = \"X\"";
    let set = compiled(&sources(&with(text), &[TENANT]), false).unwrap();
    let account = set.carriers()[0].registration.as_ref().unwrap();
    let said = [&account.registrar, &account.username, &account.realm];
    assert_eq!(said, ["sip:sip.example:5080", "0312345678", "sip.example"]);
    assert_eq!((account.registers, account.expires_s), (true, 3_600));
    let more = "registrar = \"192.0.2.7\"\nusername = \"own\"\nrealm = \"Other Realm\"\n\
                expires = \"2m\"\nregister = false";
    let set = compiled(
        &sources(&with(&format!("{text}\n{more}")), &[TENANT]),
        false,
    )
    .unwrap();
    let account = set.carriers()[0].registration.as_ref().unwrap();
    let said = [&account.registrar, &account.username, &account.realm];
    assert_eq!(said, ["sip:192.0.2.7", "own", "Other Realm"]);
    assert_eq!((account.registers, account.expires_s), (false, 120));
}

#[test]
fn what_is_no_account_is_a_fault() {
    let aor = "aor = \"sip:0312345678@sip.example\"";
    let secret = "secret_env = \"X\"";
    for (text, parts) in [
        (secret.to_owned(), ["aor", "0312345678"]),
        (aor.to_owned(), ["no password", "secret_file"]),
        (
            format!("{aor}\n{secret}\nsecret_file = \"y\""),
            ["in two places", "leave out"],
        ),
        (
            format!("aor = \"sip:sip.example\"\n{secret}"),
            ["nobody's address", "without parameters"],
        ),
        (
            format!("aor = \"sip:1@sip.example;x=y\"\n{secret}"),
            ["nobody's address", "without parameters"],
        ),
        (
            format!("aor = \"tel:+81312345678\"\n{secret}"),
            ["nobody's address", "without parameters"],
        ),
        (
            format!("{aor}\n{secret}\nregistrar = \"a@b\""),
            ["no registrar", "domain name"],
        ),
        (
            format!("{aor}\n{secret}\nrealm = 'a\"b'"),
            ["cannot be a name", "without quotes"],
        ),
        (
            format!("{aor}\n{secret}\nexpires = \"59s\""),
            ["59s", "60 s at least"],
        ),
        (
            format!("{aor}\n{secret}\nsecret = \"SECRET\""),
            ["secret", "secret"],
        ),
    ] {
        let faults = shown(compiled(&sources(&with(&text), &[TENANT]), false));
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert_has(&faults[0], &parts);
    }
}
