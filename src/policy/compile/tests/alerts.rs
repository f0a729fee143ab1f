use super::*;
use crate::policy::alerting::{Mail, SecretIn, Security};

const MAIL: &str = "[[alerts.mail]]\nfrom = \"a@b\"\nto = \"c@d\"\n";

fn mail(more: &str) -> Result<Mail, Vec<String>> {
    let sources = sources(&format!("{MAIN}{MAIL}{more}"), &[TENANT]);
    let compiled = compiled(&sources, false);
    match compiled {
        Ok(set) if set.warnings.is_empty() => Ok(set.run().alerts.mails[0].clone()),
        other => Err(shown(other)),
    }
}

#[test]
fn mail_goes_over_tls_unless_it_stays_here_or_the_file_says_so() {
    for (more, relay, security) in [
        ("relay = \"127.0.0.1:25\"", "127.0.0.1:25", Security::None),
        ("relay = \"[::1]\"", "[::1]:25", Security::None),
        (
            "relay = \"localhost:2525\"",
            "localhost:2525",
            Security::None,
        ),
        ("relay = \"192.0.2.1\"", "192.0.2.1:25", Security::StartTls),
        (
            "relay = \"Mail.example.net:587\"",
            "mail.example.net:587",
            Security::StartTls,
        ),
        (
            "relay = \"mail.example.net:465\"",
            "mail.example.net:465",
            Security::Implicit,
        ),
        (
            "relay = \"mail.example.net\"\ntls = \"implicit\"",
            "mail.example.net:465",
            Security::Implicit,
        ),
        (
            "relay = \"127.0.0.1:465\"\ntls = \"none\"",
            "127.0.0.1:465",
            Security::None,
        ),
        (
            "relay = \"127.0.0.1\"\ntls = \"starttls\"",
            "127.0.0.1:25",
            Security::StartTls,
        ),
        (
            "relay = \"localhost.example.net\"",
            "localhost.example.net:25",
            Security::StartTls,
        ),
    ] {
        let mail = mail(more).unwrap();
        assert_eq!(
            (mail.relay.to_string().as_str(), mail.security),
            (relay, security)
        );
    }
    let mail = mail(
        "relay = \"192.0.2.1:587\"\ntls_name = \"mail.example.net\"\nca = \"ca.pem\"\n\
         username = \"gate\"\nsecret_env = \"PASSWORD\"",
    );
    let mail = mail.unwrap();
    assert_eq!(mail.tls_name.as_deref(), Some("mail.example.net"));
    assert_eq!(mail.ca.as_deref(), Some("ca.pem"));
    let secret = SecretIn::Env("PASSWORD".to_owned());
    assert_eq!(mail.account, Some(("gate".to_owned(), secret)));
}

#[test]
fn what_makes_no_sense_of_a_relay_is_said() {
    for (more, fault) in [
        (
            "relay = \"192.0.2.1\"\ntls = \"none\"",
            "12:7 warning these alerts can be read on their way",
        ),
        (
            "relay = \"192.0.2.1\"\ntls = \"none\"\nusername = \"a\"\nsecret_env = \"S\"",
            "12:7 error the password would go through the network as it is",
        ),
        (
            "relay = \"192.0.2.1\"\nusername = \"a\"",
            "12:12 error the account has no password",
        ),
        (
            "relay = \"192.0.2.1\"\nusername = \"a b\"\nsecret_env = \"S\"",
            "12:12 error `a b` is no name of an account",
        ),
        (
            "relay = \"192.0.2.1\"\nsecret_env = \"S\"",
            "12:14 error there is a password, and no account that it is of",
        ),
        (
            "relay = \"192.0.2.1\"\ntls = \"yes\"",
            "12:7 error `yes` is no way to speak to a relay",
        ),
        (
            "relay = \"127.0.0.1\"\nca = \"ca.pem\"",
            "12:6 error the relay shows no certificate: it is spoken to in the clear",
        ),
        (
            "relay = \"192.0.2.1\"\ntls_name = \"*.example.net\"",
            "12:12 error no certificate can be for `*.example.net`",
        ),
        (
            "relay = \"mail.example.net:0\"",
            "11:9 error `mail.example.net:0` is no address",
        ),
        (
            "relay = \"smtp://mail.example.net\"",
            "11:9 error `smtp://mail.example.net` is no address",
        ),
    ] {
        let faults = mail(more).unwrap_err();
        assert_eq!(faults.len(), 1, "{more}: {faults:?}");
        let expected = format!("tollgate.toml:{fault}");
        assert!(faults[0].starts_with(&expected), "{more}: {faults:?}");
    }
}
