//! Strangers who are not heard for a while, because they sent too much.
//!
//! A stranger's message is dropped unread anyway. A ban spares what even that costs where
//! more is done for strangers: a handshake of TLS, or a datagram's way through the kernel,
//! which a mirror of this list can spare (`nft`).
//!
//! No ban touches a peer. Rules are asked first, who is one is never counted here, and
//! who becomes one is banned no more. Where phone systems register from anywhere, or peers
//! are known by their certificates, each of them was a stranger once, and the source of a
//! datagram can be forged: there only those are banned who have shown, by connecting, that
//! their address is theirs.

mod sights;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::base::limits::BANS;
use crate::base::time::{Mono, Now, Wall};
use crate::policy::{Banning, RuleSet};
use crate::shard::{Command, Note};

use super::log::Gate;
use super::nft::{Mirror, Table, Work, shown};
use sights::Sights;

/// An address that is banned, or the /64 of an IPv6 one: whoever has one address of that
/// has all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Which.
    pub net: IpNet,
    /// Since when.
    pub since: Wall,
    /// Until when.
    pub until: Wall,
    /// Its messages that were dropped since, as far as they came to be counted here.
    pub dropped: u64,
}

impl Ban {
    /// What is written down of its begin.
    pub(super) fn note(&self) -> Command {
        Command::Note(Note {
            what: "banned",
            detail: format!("{} for {} s", self.source(), self.seconds()).into(),
            count: 1,
        })
    }

    /// How long it lasts in all.
    fn seconds(&self) -> i64 {
        let micros = self
            .until
            .as_micros()
            .saturating_sub(self.since.as_micros());
        micros / 1_000_000
    }

    /// The address, or the network.
    #[must_use]
    pub fn source(&self) -> String {
        shown(self.net)
    }
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    since: Wall,
    until: Mono,
    dropped: u64,
}

/// All bans. Each clone is the same list.
#[derive(Clone, Debug, Default)]
pub(super) struct Bans {
    /// How many there may be, so that mostly nobody has to take the lock.
    count: Arc<AtomicUsize>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    banning: Banning,
    /// Only who has connected is banned: see above.
    proof: bool,
    sights: Sights,
    bans: BTreeMap<IpNet, Kept>,
    mirror: Mirror,
    log: Gate,
}

impl Bans {
    /// Goes by these rules from now on. Who is a peer in them is banned no more.
    pub(super) fn obey(&self, rules: &RuleSet) {
        let mut state = self.lock();
        state.banning.clone_from(&rules.run().bans);
        let registers = rules.has_accounts() && rules.listeners().iter().any(|it| it.challenge);
        let before = std::mem::replace(&mut state.proof, registers || rules.knows_by_certificate());
        // What was proved by nothing counts no more.
        let doubted = state.proof && !before;
        let is_peer = |net: &IpNet| doubted || rules.has_peer_in(*net);
        let lifted: Vec<IpNet> = state.bans.keys().copied().filter(is_peer).collect();
        for net in &lifted {
            state.bans.remove(net);
        }
        let table = state.banning.nftables.clone().map(|name| {
            let ports = rules.listeners().iter().map(|it| it.bind.port());
            Table::new(name, ports.collect())
        });
        state.mirror.become_of(table);
        lifted.into_iter().for_each(|it| state.mirror.lift(it));
        self.count.store(state.bans.len(), Ordering::Relaxed);
    }

    /// Whether this stranger is banned. One more message of it is counted if it is.
    pub(super) fn holds(&self, now: Now, source: IpAddr) -> bool {
        if self.count.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let mut state = self.lock();
        match state.bans.get_mut(&net_of(source)) {
            Some(kept) if kept.until > now.mono => {
                kept.dropped = kept.dropped.saturating_add(1);
                true
            }
            _ => false,
        }
    }

