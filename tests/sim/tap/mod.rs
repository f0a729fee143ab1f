//! The tap: sees every packet that goes into the core and comes out of it, keeps its
//! own book of calls, and says what broke a rule. It asks the core nothing.

mod book;
mod crash;
mod end;
mod failed;
mod judge;
mod money;
mod onward;
mod prompt;
mod receive;
mod records;
mod redirect;
mod respond;
mod send;
mod shape;

use std::rc::Rc;

pub use book::{Call, Client, Dialog, Inviter, Leg, Server};
pub use judge::Ledger;
pub use records::{Records, Written};
pub use shape::{CARRIER_MARK, PBX_MARK};

use crate::bill::Bill;
use crate::block::Gate;
use crate::link::Nanos;
use crate::peer::{Map, Peers};
use crate::rules::{Places, Rules};
use crate::seen::Seen;
use crate::wire::{Method, Wire, hash2};

/// Index of something the tap keeps.
pub type Id = usize;

/// Something that must not be.
#[derive(Clone, Debug)]
pub struct Breach {
    pub at: Nanos,
    pub what: String,
    pub plan: Option<u32>,
}

/// What a turn is about.
pub struct Turn<'a> {
    pub now: Nanos,
    pub shard: u8,
    pub rules: &'a Rules,
    pub gate: Gate,
    /// The calendar day of the tenants.
    pub day: i64,
    pub shards: &'a dyn Fn(&[u8]) -> u8,
    pub seen: &'a mut Seen,
    pub peers: &'a mut Peers,
}

/// A packet of the core's, to peer `to`.
#[derive(Clone, Debug)]
pub struct Sent {
    pub to: u8,
    pub wire: Rc<Wire>,
}

/// What the input of a turn must bring about in that turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    Anything,
    /// No packet at all.
    Silence,
    /// A response to this new request.
    Response(Id),
    /// The new INVITE is judged.
    Judged(Id),
    /// An ACK in this client transaction's branch.
    Ack(Id),
    /// The ACK to a 2xx once more: leg and dialog.
    AckAgain(Id, usize),
    /// The last response once more.
    Again(Id),
}

/// The tap's book.
pub struct Tap {
    pub servers: Vec<Server>,
    pub clients: Vec<Client>,
    pub legs: Vec<Leg>,
    pub calls: Vec<Call>,
    pub ledger: Ledger,
    places: Places,
    /// What the carriers bill.
    pub bill: Bill,
    pub breach: Option<Breach>,
    /// How much later than due the core's timers may run.
    pub slack: Nanos,
    /// The core begins to live again, and tells who may not know what became of its
    /// calls.
    pub reviving: bool,
    /// It has died in this run.
    crashed: bool,
    /// BYEs that it was to send again when it died: see `crash`.
    unheard: Vec<(Id, usize, Id)>,
    /// Since when it has lived again.
    lives_since: Nanos,
    /// The host has gone down: only bills count any more.
    pub forgetful: bool,
    /// The leases of calls, by shard and number: how long each lasts, and until when it
    /// does, once the call was answered.
    leases: Map<(u8, u64), (Nanos, Option<Nanos>)>,
    /// Peer, branch and method of a request that came.
    by_branch_in: Map<u64, Id>,
    /// Branch and method of a request that went.
    by_branch_out: Map<u64, Id>,
    /// Call-ID and the core's tag.
    dialogs: Map<u64, Id>,
    /// When each shard was last called, and so worked off its timers.
    pub ticked: [Nanos; 8],
    shape: shape::Shape,
    written: Written,
    turn_records: Records,
    /// The message that the present turn is about, if it is one.
    input: Option<Rc<Wire>>,
    /// The call that it is about.
    plan: Option<u32>,
    /// What the present turn's input is: a server, or a client.
    current: (Option<Id>, Option<Id>),
    /// An INVITE whose attempt was redirected in this turn, and that attempt.
    redirect: Option<(Id, Id)>,
}

