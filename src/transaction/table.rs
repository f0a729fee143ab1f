//! All transactions of a shard. This file alone inserts and removes them, keeps
//! their timers and their index; what a message or the user wants of them is in
//! `table/servers.rs` and `table/clients.rs`.

mod clients;
mod repeats;
mod servers;
mod weight;

use std::fmt;

use crate::base::limits;
use crate::base::slab::Slab;
use crate::base::time::Mono;
use crate::base::wheel::{TimerId, Wheel};
use crate::sip::{Method, Packet};

use super::machine::{Clock, Over, Timers, Todo};
use super::matching::Index;
use super::{ClientKey, ClientSide, Counts, Expired, Origin, ServerKey, ServerSide, Transmit};
use clients::Client;
use repeats::Repeats;
use servers::Server;
use weight::Weight;

/// All transactions of a shard. `U` is its user's own reference for one.
///
/// Messages to send are appended to the `out` of each call, in order.
pub struct Table<U: Copy> {
    /// The key of every hash over what a peer chose.
    key: u128,
    timers: Timers,
    limits: Limits,
    wheel: Wheel<Due>,
    servers: Slab<Server<U>, ServerSide>,
    server_index: Index<ServerKey>,
    clients: Slab<Client<U>, ClientSide>,
    client_index: Index<ClientKey>,
    weight: Weight,
    repeats: Repeats,
    /// Where ACKs and CANCELs are written.
    scratch: Vec<u8>,
}

/// How many transactions a table takes.
#[derive(Clone, Copy, Debug)]
struct Limits {
    server: usize,
    /// On top of `server`.
    reserve: usize,
    client: usize,
    /// Bytes kept, and those on top.
    bytes: usize,
    bytes_reserve: usize,
}

/// A transaction of either side.
#[derive(Clone, Copy, Debug)]
enum Side {
    Server(ServerKey),
    Client(ClientKey),
}

/// What a timer of the wheel is for.
#[derive(Clone, Copy, Debug)]
struct Due {
    side: Side,
    which: Which,
}

#[derive(Clone, Copy, Debug)]
enum Which {
    /// A, E, G.
    Resend,
    /// B, D, F, H, I, J, K, L, M.
    End,
}

/// The two timers that a transaction can have running.
#[derive(Clone, Copy, Debug, Default)]
struct Clocks {
    resend: Option<TimerId>,
    end: Option<TimerId>,
}

impl Clocks {
    /// Does what a step asks of the timers.
    fn set(&mut self, wheel: &mut Wheel<Due>, now: Mono, side: Side, todo: &Todo) {
        let both = [
            (&mut self.resend, todo.resend, Which::Resend),
            (&mut self.end, todo.end, Which::End),
        ];
        for (timer, clock, which) in both {
            if clock == Clock::Keep {
                continue;
            }
            if let Some(old) = timer.take() {
                wheel.cancel(old);
            }
            if let Clock::After(span) = clock {
                *timer = Some(wheel.schedule(now + span, Due { side, which }));
            }
        }
    }

    /// Stops both.
    fn stop(self, wheel: &mut Wheel<Due>) {
        for timer in [self.resend, self.end].into_iter().flatten() {
            wheel.cancel(timer);
        }
    }
}

impl<U: Copy> Table<U> {
    /// An empty table. `key` must be known to no peer; `start` is the time now.
    #[must_use]
    pub fn new(key: u128, timers: Timers, start: Mono) -> Self {
        let limits = Limits {
            server: limits::SERVER_TRANSACTIONS,
            reserve: limits::SERVER_TRANSACTIONS_RESERVE,
            client: limits::CLIENT_TRANSACTIONS,
            bytes: limits::TRANSACTION_BYTES,
            bytes_reserve: limits::TRANSACTION_BYTES_RESERVE,
        };
        Self::with_limits(key, timers, start, limits)
    }

    fn with_limits(key: u128, timers: Timers, start: Mono, limits: Limits) -> Self {
        Self {
            key,
            timers,
            limits,
            wheel: Wheel::new(start),
            servers: Slab::tagged(limits.server.saturating_add(limits.reserve)),
            server_index: Index::default(),
            clients: Slab::tagged(limits.client),
            client_index: Index::default(),
            weight: Weight::new(limits.bytes, limits.bytes_reserve),
            repeats: Repeats::default(),
            scratch: Vec::new(),
        }
    }

