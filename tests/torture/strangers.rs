//! Who is nobody's peer hears nothing, whatever it sends, however often.

use crate::core::Core;
use crate::generated::{Random, change};
use crate::places::Party;
use crate::wire::Wire;
use crate::world::World;

/// How much may be on its way: the least buffer that a kernel gives holds it.
const WINDOW_BYTES: usize = 60_000;

/// What the kernel counts for a datagram besides its bytes.
const OVERHEAD_BYTES: usize = 1500;

/// The messages in turn, and between them what was never meant as one.
fn datagrams(messages: &[Vec<u8>]) -> impl Iterator<Item = Vec<u8>> {
    let mut random = Random::new();
    (0_usize..).map(move |number| {
        let mut bytes = messages[number % messages.len()].clone();
        match number / messages.len() % 4 {
            0 => {}
            1 => bytes = random.next().to_le_bytes().repeat(1 + number % 50),
            _ => change(
                &mut bytes,
                &messages[random.below(messages.len())],
                &mut random,
            ),
        }
        bytes
    })
}

/// Nothing leaves the core, is written, or is left in it.
pub(crate) fn move_nothing_in(core: &mut Core, messages: &[Vec<u8>], flood: usize) {
    let stranger = core.places().of(Party::Stranger);
    for bytes in datagrams(messages).take(flood) {
        let left = core.take(stranger, &bytes);
        assert_eq!(left, [0; 3], "{}", String::from_utf8_lossy(&bytes));
    }
    core.rest();
}

/// Nothing arrives anywhere, and every datagram was seen and counted.
pub(crate) fn hear_nothing_from(mut wire: Wire, messages: &[Vec<u8>], flood: usize) {
    let stranger = wire.places().of(Party::Stranger);
    for port in [5060, 5061, 5070, 5080, 5099] {
        let mut address = stranger;
        address.set_port(port);
        wire.listen(address);
    }
    let mut heard = Vec::new();
    let mut under_way = 0;
    for bytes in datagrams(messages).take(flood) {
        let size = bytes.len() + OVERHEAD_BYTES;
        if under_way + size > WINDOW_BYTES && under_way > 0 {
            wire.probe();
            under_way = 0;
        }
        wire.send(stranger, &bytes);
        under_way += size;
    }
    wire.probe();
    wire.collect(&mut heard);
    assert!(heard.is_empty(), "{}", heard[0].show());
    let log = wire.stop();
    let counted = format!("{flood} from strangers");
    let last = log.lines().last().unwrap_or_default();
    assert!(last.contains(&counted), "not {counted}: {last}");
    assert!(!last.contains("lost"), "{last}");
}