impl Tap {
    /// An empty book.
    pub fn new(places: Places, bill: Bill) -> Self {
        Self {
            servers: Vec::with_capacity(1024),
            clients: Vec::with_capacity(1024),
            legs: Vec::with_capacity(512),
            calls: Vec::with_capacity(256),
            ledger: Ledger::new(places.tenants as usize),
            places,
            bill,
            breach: None,
            slack: 0,
            reviving: false,
            crashed: false,
            unheard: Vec::new(),
            lives_since: 0,
            forgetful: false,
            leases: Map::default(),
            by_branch_in: Map::default(),
            by_branch_out: Map::default(),
            dialogs: Map::default(),
            ticked: [0; 8],
            shape: shape::Shape::new(),
            written: Written::default(),
            turn_records: Records::default(),
            input: None,
            plan: None,
            current: (None, None),
            redirect: None,
        }
    }

    /// A message went in, and `sent` came out.
    pub fn message(&mut self, turn: &mut Turn<'_>, from: u8, wire: &Rc<Wire>, sent: &[Sent]) {
        self.plan = None;
        self.input = Some(Rc::clone(wire));
        self.current = (None, None);
        self.ticked[usize::from(turn.shard)] = turn.now;
        let expect = if from == turn.peers.stranger() {
            Expect::Silence
        } else if wire.junk {
            self.junk(turn, from, wire, sent);
            return;
        } else if wire.is_request() {
            self.request_in(turn, from, wire, sent)
        } else {
            self.response_in(turn, from, wire)
        };
        self.outputs(turn, sent);
        self.check(turn, expect, sent);
        self.redirection(turn);
        self.prompt(turn);
    }

    /// A tick or a command, and what came out.
    pub fn other(&mut self, turn: &mut Turn<'_>, sent: &[Sent]) {
        self.plan = None;
        self.input = None;
        self.current = (None, None);
        self.ticked[usize::from(turn.shard)] = turn.now;
        self.outputs(turn, sent);
    }

    /// A damaged message may be refused, to where it came from, once.
    fn junk(&mut self, turn: &Turn<'_>, from: u8, wire: &Rc<Wire>, sent: &[Sent]) {
        for packet in sent {
            if packet.to != from || packet.wire.is_request() || sent.len() > 1 {
                self.fail(turn.now, "a damaged message had consequences".into());
            }
            if packet.wire.bytes.len() > wire.bytes.len() + 200 {
                self.fail(turn.now, "a damaged message was amplified".into());
            }
        }
        if !wire.branch.is_empty() {
            // It was one after all: its response may be repeated.
            let id = self.new_server(turn, from, wire);
            self.servers[id].excused = true;
        }
    }

    fn outputs(&mut self, turn: &mut Turn<'_>, sent: &[Sent]) {
        for packet in sent {
            if self.breach.is_some() {
                return;
            }
            let host = &turn.peers.hosts[usize::from(packet.to)];
            let asked = self.by_branch_in.get(&in_key(packet.to, &packet.wire));
            let asked = asked.filter(|_| !packet.wire.is_request());
            let asked = asked.map(|&id| &*self.servers[id].request);
            if let Err(what) = self.shape.check(packet, host, asked) {
                self.fail(turn.now, what);
            } else if packet.wire.is_request() {
                self.request_out(turn, packet);
            } else {
                self.response_out(turn, packet);
            }
        }
    }

