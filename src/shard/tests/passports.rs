//! Identity (RFC 8224): what it signs goes on as it is, or the field does not.

use super::*;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// An Identity of a call from and to these numbers.
fn identity(caller: &str, called: &str) -> String {
    let claims = format!(r#"{{"dest":{{"tn":["{called}"]}},"iat":1,"orig":{{"tn":"{caller}"}}}}"#);
    let [header, claims] = [r#"{"alg":"ES256"}"#, &claims].map(|it| URL_SAFE_NO_PAD.encode(it));
    format!("{header}.{claims}.c2ln;info=<https://c.example/c.pem>;alg=ES256;ppt=shaken")
}

fn with(invite: &str, identities: &[&str]) -> String {
    let lines: String = identities
        .iter()
        .map(|it| format!("Identity: {it}\n"))
        .collect();
    invite.replacen("Max-Forwards", &format!("{lines}Max-Forwards"), 1)
}

/// What goes on of these, in a call from one peer to the other.
fn kept((from, to): (&str, &str), text: &str, identities: &[&str]) -> (Vec<String>, usize) {
    let mut world = World::new();
    let sent = world.send(from, &with(text, identities));
    let invite = sent.into_iter().find(|(other, _)| other == to).unwrap().1;
    let kept = invite
        .lines()
        .filter_map(|it| it.strip_prefix("Identity: "));
    let dropped = world.notes.iter();
    let dropped = dropped.filter(|it| it.starts_with("identity-dropped"));
    (kept.map(str::to_owned).collect(), dropped.count())
}

#[test]
fn an_identity_goes_on_where_what_it_signs_does() {
    let good = identity("81335570001", "442071838750");
    let other = identity("81335570001", "442071838751");
    let outbound = invite("+442071838750", "a1");
    let way = (PBX, CARRIER);
    assert_eq!(kept(way, &outbound, &[&good]), (vec![good.clone()], 0));
    assert_eq!(kept(way, &outbound, &[&other]), (vec![], 1));
    assert_eq!(
        kept(way, &outbound, &[&other, &good]),
        (vec![good.clone()], 1)
    );
    // As dialled, it is the same number, and so it is signed.
    let dialled = invite("010442071838750", "a1");
    assert_eq!(kept(way, &dialled, &[&good]), (vec![good.clone()], 0));
    // A caller who is not the tenant's is replaced, one who is not shown is not told.
    let foreign = outbound.replace("+81335570001@", "+81335579999@");
    let signed = identity("81335579999", "442071838750");
    assert_eq!(kept(way, &foreign, &[&signed]), (vec![], 1));
    let withheld = outbound.replacen("Max-Forwards", "Privacy: id\nMax-Forwards", 1);
    assert_eq!(kept(way, &withheld, &[&good]), (vec![], 1));
    // No more than a call needs.
    let many = [&*good; 5];
    assert_eq!(kept(way, &outbound, &many), (vec![good.clone(); 4], 1));
}

#[test]
fn a_carriers_identity_reaches_the_phone_system() {
    let good = identity("442071838750", "81335570005");
    let inbound = invite("+81335570005", "b1")
        .replace("127.0.0.3:5080", CARRIER)
        .replace("+81335570001@", "+442071838750@");
    let way = (CARRIER, PBX);
    assert_eq!(kept(way, &inbound, &[&good]), (vec![good.clone()], 0));
    let other = identity("442071838750", "81335570006");
    assert_eq!(kept(way, &inbound, &[&other]), (vec![], 1));
}