    /// When to call [`Table::tick`] next; `None` while no timer runs.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        self.wheel.next_deadline()
    }

    /// Fires every timer that is due at `now`: retransmissions go to `out`, what is
    /// over to `events`.
    pub fn tick(&mut self, now: Mono, out: &mut Vec<Transmit>, events: &mut Vec<Expired<U>>) {
        while let Some(due) = self.wheel.pop_expired(now) {
            let over = match due.side {
                Side::Server(key) => self.server_timer(now, key, due.which, out),
                Side::Client(key) => self.client_timer(now, key, due.which, out),
            };
            if let Some(over) = over {
                self.end(due.side, over, events);
            }
        }
    }

    /// Tells the transaction that its message could not be sent (RFC 3261 §17.1.4,
    /// RFC 6026 §8.8). A client transaction that still needed it is over; a server
    /// transaction goes on, and its user hears of it.
    pub fn send_failed(&mut self, now: Mono, origin: Origin, events: &mut Vec<Expired<U>>) {
        match origin {
            Origin::Server(key) => {
                if let Some(server) = self.servers.get(key) {
                    events.push(Expired::ServerFailed {
                        key,
                        owner: server.owner,
                        method: server.method,
                    });
                }
            }
            Origin::Client(key) => {
                if let Some(over) = self.client_send_failed(now, key) {
                    self.end(Side::Client(key), over, events);
                }
            }
            Origin::Register(_) | Origin::Stateless => {}
        }
    }

    /// A request was kept back, and so was all that repeated it: its transaction is
    /// over, as if it had never been.
    pub fn never_left(&mut self, now: Mono, origin: Origin, events: &mut Vec<Expired<U>>) {
        if let Origin::Client(key) = origin
            && let Some(over) = self.client_never_left(now, key)
        {
            self.end(Side::Client(key), over, events);
        }
    }

    /// What is held. All zero once every transaction is over.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            server: self.servers.len(),
            client: self.clients.len(),
            timers: self.wheel.len(),
            bytes: self.weight.bytes(),
        }
    }

    /// Gives it no more room than this for messages, and so much in reserve.
    #[cfg(test)]
    pub(crate) fn limit_bytes(&mut self, limit: usize, reserve: usize) {
        let bytes = self.weight.bytes();
        self.weight = Weight::new(limit, reserve);
        self.weight.add(bytes);
    }

    /// Whether a server transaction can be kept; the last of the room is for
    /// `urgent` requests only.
    fn has_room(&self, urgent: bool) -> bool {
        let reserve = if urgent { self.limits.reserve } else { 0 };
        self.servers.len() < self.limits.server.saturating_add(reserve)
            && self.weight.has_room(urgent)
    }

    /// Keeps a new server transaction; `None` at the limit.
    fn insert_server(&mut self, server: Server<U>) -> Option<ServerKey> {
        let id = server.id;
        let key = self.servers.insert(server).ok()?;
        self.server_index.insert(id, key);
        Some(key)
    }

    /// Keeps a new client transaction; `None` at the limit, or if its branch is in
    /// use already.
    fn insert_client(&mut self, mut client: Client<U>) -> Option<ClientKey> {
        let id = client.id;
        if self.client_index.contains_key(&id) {
            return None;
        }
        // A BYE that is not sent leaves a call up that somebody pays for.
        let ends = matches!(client.method, Method::Bye | Method::Cancel);
        let bytes = client.packet.as_ref().map_or(0, Packet::len);
        if !ends && !self.weight.fits(bytes) {
            return None;
        }
        client.held = bytes;
        let key = self.clients.insert(client).ok()?;
        self.weight.add(bytes);
        self.client_index.insert(id, key);
        Some(key)
    }

    /// Destroys a transaction, and says so. The one place where this is done.
    fn end(&mut self, side: Side, over: Over, events: &mut Vec<Expired<U>>) {
        match side {
            Side::Server(key) => {
                let Some(server) = self.servers.remove(key) else {
                    return;
                };
                self.server_index.remove(&server.id);
                self.weight.free(server.held);
                server.clocks.stop(&mut self.wheel);
                events.push(Expired::ServerEnded {
                    key,
                    owner: server.owner,
                    method: server.method,
                    acked: over == Over::Ended,
                });
            }
            Side::Client(key) => {
                let Some(client) = self.clients.remove(key) else {
                    return;
                };
                self.client_index.remove(&client.id);
                self.weight.free(client.held);
                client.clocks.stop(&mut self.wheel);
                let Some(owner) = client.owner else {
                    return;
                };
                let method = client.method;
                events.push(match over {
                    Over::Ended => Expired::ClientEnded { key, owner, method },
                    Over::TimedOut => Expired::ClientTimeout { key, owner, method },
                    Over::Failed => Expired::ClientFailed { key, owner, method },
                    Over::Cut => Expired::ClientCut {
                        key,
                        owner,
                        method,
                        cancelled: false,
                    },
                });
            }
        }
    }
}

impl<U: Copy> fmt::Debug for Table<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("counts", &self.counts())
            .field("timers", &self.timers)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