    /// Counts a message of a stranger's. The ban, if that was one too many. `proved`: its
    /// address is its own.
    pub(super) fn sees(
        &self,
        now: Now,
        rules: &RuleSet,
        source: IpAddr,
        proved: bool,
    ) -> Option<Ban> {
        let mut state = self.lock();
        let most = state.banning.messages;
        if most == 0 || state.proof && !proved {
            return None;
        }
        let (net, within) = (net_of(source), state.banning.within);
        if state.sights.count(now.mono, net, within) < most || rules.has_peer_in(net) {
            return None;
        }
        if state.bans.len() >= BANS {
            state.bans.retain(|_, kept| kept.until > now.mono);
        }
        if state.bans.len() >= BANS {
            return None;
        }
        let lasts = state.banning.lasts;
        let kept = Kept {
            since: now.wall,
            until: now.mono + lasts,
            dropped: 0,
        };
        state.bans.insert(net, kept);
        state.mirror.ban(net, lasts);
        self.count.store(state.bans.len(), Ordering::Relaxed);
        let ban = kept.shown(now, net);
        if state.log.pass(now.mono).0 {
            let (source, seconds) = (ban.source(), ban.seconds());
            tracing::warn!(%source, seconds, "banned: no `sources` name who sends this, and it is too much");
        }
        Some(ban)
    }

    /// Whether only who has shown that its address is its own is banned.
    pub(super) fn are_proved(&self) -> bool {
        self.lock().proof
    }

    /// Goes on with the bans of an earlier life, if these rules ban as it did: no longer than
    /// one lasts, whatever the wall clock says, and none of who is a peer by now.
    pub(super) fn take_up(&self, now: Now, rules: &RuleSet, bans: Vec<Ban>, proved: bool) {
        let mut state = self.lock();
        if state.banning.messages == 0 || state.proof && !proved {
            return;
        }
        for ban in bans {
            let left = ban
                .until
                .saturating_since(now.wall)
                .min(state.banning.lasts);
            let full = state.bans.len() >= BANS;
            if full || left.is_zero() || rules.has_peer_in(ban.net) {
                continue;
            }
            let kept = Kept {
                since: ban.since,
                until: now.mono + left,
                dropped: ban.dropped,
            };
            state.bans.insert(ban.net, kept);
            state.mirror.ban(ban.net, left);
        }
        self.count.store(state.bans.len(), Ordering::Relaxed);
    }

    /// Who is banned.
    pub(super) fn list(&self, now: Now) -> Vec<Ban> {
        let mut state = self.lock();
        state.bans.retain(|_, kept| kept.until > now.mono);
        let bans = state.bans.iter();
        bans.map(|(net, kept)| kept.shown(now, *net)).collect()
    }

    /// Lifts the ban of an address; all of them, if none is given. Those that were lifted.
    pub(super) fn lift(&self, now: Now, source: Option<IpAddr>) -> Vec<Ban> {
        let mut state = self.lock();
        let wanted = source.map(net_of);
        let nets = state.bans.keys().copied();
        let nets: Vec<IpNet> = nets
            .filter(|it| wanted.is_none_or(|wanted| wanted == *it))
            .collect();
        let mut lifted = Vec::new();
        for net in nets {
            let kept = state.bans.remove(&net).filter(|it| it.until > now.mono);
            lifted.extend(kept.map(|it| it.shown(now, net)));
            state.sights.forget(net);
            state.mirror.lift(net);
        }
        self.count.store(state.bans.len(), Ordering::Relaxed);
        lifted
    }

    /// What the kernel is to be told: see [`super::nft`].
    pub(super) fn work(&self, now: Now) -> Work {
        let mut state = self.lock();
        let state = &mut *state;
        let left = state.bans.iter().filter_map(|(net, kept)| {
            let left = kept.until.saturating_since(now.mono);
            (!left.is_zero()).then_some((*net, left))
        });
        state.mirror.work(left)
    }

    /// Has all of it told again.
    pub(super) fn redo(&self) {
        self.lock().mirror.redo();
    }

    /// Rings `bell` whenever there is work.
    pub(super) fn mirror_to(&self, bell: SyncSender<()>) {
        self.lock().mirror.ring(bell);
    }

    /// Has the kernel forget all of it.
    pub(super) fn close(&self) {
        self.lock().mirror.close();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn shown(self, now: Now, net: IpNet) -> Ban {
        Ban {
            net,
            since: self.since,
            until: now.wall + self.until.saturating_since(now.mono),
            dropped: self.dropped,
        }
    }
}

/// What is banned with an address.
fn net_of(source: IpAddr) -> IpNet {
    match source.to_canonical() {
        IpAddr::V4(ip) => Ipv4Net::from(ip).into(),
        IpAddr::V6(ip) => {
            let net = Ipv6Net::new(ip, 64).unwrap_or_else(|_| ip.into());
            net.trunc().into()
        }
    }
}

#[cfg(test)]
mod tests;
