//! The floor: a relay that looks at nothing. Whatever the phone system sends goes to
//! the carrier, and all else to the phone system.

use std::time::Duration;

use nix::sys::socket::SockaddrIn;

use crate::batch::{Port, wait};
use crate::{CALLEE, CALLER, GATE};

/// Moves datagrams until it is killed.
pub fn run() -> Result<(), String> {
    let address = |text: &str| text.parse::<std::net::SocketAddrV4>().map(SockaddrIn::from);
    let fault = |error: std::net::AddrParseError| error.to_string();
    let (caller, callee) = (
        address(CALLER).map_err(fault)?,
        address(CALLEE).map_err(fault)?,
    );
    let mut port = Port::open(GATE)?;
    let mut moved: Vec<(SockaddrIn, Vec<u8>)> = Vec::new();
    let mut spare: Vec<Vec<u8>> = Vec::new();
    loop {
        let count = port.receive(|from, bytes| {
            let to = if from == caller { callee } else { caller };
            let mut copy = spare.pop().unwrap_or_default();
            copy.clear();
            copy.extend_from_slice(bytes);
            moved.push((to, copy));
        });
        if count == 0 {
            wait(&[&port], Duration::from_secs(3_600));
            continue;
        }
        for (to, bytes) in moved.drain(..) {
            port.put(to, |out| out.extend_from_slice(&bytes));
            spare.push(bytes);
        }
        port.flush();
    }
}
