//! The peers: PBXs and carriers, which are user agents of one make. They know
//! their side of each call's plan, and nothing of what the core does inside.

mod attack;
mod callee;
mod caller;
mod client;
mod midcall;
mod server;

use std::collections::HashMap;
use std::rc::Rc;

use foldhash::fast::FixedState;

use crate::link::{MS, Nanos, SEC};
use crate::net::{Net, Task};
use crate::plan::{CallPlan, Side};
use crate::text::{Body, Host};
use crate::wire::{Method, Wire, hash2};

/// RFC 3261's T1, T2 and 64 × T1, which every peer keeps.
pub const T1: Nanos = 500 * MS;
pub const T2: Nanos = 4 * SEC;
pub const T64: Nanos = 64 * T1;

/// No leg.
pub const NOBODY: u32 = u32::MAX;

/// A map that is the same in every run.
pub type Map<K, V> = HashMap<K, V, FixedState>;

/// Where a leg stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Early,
    Up,
    Over,
}

/// A session timer in force (RFC 4028).
#[derive(Clone, Copy, Debug)]
pub struct Timer {
    pub seconds: u32,
    pub mine: bool,
    pub refreshed: Nanos,
}

/// A peer's end of a call.
#[derive(Debug)]
pub struct Leg {
    pub plan: u32,
    pub peer: u8,
    pub caller: bool,
    pub call_id: String,
    /// This side's tag; a callee's forks append to it.
    pub tag: String,
    pub remote_tag: String,
    /// From and To of this side's requests, without tags.
    pub local: String,
    pub remote: String,
    pub target: Vec<u8>,
    /// The CSeq of the last request sent, and received.
    pub cseq: u32,
    pub heard: u32,
    pub state: State,
    pub dead: bool,
    pub cancelled: bool,
    /// The transaction of the first INVITE, client or server.
    pub invite: u32,
    /// An INVITE of this side's, or of the other's, is not over.
    pub mine_open: Option<u32>,
    pub theirs_open: Option<u32>,
    /// A reliable provisional that no PRACK answered: RSeq and message.
    pub reliable: Option<(u32, Rc<Wire>, Nanos)>,
    pub rseq: u32,
    /// The last RSeq that was answered, of which tag.
    pub pracked: (u32, String),
    pub timer: Option<Timer>,
    /// This side sent BYE, or got it.
    pub bye: bool,
}

/// Why a request was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Call,
    ReInvite,
    Refresh,
    Bye,
    Cancel,
    Other,
    Attack,
}

/// A request of a peer, and what came of it.
#[derive(Debug)]
pub struct Client {
    pub leg: u32,
    pub peer: u8,
    pub purpose: Purpose,
    pub wire: Rc<Wire>,
    pub wait: Nanos,
    pub proceeding: bool,
    pub over: bool,
    /// The final status; 0 before.
    pub code: u16,
    /// The ACK to the final response, to be sent again, and whose tag it has.
    pub ack: Option<Rc<Wire>>,
    pub ack_tag: String,
    pub offered: bool,
}

/// A request to a peer, and what it answered.
#[derive(Debug)]
pub struct Server {
    pub leg: u32,
    pub peer: u8,
    pub request: Rc<Wire>,
    pub last: Option<Rc<Wire>>,
    /// Further 200s of other forks.
    pub others: Vec<(String, Rc<Wire>, bool)>,
    pub code: u16,
    pub acked: bool,
    pub wait: Nanos,
    pub answered: Nanos,
}

/// All peers of a run.
pub struct Peers {
    pub hosts: Vec<Host>,
    pub tenants: u8,
    pub plans: Vec<CallPlan>,
    pub legs: Vec<Leg>,
    pub clients: Vec<Client>,
    pub servers: Vec<Server>,
    /// Peer and Call-ID to leg.
    by_call: Map<u64, u32>,
    /// Peer, branch and method to server transaction.
    by_branch: Map<u64, u32>,
    /// The Call-IDs that the core minted, to the plan they belong to.
    pub expected: Map<u64, u32>,
    /// Plans of which an INVITE has reached a carrier.
    attempted: Map<u32, ()>,
    /// How often carriers have redirected plans.
    redirected: Map<u32, u8>,
    /// The faults are over: whoever still talks hangs up.
    pub winding_down: bool,
    serial: u64,
}

impl Peers {
    /// The peers at `hosts` (PBXs, carriers, a stranger) with their plans.
    pub fn new(hosts: Vec<Host>, tenants: u8, plans: Vec<CallPlan>) -> Self {
        Self {
            hosts,
            tenants,
            plans,
            legs: Vec::with_capacity(512),
            clients: Vec::with_capacity(1024),
            servers: Vec::with_capacity(1024),
            by_call: Map::default(),
            by_branch: Map::default(),
            expected: Map::default(),
            attempted: Map::default(),
            redirected: Map::default(),
            winding_down: false,
            serial: 0,
        }
    }