    fn check(&mut self, turn: &mut Turn<'_>, expect: Expect, sent: &[Sent]) {
        if self.breach.is_some() {
            return;
        }
        let responded = |id: Id, servers: &[Server]| {
            let server = &servers[id];
            sent.iter().any(|s| {
                !s.wire.is_request()
                    && s.to == server.peer
                    && s.wire.at(s.wire.branch) == server.request.at(server.request.branch)
            })
        };
        match expect {
            Expect::Anything => {}
            Expect::Silence if sent.is_empty() => {}
            Expect::Silence => self.fail(turn.now, "an answer where silence is due".into()),
            Expect::Response(id) | Expect::Again(id) => {
                if !responded(id, &self.servers) && !self.servers[id].excused {
                    let method = self.servers[id].method.name();
                    self.fail(
                        turn.now,
                        format!("no response to this {method} ({expect:?})"),
                    );
                }
            }
            Expect::Judged(id) => self.judged(turn, id),
            // Its transaction may have gone with its connection.
            Expect::Ack(id) if self.clients[id].excused => {}
            Expect::Ack(id) => {
                let branch = self.clients[id].request.at(self.clients[id].request.branch);
                let acks =
                    |s: &Sent| s.wire.method == Method::Ack && s.wire.at(s.wire.branch) == branch;
                if !sent.iter().any(acks) {
                    self.fail(turn.now, "no ACK to this refusal of an INVITE".into());
                }
            }
            Expect::AckAgain(leg, dialog) => {
                let tag = self.legs[leg].dialogs[dialog].tag;
                let acks = |s: &Sent| {
                    s.wire.is_request()
                        && s.wire.method == Method::Ack
                        && tag_hash(&s.wire, s.wire.to_tag) == tag
                };
                if !sent.iter().any(acks) {
                    self.fail(turn.now, "no ACK to a 2xx that came again".into());
                }
            }
        }
    }

    /// Notes the first breach.
    pub fn fail(&mut self, at: Nanos, what: String) {
        if !self.forgetful {
            self.overrun(at, what);
        }
    }

    /// The same of a budget, which nothing excuses.
    pub fn overrun(&mut self, at: Nanos, what: String) {
        if self.breach.is_none() {
            self.breach = Some(Breach {
                at,
                what,
                plan: self.plan,
            });
        }
    }

    /// Lets later breaches name the call of a leg.
    fn about(&mut self, leg: Id) {
        self.plan = Some(self.calls[self.legs[leg].call].plan);
    }

    fn new_server(&mut self, turn: &Turn<'_>, from: u8, wire: &Rc<Wire>) -> Id {
        let id = self.servers.len();
        self.servers.push(Server {
            peer: from,
            method: wire.method,
            request: Rc::clone(wire),
            at: turn.now,
            answer: None,
            last: 0,
            acked: None,
            cancelled: false,
            tried: Vec::new(),
            offers: Vec::new(),
            been: Vec::new(),
            dial: None,
            leg: None,
            relay: None,
            amiss: None,
            excused: false,
            resumed: false,
            due: None,
            survived: false,
            spent: false,
        });
        self.by_branch_in.insert(in_key(from, wire), id);
        id
    }

    /// The leg whose dialog this is, by Call-ID and the core's own tag.
    fn leg_by(&self, call_id: &[u8], core_tag: &[u8]) -> Option<Id> {
        self.dialogs.get(&hash2(call_id, core_tag)).copied()
    }

    /// The dialog of a leg with this tag of the peer's.
    fn dialog(&self, leg: Id, tag: u64) -> Option<usize> {
        self.legs[leg].dialogs.iter().position(|d| d.tag == tag)
    }

    /// The same, made if it is new.
    fn dialog_or_new(&mut self, leg: Id, tag: u64) -> usize {
        if let Some(index) = self.dialog(leg, tag) {
            return index;
        }
        self.legs[leg].dialogs.push(Dialog {
            tag,
            cseq: 0,
            ok: None,
            oks: Vec::new(),
            bye_out: None,
            parted: None,
            bye_in: None,
            doubtful: false,
            contacts: [0; 3],
            route: 0,
        });
        self.legs[leg].dialogs.len() - 1
    }
}

/// A hash of a stretch of a message.
fn tag_hash(wire: &Wire, span: crate::wire::Span) -> u64 {
    crate::wire::hash(wire.at(span))
}

/// The key of a request that a peer sent, and of its responses.
fn in_key(peer: u8, wire: &Wire) -> u64 {
    let method = match wire.method {
        Method::Ack => Method::Invite,
        other => other,
    };
    hash2(&[peer, method as u8], wire.at(wire.branch))
}

/// The key of a request that the core sent, and of its responses.
fn out_key(wire: &Wire) -> u64 {
    hash2(&[wire.method as u8], wire.at(wire.branch))
}
