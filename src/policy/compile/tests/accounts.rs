//! Phone systems that register, and addresses that anybody can forge.

use super::{MAIN, TENANT, assert_has, compiled, shown, sources};

const ACCOUNT: &str = "[[account]]\nusername = \"desk\"\nsecret_env = \"X\"\n";

#[test]
fn an_account_is_one_tenants() {
    let set = compiled(&sources(MAIN, &[&format!("{TENANT}{ACCOUNT}")]), false).unwrap();
    assert!(set.has_accounts() && set.warnings().is_empty());
    let found = shown(compiled(
        &sources(MAIN, &[&format!("{TENANT}{ACCOUNT}{ACCOUNT}")]),
        false,
    ));
    assert_has(&found[0], &["two accounts are called `desk`", "t/0.toml:"]);
    let without = ACCOUNT.replace("secret_env = \"X\"\n", "");
    let found = shown(compiled(
        &sources(MAIN, &[&format!("{TENANT}{without}")]),
        false,
    ));
    assert_has(&found[0], &["no password", "secret_file"]);
    let registered = format!("{TENANT}[inbound]\ndeliver_to = \"registered\"\n");
    let found = shown(compiled(&sources(MAIN, &[&registered]), false));
    assert_has(&found[0], &["nobody can register", "[[account]]"]);
    // Without `sources` its calls are no stranger's.
    let sources = sources(MAIN, &[&TENANT.replace("sources = [\"127.0.0.3/32\"]", "")]);
    assert_has(
        &shown(compiled(&sources, false)).concat(),
        &["no `sources`"],
    );
}

#[test]
fn a_listener_says_what_its_challenges_ask_for() {
    let with = |text: &str| {
        MAIN.replace(
            "5060\"\n[[carrier]]",
            &format!("5060\"\n{text}\n[[carrier]]"),
        )
    };
    let set = compiled(&sources(&with("challenge = true"), &[TENANT]), false).unwrap();
    assert_eq!(set.listeners()[0].algorithms.len(), 2);
    let main = with("algorithms = [\"md5\"]");
    let set = compiled(&sources(&main, &[TENANT]), false).unwrap();
    assert_eq!(set.listeners()[0].algorithms.len(), 1);
    for wrong in ["[\"MD4\"]", "[\"MD5-sess\"]", "[\"MD5\", \"md5\"]"] {
        let main = with(&format!("algorithms = {wrong}"));
        let found = shown(compiled(&sources(&main, &[TENANT]), false));
        assert_has(&found[0], &["no algorithm", "SHA-512-256"]);
    }
}

#[test]
fn a_public_address_over_udp_is_warned_of() {
    let main = |bind: &str| MAIN.replace("udp:127.0.0.1:5060\"", &format!("{bind}\""));
    let from = |source: &str| TENANT.replace("127.0.0.3/32", source);
    for (bind, source, warned) in [
        ("udp:192.0.2.1:5060", "203.0.113.5/32", true),
        ("udp:127.0.0.1:5060", "203.0.113.5/32", false),
        ("udp:192.0.2.1:5060", "10.0.0.5/32", false),
        ("udp:192.0.2.1:5060", "100.64.0.5/32", false),
        // Half of it is outside.
        ("udp:192.0.2.1:5060", "10.0.0.0/7", true),
    ] {
        let found = shown(compiled(&sources(&main(bind), &[&from(source)]), false));
        let found = found.concat();
        assert_eq!(
            found.contains("anybody can send as"),
            warned,
            "{bind} {source}: {found}"
        );
    }
}
