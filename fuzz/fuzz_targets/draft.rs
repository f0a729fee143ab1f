//! Whatever the phone system sends as an INVITE: what leaves for the carrier
//! parses again, and its number is the number that was judged.
#![no_main]

use std::cell::RefCell;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tollgate::record::{Record, frame};
use tollgate::sip::{Method, Uri, scan};
use tollgate_fuzz::{CARRIER, PBX, World};

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new());
}

fuzz_target!(|data: &[u8]| {
    WORLD.with_borrow_mut(|world| {
        let sent = world.receive(PBX, data);
        let judged = judged(world.out.records.bytes());
        for sent in sent.iter().filter(|sent| sent.to == CARRIER) {
            let message = scan(Bytes::copy_from_slice(&sent.bytes)).expect("it was checked");
            if message.method() != Some(Method::Invite) {
                continue;
            }
            let number = judged.as_deref().expect("no INVITE without a verdict");
            // RFC 5031's names leave as the numbers that the plan gives them.
            let emergency = ["110", "118", "119"];
            let Ok(Uri::Sip(uri)) = Uri::parse(message.uri().expect("a request")) else {
                panic!("no SIP URI goes to the carrier");
            };
            let user = String::from_utf8_lossy(uri.user.unwrap_or_default());
            match number.starts_with("urn:service:sos") {
                true => assert!(emergency.contains(&&*user), "{number} left as {user}"),
                false => assert_eq!(user, number),
            }
        }
        world.rest();
    });
});

/// The number of the last verdict that let a call go.
fn judged(mut records: &[u8]) -> Option<String> {
    let mut number = None;
    while let Ok(Some((record, rest))) = frame::next(records) {
        if let Record::Verdict {
            number: judged,
            b_call_id,
            ..
        } = record
            && !b_call_id.is_empty()
        {
            number = Some(judged.to_owned());
        }
        records = rest;
    }
    number
}
