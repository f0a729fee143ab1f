//! Bans of strangers, kept with the ledger: a start goes on with those that are not over.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::base::limits::BANS;
use crate::base::time::Wall;
use crate::ledger::Ledger;
use crate::net::Ban;

use super::control::Desk;

/// Who is banned, in the ledger's folder.
const NAME: &str = "bans.json";

#[derive(Serialize, Deserialize)]
struct Kept {
    /// Only who had shown that its address is its own was banned.
    proved: bool,
    bans: Vec<KeptBan>,
}

#[derive(Serialize, Deserialize)]
struct KeptBan {
    address: IpAddr,
    since_us: i64,
    until_us: i64,
    dropped: u64,
}

/// What tells one list of bans from another: which there are, and since when.
pub(super) type Told = Vec<(IpNet, Wall)>;

impl Desk {
    /// Goes on with the bans of an earlier life, by the clock that is believed.
    pub(super) fn take_up_bans(&self) {
        let kept = kept(&self.running.journal);
        let bans = kept.bans.into_iter().take(BANS).map(|it| Ban {
            net: net_of(it.address),
            since: Wall::from_micros(it.since_us),
            until: Wall::from_micros(it.until_us),
            dropped: it.dropped,
        });
        self.reins
            .ban_again(&self.running.counters, bans.collect(), kept.proved);
        *self.bans_kept.borrow_mut() = self.told().1;
    }

    fn told(&self) -> (Vec<Ban>, Told) {
        let bans = self.reins.bans();
        let told = bans.iter().map(|it| (it.net, it.since)).collect();
        (bans, told)
    }

    /// Keeps the list where it is another than the last.
    pub(super) fn keep_bans(&self) {
        let (bans, told) = self.told();
        if *self.bans_kept.borrow() == told {
            return;
        }
        let bans = bans.iter().map(|it| KeptBan {
            address: it.net.addr(),
            since_us: it.since.as_micros(),
            until_us: it.until.as_micros(),
            dropped: it.dropped,
        });
        let kept = Kept {
            proved: self.reins.bans_are_proved(),
            bans: bans.collect(),
        };
        let bytes = serde_json::to_vec(&kept).unwrap_or_default();
        match self.running.journal.keep(NAME, &bytes) {
            Ok(()) => *self.bans_kept.borrow_mut() = told,
            // They are known while this life lasts, and it is tried again.
            Err(fault) => tracing::debug!("bans cannot be kept for a later start: {fault}"),
        }
    }
}

/// What an earlier life knew; nothing if that cannot be read.
fn kept(ledger: &Ledger) -> Kept {
    let none = || Kept {
        proved: true,
        bans: Vec::new(),
    };
    let read = match ledger.kept(NAME) {
        Ok(None) => return none(),
        Ok(Some(bytes)) => serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
        Err(fault) => Err(fault.to_string()),
    };
    read.unwrap_or_else(|fault| {
        tracing::warn!(
            "{NAME} cannot be read, and nobody is banned before it sends too much: {fault}"
        );
        none()
    })
}

/// What is banned with an address: see [`Ban`].
fn net_of(address: IpAddr) -> IpNet {
    match address {
        IpAddr::V4(ip) => Ipv4Net::from(ip).into(),
        IpAddr::V6(ip) => Ipv6Net::new(ip, 64).map_or_else(|_| IpNet::from(address), Into::into),
    }
}
