//! The same messages as streams: however they are cut, they read the same.

use bytes::Bytes;
use tollgate::sip::{Broken, FaultKind, Frame, Framer};

/// What a framer made of a stream, in order.
#[derive(Debug, PartialEq)]
enum Item {
    Message(Bytes, Option<FaultKind>, usize),
    KeepAlive,
    Broken(Broken),
    /// It waits for more.
    Waits,
}

/// Reads `bytes` as a stream that comes in pieces of this size.
fn read(bytes: &[u8], piece: usize) -> Vec<Item> {
    let mut framer = Framer::new();
    let mut items = Vec::new();
    for piece in bytes.chunks(piece) {
        framer.push(piece);
        loop {
            items.push(match framer.next() {
                Ok(Some(Frame::KeepAlive)) => Item::KeepAlive,
                Ok(Some(Frame::Message(message))) => {
                    let fault = message.fault().map(|fault| fault.kind);
                    Item::Message(message.bytes().clone(), fault, message.body().len())
                }
                Ok(None) => break,
                Err(broken) => {
                    items.push(Item::Broken(broken));
                    return items;
                }
            });
        }
    }
    items.push(Item::Waits);
    items
}

/// Whether a stream of this message reads the same whole and byte by byte.
pub(crate) fn agree(name: &str, bytes: &[u8]) -> Result<(), String> {
    let whole = read(bytes, bytes.len().max(1));
    let apart = read(bytes, 1);
    if whole == apart {
        return Ok(());
    }
    let first = whole.iter().zip(&apart).find(|(one, two)| one != two);
    Err(format!("{name}: {first:?}"))
}
