use proptest::prelude::*;

use super::*;
use crate::base::flow::{ListenerId, Transport};
use crate::base::time::Wall;
use crate::policy::samples;
use crate::sip::digest::{Algorithm, Answer, Asked, Challenge, Hash};
use crate::sip::scan;

const KEY: u128 = 7;
const HOME: &str = "192.0.2.9:5060";

fn rules() -> RuleSet {
    let mut rules = unread();
    assert!(rules.read_secrets(|_| Ok(b"SECRET".to_vec())).is_empty());
    rules
}

const MAIN: &str = r#"
[[listen]]
address = "udp:127.0.0.1:5060"
challenge = true
[[carrier]]
name = "upstream"
address = "udp:127.0.0.2:5070"
sources = ["127.0.0.2/32"]
"#;

fn unread() -> RuleSet {
    let accounts = "[[account]]\nusername = \"desk\"\nsecret_env = \"X\"\n";
    samples::rules(MAIN, &samples::tenant("127.0.0.3/32", accounts))
}

fn flow(source: &str) -> Flow {
    Flow::to(ListenerId(0), Transport::Udp, source.parse().unwrap())
}

fn at(seconds: u64) -> Mono {
    Mono::ZERO + Duration::from_secs(seconds)
}

/// A REGISTER of this account, that answers a challenge for `source` of that time.
struct Try<'a> {
    username: &'a str,
    password: &'a str,
    source: &'a str,
    made_s: u64,
    count: u32,
    uri: &'a str,
    cnonce: &'a str,
}

const GOOD: Try<'_> = Try {
    username: "desk",
    password: "SECRET",
    source: HOME,
    made_s: 100,
    count: 1,
    uri: "sip:tollgate",
    cnonce: "c",
};

impl Try<'_> {
    fn text(&self) -> String {
        let source = self.source.parse().unwrap();
        let algorithm = Algorithm::new(Hash::Sha256, false);
        let request = "REGISTER sip:tollgate SIP/2.0\r\n\r\n";
        let request = scan(bytes::Bytes::from_static(request.as_bytes())).unwrap();
        let when = (KEY, at(self.made_s));
        let asked = challenge(when, (&request, source), algorithm, false);
        let challenge = Challenge::parse(asked.as_bytes()).unwrap().unwrap();
        let answer = Answer {
            challenge: &challenge,
            cnonce: self.cnonce.as_bytes(),
            count: self.count,
        };
        let account = digest::Account {
            username: self.username.as_bytes(),
            password: self.password.as_bytes(),
        };
        let asked = Asked {
            method: b"REGISTER",
            uri: self.uri.as_bytes(),
        };
        let value = answer.write(&account, &asked).unwrap();
        let value = String::from_utf8(value).unwrap();
        format!("REGISTER sip:tollgate SIP/2.0\r\nAuthorization: {value}\r\n\r\n")
    }

    /// What comes of it: yes, no, or "stale".
    fn result(&self, rules: &RuleSet, from: &str, now: u64) -> &'static str {
        result(rules, &self.text(), from, now)
    }
}

fn result(rules: &RuleSet, text: &str, from: &str, now: u64) -> &'static str {
    let message = scan(bytes::Bytes::copy_from_slice(text.as_bytes())).unwrap();
    let fields = (&message, HeaderId::Authorization);
    match rules.prove((KEY, at(now)), flow(from), fields) {
        Proof::Given(account) => {
            assert_eq!(&*account.username, "desk");
            "yes"
        }
        Proof::Wanted { stale: true } => "stale",
        Proof::Wanted { stale: false } => "no",
    }
}

#[test]
fn an_answer_counts_once() {
    let rules = rules();
    assert_eq!(GOOD.result(&rules, HOME, 101), "yes");
    // The very same is a retransmission.
    assert_eq!(GOOD.result(&rules, HOME, 102), "yes");
    let again = Try {
        cnonce: "d",
        ..GOOD
    };
    assert_eq!(again.result(&rules, HOME, 103), "stale");
    assert_eq!(Try { count: 9, ..again }.result(&rules, HOME, 103), "yes");
    assert_eq!(Try { count: 8, ..GOOD }.result(&rules, HOME, 104), "stale");
}

#[test]
fn a_nonce_is_of_its_time_and_of_one_address() {
    let rules = rules();
    let late = 100 + NONCE_S;
    assert_eq!(GOOD.result(&rules, HOME, late), "yes");
    assert_eq!(GOOD.result(&rules, HOME, late + 1), "stale");
    assert_eq!(
        Try {
            made_s: 500,
            ..GOOD
        }
        .result(&rules, HOME, 400),
        "stale",
        "not made yet"
    );
    for other in ["192.0.2.9:5061", "192.0.2.8:5060", "[::1]:5060"] {
        assert_eq!(GOOD.result(&rules, other, 101), "no", "{other}");
    }
    let text = GOOD.text();
    let nonce = text.find("nonce=\"").unwrap() + 7;
    for (from, to) in [
        (nonce, nonce + 8),
        (nonce + 8, nonce + 12),
        (nonce + 12, nonce + 28),
    ] {
        let mut forged = text.clone();
        let digit = if &text[from..=from] == "1" { "2" } else { "1" };
        forged.replace_range(to - 1..to, digit);
        forged.replace_range(from..=from, digit);
        assert_eq!(result(&rules, &forged, HOME, 101), "no", "{forged}");
    }
}

