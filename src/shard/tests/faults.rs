//! What is wrong with a message, and what is said of it.

use super::*;

#[test]
fn a_malformed_request_is_answered_and_a_stranger_is_not() {
    let mut world = World::new();
    let broken = invite("+442071838750", "m1").replace("CSeq: 1 INVITE", "CSeq: 1 BYE");
    let sent = world.send(PBX, &broken);
    assert!(sent[0].1.starts_with("SIP/2.0 400 "));
    assert!(
        world
            .send("127.0.0.9:5060", &invite("110", "s1"))
            .is_empty()
    );
    assert_eq!(world.shard.counts(), Counts::default());
}

#[test]
fn what_is_not_supported_is_named_once_and_never_at_length() {
    let mut world = World::new();
    let long = "x".repeat(65);
    let extensions: String = (0..2_000).map(|at| format!("{:x},", at / 100)).collect();
    let asks = invite("+442071838750", "r1")
        .replace("X-Secret: inside", &format!("Require: {long},{extensions}"));
    let sent = world.send(PBX, &asks);
    assert!(sent[0].1.starts_with("SIP/2.0 420 "), "{sent:#?}");
    let named: Vec<&str> = header(&sent[0].1, "Unsupported").split(", ").collect();
    assert_eq!(
        named,
        [
            "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f"
        ]
    );
    assert!(sent[0].1.len() < asks.len());
}
