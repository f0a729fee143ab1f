//! The length of an INVITE: what it takes to index it, and to read all that a call needs.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use tollgate::sip::scan;

use crate::invite;
use crate::meter::used;
use crate::table::Table;

const MESSAGES: usize = 1_024;

pub fn measure() -> Table {
    let columns = [
        "bytes of an INVITE",
        "index of its head (ns)",
        "and every field of a call (ns)",
    ];
    let mut table = Table::new("The length of messages", columns);
    for fields in [0, 4, 8, 16, 32, 44] {
        let messages: Vec<Bytes> = (0..MESSAGES).map(|at| longer(at, fields)).collect();
        let length = messages.iter().map(Bytes::len).sum::<usize>() / MESSAGES;
        let index = best(&messages, |message| {
            black_box(scan(message).unwrap());
        });
        let all = best(&messages, |message| {
            let message = scan(message).unwrap();
            invite::read(&message).unwrap();
        });
        table.row(length as f64, [index, all]);
    }
    table
}

/// An INVITE with more fields, such as proxies add.
fn longer(at: usize, fields: usize) -> Bytes {
    let text = invite::invite(at);
    let end = text.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
    let mut longer = text[..end].to_vec();
    for field in 0..fields {
        let more = format!(
            "\r\nX-Proxy-{field}: {}",
            "so it goes on, and on;".repeat(6)
        );
        longer.extend_from_slice(more.as_bytes());
    }
    longer.extend_from_slice(&text[end..]);
    longer.into()
}

fn best(messages: &[Bytes], mut work: impl FnMut(Bytes)) -> f64 {
    let mut best = Duration::MAX;
    for _ in 0..50 {
        let began = used();
        for message in messages {
            work(black_box(message.clone()));
        }
        best = best.min(used().saturating_sub(began));
    }
    best.as_nanos() as f64 / messages.len() as f64
}