#[test]
fn what_is_not_right_is_the_same_for_every_account() {
    for wrong in [
        Try {
            password: "SECRE",
            ..GOOD
        },
        Try {
            password: "",
            ..GOOD
        },
        Try {
            username: "nobody",
            ..GOOD
        },
        Try {
            username: "nobody",
            password: "",
            ..GOOD
        },
        Try {
            username: "DESK",
            ..GOOD
        },
        Try {
            uri: "sip:elsewhere",
            ..GOOD
        },
    ] {
        assert_eq!(wrong.result(&rules(), HOME, 101), "no");
    }
    let text = GOOD.text();
    for (from, to) in [
        ("realm=\"tollgate\"", "realm=\"other\""),
        ("qop=auth", "qop=auth-int"),
        ("Digest", "Basic"),
        ("Authorization", "Proxy-Authorization"),
    ] {
        assert_eq!(
            result(&rules(), &text.replacen(from, to, 1), HOME, 101),
            "no",
            "{to}"
        );
    }
}

#[test]
fn an_account_without_its_password_lets_nobody_in() {
    let rules = unread();
    assert_eq!(
        Try {
            password: "",
            ..GOOD
        }
        .result(&rules, HOME, 101),
        "no"
    );
}

#[test]
fn who_fails_too_often_is_not_heard_for_a_while() {
    let rules = rules();
    let wrong = Try {
        password: "x",
        ..GOOD
    };
    for _ in 0..TRIES {
        assert_eq!(wrong.result(&rules, HOME, 101), "no");
    }
    assert_eq!(
        GOOD.result(&rules, HOME, 101),
        "no",
        "whoever asks from there"
    );
    let later = 101 + crate::base::limits::TRIES_S;
    let fresh = Try {
        made_s: later,
        ..GOOD
    };
    assert_eq!(fresh.result(&rules, HOME, later), "yes");
}

#[test]
fn an_account_that_many_try_still_registers_from_where_it_is() {
    let rules = rules();
    rules.bind(Arc::new(binding("desk", "acme", HOME, 1_000)));
    let mut number = 0;
    while number < crate::base::limits::TRIES_OF_ACCOUNT {
        // From many places, a few tries each.
        let source = format!("198.51.{}.{}:5060", number % 250, number / 250 + 1);
        let wrong = Try {
            password: "x",
            source: &source,
            ..GOOD
        };
        assert_eq!(wrong.result(&rules, &source, 101), "no");
        number += 1;
    }
    let elsewhere = Try {
        source: "203.0.113.1:5060",
        ..GOOD
    };
    assert_eq!(elsewhere.result(&rules, "203.0.113.1:5060", 101), "no");
    assert_eq!(GOOD.result(&rules, HOME, 101), "yes");
}

const TRIES: u32 = crate::base::limits::TRIES_OF_SOURCE;

fn binding(account: &str, tenant: &str, at: &str, until: u64) -> Binding {
    Binding {
        account: account.into(),
        tenant: tenant.into(),
        flow: flow(at),
        contact: b"sip:x@y".as_slice().into(),
        bulk: false,
        path: b"".as_slice().into(),
        until: Mono::ZERO + Duration::from_secs(until),
        since: Wall::default(),
        noted: Mono::ZERO,
        call_id: b"c".as_slice().into(),
        cseq: 1,
    }
}

proptest! {
    /// Against a list of what was put last: each account is where it was, an address is
    /// one tenant's, and a tenant is reached as long as an account of it is bound.
    #[test]
    fn bindings_are_those_that_were_put(
        steps in prop::collection::vec((0_u8..3, 0_usize..4, 0_u8..3, 1_u64..20), 0..40),
    ) {
        let bindings = Bindings::default();
        let mut model: Vec<(String, String, String, u64)> = Vec::new();
        for (what, account, place, until) in steps {
            // Two accounts a tenant.
            let (name, tenant) = (format!("a{account}"), format!("t{}", account / 2));
            let place = format!("192.0.2.{place}:5060");
            match what {
                0 => {
                    let gone = bindings.put(Arc::new(binding(&name, &tenant, &place, until)));
                    let others = |it: &&(String, String, String, u64)| it.0 != name && it.2 == place && it.1 != tenant;
                    prop_assert_eq!(gone.len(), model.iter().filter(others).count());
                    model.retain(|it| it.0 != name && (it.2 != place || it.1 == tenant));
                    model.push((name, tenant, place, until));
                }
                1 => {
                    bindings.remove(&name);
                    model.retain(|it| it.0 != name);
                }
                _ => {
                    bindings.keep(at(until), |_| true);
                    model.retain(|it| it.3 > until);
                }
            }
            for number in 0..4 {
                let name = format!("a{number}");
                let known = model.iter().find(|it| it.0 == name);
                let found = bindings.of(&name);
                let found = found.as_ref().map(|it| it.flow.remote.to_string());
                prop_assert_eq!(found, known.map(|it| it.2.clone()));
            }
            for place in 0..3 {
                let place = format!("192.0.2.{place}:5060");
                let known = model.iter().find(|it| it.2 == place).map(|it| it.1.clone());
                let found = bindings.at(flow(&place));
                prop_assert_eq!(found.as_deref(), known.as_deref());
            }
            for tenant in ["t0", "t1"] {
                let reached = bindings.towards(tenant);
                prop_assert_eq!(reached.is_some(), model.iter().any(|it| it.1 == tenant));
                prop_assert!(reached.is_none_or(|it| &*it.tenant == tenant));
            }
        }
        bindings.keep(at(1_000), |_| true);
        prop_assert!(bindings.is_empty());
    }
}
