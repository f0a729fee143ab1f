//! What an emergency call sends on of an INVITE that would be refused otherwise.

use super::*;
use crate::sip::HeaderId;

/// What reaches the carrier for an emergency INVITE with these fields in it, too.
fn leaves(more: &str) -> String {
    let mut world = World::new();
    let text = invite("119", "e1").replace("Supported:", &format!("{more}Supported:"));
    let sent = world.send(PBX, &text);
    let to_carrier = sent.into_iter().find(|(to, _)| to == CARRIER);
    to_carrier.unwrap_or_else(|| panic!("{text}")).1
}

/// It is a message that anybody reads.
fn sound(text: &str) {
    let message = scan(Bytes::copy_from_slice(text.as_bytes())).unwrap();
    assert_eq!(message.fault(), None, "{text}");
}

#[test]
fn a_field_that_comes_twice_leaves_once() {
    for name in [
        "Content-Type",
        "Content-Disposition",
        "MIME-Version",
        "RSeq",
        "Max-Forwards",
    ] {
        let value = if name == "RSeq" { "7" } else { "70" };
        let field = format!("{name}: {value}\n");
        let text = leaves(&field.repeat(3));
        sound(&text);
        let id = HeaderId::lookup(name.as_bytes());
        assert!(id.single(), "{name}");
        let lines = text.lines().filter(|it| it.starts_with(name));
        assert!(lines.count() <= 1, "{text}");
    }
}

#[test]
fn no_call_leaves_with_more_fields_than_are_read() {
    for count in [40, 56, 300] {
        sound(&leaves(&"Accept: application/sdp\n".repeat(count)));
    }
    // Nor does any other call.
    let mut world = World::new();
    let text = invite("+442071838750", "o1");
    let fields = text.lines().take_while(|it| !it.is_empty()).count() - 1;
    let more = "Accept: application/sdp\n".repeat(crate::sip::scan::MAX_FIELDS - fields);
    let text = text.replace("Supported:", &format!("{more}Supported:"));
    for (_, text) in world.send(PBX, &text) {
        sound(&text);
    }
}
