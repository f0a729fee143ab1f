//! Who is where: a loopback network of a test's own, and the rules for it.
//!
//! Answers to requests without `rport` go to fixed ports (RFC 3261 §18.2.2), so
//! each world has addresses that nobody else on the machine uses.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Party {
    Pbx,
    Carrier,
    Stranger,
}

impl Party {
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "pbx" => Self::Pbx,
            "carrier" => Self::Carrier,
            "stranger" => Self::Stranger,
            _ => panic!("nobody is called {name}"),
        }
    }
}

/// The phone system's port, where calls to it are delivered.
pub(crate) const PBX_PORT: u16 = 5080;

/// The carrier's port.
pub(crate) const CARRIER_PORT: u16 = 5070;

const STRANGER_PORT: u16 = 5090;

/// Where an answer goes that no `rport` and no port in the Via calls elsewhere.
pub(crate) const SIP_PORT: u16 = 5060;

/// The addresses of one world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    network: [u8; 2],
}

impl Places {
    /// A network that no other process is likely to use, and no other world of
    /// this one.
    pub(crate) fn new() -> Self {
        static WORLDS: AtomicU32 = AtomicU32::new(0);
        let world = WORLDS.fetch_add(1, Ordering::Relaxed) % 32;
        let process = std::process::id();
        let second = 16 + process % 223;
        let third = process / 223 % 8 * 32 + world;
        Self {
            network: [second, third].map(|part| u8::try_from(part).unwrap()),
        }
    }

    pub(crate) fn host(&self, last: u8) -> Ipv4Addr {
        let [second, third] = self.network;
        Ipv4Addr::new(127, second, third, last)
    }

    /// Tollgate.
    pub(crate) fn here(&self) -> SocketAddr {
        (self.host(1), SIP_PORT).into()
    }

    pub(crate) fn carrier(&self) -> SocketAddr {
        (self.host(2), CARRIER_PORT).into()
    }

    pub(crate) fn pbx(&self) -> SocketAddr {
        (self.host(3), PBX_PORT).into()
    }

    /// Where a party sends from.
    pub(crate) fn of(&self, party: Party) -> SocketAddr {
        match party {
            Party::Pbx => self.pbx(),
            Party::Carrier => self.carrier(),
            Party::Stranger => (self.host(9), STRANGER_PORT).into(),
        }
    }

    /// Another machine of the phone system's. Transactions of different
    /// machines are apart, whatever their branches.
    pub(crate) fn machine(&self, number: u8) -> SocketAddr {
        (self.host(128 + number % 128), PBX_PORT).into()
    }

    /// Someone that messages point at, and who must never hear of it.
    pub(crate) fn victim(&self) -> SocketAddr {
        (self.host(66), SIP_PORT).into()
    }

    pub(crate) fn main_file(&self) -> String {
        format!(
            "[[listen]]\naddress = \"udp:{}\"\n[[carrier]]\nname = \"upstream\"\n\
             address = \"udp:{}\"\nsources = [\"{}/32\"]\nnumber_format = \"e164\"\n\
             [policies]\ndirectory = \"rules\"\n[ledger]\ndirectory = \"ledger\"\n\
             [bans]\nmessages = 0\n[run]\nshards = 1\nstop_after = \"1s\"\n",
            self.here(),
            self.carrier(),
            self.host(2),
        )
    }

    pub(crate) fn tenant_file(&self) -> String {
        format!(
            "name = \"acme\"\nplan = \"jp\"\ntime_zone = \"Asia/Tokyo\"\ncarriers = [\"upstream\"]\n\
             [identify]\nsources = [\"{}/32\", \"{}/25\"]\n\
             [callers]\nown = [\"+81335570000..+81335570099\"]\notherwise = \"replace\"\n\
             default = \"+81335570000\"\n[destinations]\nallow = [\"jp.fixed\", \"+44 20\"]\n\
             [inbound]\ndeliver_to = \"udp:{}\"\n",
            self.host(3),
            self.host(128),
            self.pbx(),
        )
    }
}

/// The dial plan that the rules name.
pub(crate) const PLAN: &str = include_str!("../../policies/plans/jp.toml");

/// The tariff that the shipped tenant names.
pub(crate) const TARIFF: &str = include_str!("../../policies/tariffs/jp-carrier.csv");