    /// The stranger's number.
    pub fn stranger(&self) -> u8 {
        (self.hosts.len() - 1) as u8
    }

    /// A leg's side of its plan.
    fn side(&self, leg: u32) -> &Side {
        let leg = &self.legs[leg as usize];
        let plan = &self.plans[leg.plan as usize];
        if leg.caller {
            &plan.caller.side
        } else {
            &plan.callee.side
        }
    }

    /// A peer's packet arrived at it.
    pub fn receive(&mut self, net: &mut Net, peer: u8, wire: &Rc<Wire>) {
        if wire.is_request() {
            self.receive_request(net, peer, wire);
        } else {
            self.receive_response(net, wire);
        }
    }

    /// A peer's timer or plan is due.
    pub fn act(&mut self, net: &mut Net, task: Task) {
        match task {
            Task::Begin(plan) => self.begin(net, plan),
            Task::Repeat { server: false, tx } => self.repeat_request(net, tx),
            Task::GiveUp { server: false, tx } => self.request_timed_out(net, tx),
            Task::Repeat { server: true, tx } => self.repeat_response(net, tx),
            Task::GiveUp { server: true, tx } => self.never_acked(net, tx),
            Task::Step(leg, step) => self.step(net, leg, step),
            Task::Mid(leg, mid) => self.mid(net, leg, mid),
            Task::Cancel(leg) => self.cancel(net, leg),
            Task::Second(leg) => self.second_invite(net, leg),
            Task::Again(leg) => self.invite_again(net, leg),
            Task::Ack(tx) => self.late_ack(net, tx),
            Task::Reply(tx, code) => self.late_reply(net, tx, code),
            Task::Redirect(leg, level) => self.redirect(net, leg, level),
            Task::Reliable(leg) => self.repeat_reliable(net, leg),
            Task::Refresh(leg) => self.refresh(net, leg),
            Task::Expire(leg) => self.expire(net, leg),
            Task::Die(leg) => self.legs[leg as usize].dead = true,
            Task::Attack => self.attack(net),
        }
    }

    /// Everybody who still talks hangs up, and nobody calls any more.
    pub fn wind_down(&mut self, net: &mut Net) {
        self.winding_down = true;
        for leg in 0..self.legs.len() as u32 {
            let state = &self.legs[leg as usize];
            if state.dead {
                continue;
            }
            match (state.state, state.caller) {
                (State::Early, true) => self.cancel(net, leg),
                (State::Early, false) => self.refuse_early(net, leg, 480),
                (State::Up, _) => self.hang_up(net, leg),
                (State::Over, _) => {}
            }
        }
    }

    /// A number that was not given out before in this run.
    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// A session description for a leg.
    fn sdp(&mut self, net: &mut Net, leg: u32) -> Body {
        let serial = self.next_serial();
        Body::sdp(&mut net.rng, serial, self.legs[leg as usize].peer)
    }

    /// A leg's Contact URI.
    fn contact(&self, leg: u32) -> String {
        let state = &self.legs[leg as usize];
        let host = &self.hosts[state.peer as usize];
        let at = if self.side(leg).foreign_contact {
            // Where nobody must ever be sent anything.
            "203.0.113.66:5062".to_string()
        } else {
            host.addr.to_string()
        };
        format!("sip:{}{}@{at}", host.mark, state.plan)
    }

    /// The plan whose caller sent this request.
    pub fn plan_of(&self, peer: u8, wire: &Wire) -> Option<u32> {
        let leg = self.leg_of(peer, wire)?;
        Some(self.legs[leg as usize].plan)
    }

    /// The plan that a packet to or from a peer is about, for the trace.
    pub fn plan_about(&self, peer: u8, wire: &Wire) -> Option<u32> {
        let minted = self.expected.get(&hash2(b"", wire.at(wire.call_id)));
        minted.copied().or_else(|| self.plan_of(peer, wire))
    }

    /// Whether the peer's end of this message's call fell silent.
    pub fn is_silent(&self, peer: u8, wire: &Wire) -> bool {
        self.leg_of(peer, wire).is_some_and(|leg| self.is_dead(leg))
    }

    /// What a peer is called in a trace.
    pub fn name(&self, peer: u8) -> String {
        match peer {
            _ if peer == self.stranger() => "stranger".into(),
            _ if peer < self.tenants => format!("pbx{peer}"),
            _ => format!("carrier{}", peer - self.tenants),
        }
    }

    /// The leg that a request belongs to.
    fn leg_of(&self, peer: u8, wire: &Wire) -> Option<u32> {
        let key = hash2(&[peer], wire.at(wire.call_id));
        self.by_call.get(&key).copied()
    }
}

/// Peer, branch and method (a CANCEL's INVITE shares its branch).
fn branch_key(peer: u8, wire: &Wire) -> u64 {
    let method = match wire.method {
        Method::Ack => Method::Invite,
        other => other,
    };
    hash2(&[peer, method as u8], wire.at(wire.branch))
}
