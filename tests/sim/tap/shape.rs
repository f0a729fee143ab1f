//! The looks of every packet that the core sends: what its headers must say,
//! and what must not be found in them.

use memchr::memmem::Finder;

use super::Sent;
use crate::text::Host;
use crate::wire::{Method, Wire};

/// Searches made ready.
pub struct Shape {
    pbx: [Finder<'static>; 2],
    carrier: [Finder<'static>; 2],
}

/// What marks the PBXs' side, and the carriers'.
pub const PBX_MARK: &str = "sekret";
pub const CARRIER_MARK: &str = "hidden";

impl Shape {
    /// Ready to check.
    pub fn new() -> Self {
        Self {
            pbx: [Finder::new(PBX_MARK), Finder::new("10.1.")],
            carrier: [Finder::new(CARRIER_MARK), Finder::new("10.9.")],
        }
    }

    /// Checks a packet to `host`, which answers `asked` if it is a response.
    pub fn check(&self, packet: &Sent, host: &Host, asked: Option<&Wire>) -> Result<(), String> {
        let wire = &packet.wire;
        let other = if host.mark == PBX_MARK {
            &self.carrier
        } else {
            &self.pbx
        };
        for finder in other {
            // A response echoes what a thief of somebody else's dialog wrote.
            let stolen = asked.is_some_and(|asked| finder.find(asked.head()).is_some());
            if !stolen && finder.find(wire.head()).is_some() {
                let needle = String::from_utf8_lossy(finder.needle());
                return Err(format!("the other side's {needle} was let out"));
            }
        }
        if wire.is_request() {
            request(wire, host)
        } else {
            response(wire)
        }
    }
}

fn request(wire: &Wire, host: &Host) -> Result<(), String> {
    let via = wire.text(wire.via);
    let own = format_args!("SIP/2.0/{} {};branch=z9hG4bK", host.transport(), host.core).to_string();
    if wire.vias != 1 || !via.starts_with(&own) {
        return Err(format!("a request with the Via {via}"));
    }
    if wire.text(wire.branch).len() < 7 + 16 {
        return Err("a branch too short to be unguessable".into());
    }
    if wire.max_forwards.is_none_or(|hops| hops > 70) {
        return Err("a request with too many hops left".into());
    }
    let needs = matches!(wire.method, Method::Invite | Method::Update);
    contact(wire, needs, &host.core)?;
    let opens = wire.method == Method::Invite && wire.to_tag.is_empty();
    if opens && wire.text(wire.call_id).contains(&host.ip) {
        return Err("a Call-ID made of a peer's address".into());
    }
    Ok(())
}

fn response(wire: &Wire) -> Result<(), String> {
    let opens = matches!(wire.method, Method::Invite | Method::Update);
    let needs = opens && (200..300).contains(&wire.code);
    if wire.method == Method::Cancel && wire.code < 200 {
        return Err("a provisional to a CANCEL".into());
    }
    contact(wire, needs, "10.5.0.1:5060")
}

/// Contact names the core and nobody else.
fn contact(wire: &Wire, needed: bool, core: &str) -> Result<(), String> {
    if wire.contact.is_empty() {
        return if needed {
            Err(format!(
                "{} {} without Contact",
                wire.method.name(),
                wire.code
            ))
        } else {
            Ok(())
        };
    }
    let uri = wire.text(wire.contact);
    let rest = uri.strip_prefix("sip:").unwrap_or_default();
    let host = rest.split('@').next_back().unwrap_or_default();
    if host.split(';').next() != Some(core) {
        return Err(format!("the Contact {uri}"));
    }
    Ok(())
}
