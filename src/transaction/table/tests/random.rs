//! Whatever happens, in whatever order: it ends, and nothing is left.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::sip::Echo;

/// Room for messages, and the longest that comes.
const BYTES: usize = 1_200;
const RESERVE: usize = 400;
const LONGEST: usize = 300;

#[derive(Clone, Debug)]
enum Op {
    /// A request with one of a few branches.
    Request(&'static str, u8),
    /// The user answers.
    Respond(usize, u16),
    Resend(usize),
    Acknowledged(usize),
    /// The user sends a request.
    Send(Method),
    /// A response to one of them, by method and code.
    Response(usize, &'static str, u16),
    Cancel(usize),
    /// The `n`-th last message could not be sent.
    Fail(usize),
    /// What carried all of it closes.
    Close,
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let methods = prop::sample::select(vec!["INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "FOO"]);
    let answered = prop::sample::select(vec!["INVITE", "INVITE", "CANCEL", "BYE"]);
    let codes = prop::sample::select(vec![100_u16, 180, 183, 200, 202, 302, 401, 486, 603]);
    let sent = prop::sample::select(vec![Method::Invite, Method::Bye, Method::Options]);
    prop_oneof![
        4 => (methods, 0_u8..6).prop_map(|(method, branch)| Op::Request(method, branch)),
        4 => (any::<usize>(), codes.clone()).prop_map(|(at, code)| Op::Respond(at, code)),
        1 => any::<usize>().prop_map(Op::Resend),
        1 => any::<usize>().prop_map(Op::Acknowledged),
        2 => sent.prop_map(Op::Send),
        4 => (any::<usize>(), answered, codes).prop_map(|(at, m, c)| Op::Response(at, m, c)),
        2 => any::<usize>().prop_map(Op::Cancel),
        1 => (0_usize..8).prop_map(Op::Fail),
        1 => Just(Op::Close),
        4 => (0_u64..40_000).prop_map(Op::Pass),
    ]
}

/// A user who keeps the keys of all that it ever had.
struct User {
    world: World,
    servers: Vec<ServerKey>,
    clients: Vec<(ClientKey, Token)>,
    origins: Vec<Origin>,
    /// What was said to be over.
    over: HashSet<String>,
    sent: usize,
}

impl User {
    fn apply(&mut self, op: &Op) {
        let pick = |at: usize, len: usize| at.checked_rem(len);
        let world = &mut self.world;
        match *op {
            Op::Request(method, branch) => {
                match world.request(&request(method, &format!("z9hG4bK{branch}"))) {
                    Arrival::New(key) => self.servers.push(key),
                    Arrival::Cancel { cancel, .. } => self.servers.push(cancel),
                    Arrival::Ack | Arrival::Absorbed | Arrival::Full => {}
                }
            }
            Op::Send(method) => {
                let branch = world.mint.token();
                let key = world.send_with(method, branch);
                self.clients.extend(key.map(|key| (key, branch)));
            }
            Op::Pass(millis) => self.pass(Duration::from_millis(millis)),
            Op::Close => {
                let (out, events) = (&mut world.out, &mut world.events);
                world.table.flow_closed(world.now, peer(), out, events);
            }
            Op::Fail(back) => {
                if let Some(origin) = self.origins.iter().rev().nth(back) {
                    let events = &mut world.events;
                    world.table.send_failed(world.now, *origin, events);
                }
            }
            Op::Respond(at, _) | Op::Resend(at) | Op::Acknowledged(at) => {
                if let Some(at) = pick(at, self.servers.len()) {
                    let key = self.servers[at];
                    match *op {
                        Op::Respond(_, code) => world.respond(key, code),
                        Op::Resend(_) => world.table.resend_2xx(world.now, key, &mut world.out),
                        _ => world.table.acknowledged(key),
                    }
                }
            }
            Op::Response(at, ..) | Op::Cancel(at) => {
                if let Some(at) = pick(at, self.clients.len()) {
                    let (key, branch) = self.clients[at];
                    if let Op::Response(_, method, code) = *op {
                        let _ = world.response(branch, method, code);
                    } else {
                        world.table.cancel(world.now, key, None, &mut world.out);
                    }
                }
            }
        }
        self.settle();
    }

    fn pass(&mut self, span: Duration) {
        let end = self.world.now + span;
        while let Some(at) = self.world.table.next_deadline().filter(|at| *at <= end) {
            self.world.now = self.world.now.max(at);
            self.world.tick();
            self.settle();
        }
        self.world.now = end;
        self.world.tick();
        self.settle();
    }

    /// Looks at what came out, and at what is held.
    fn settle(&mut self) {
        let world = &mut self.world;
        self.sent += world.out.len();
        self.origins
            .extend(world.out.drain(..).map(|sent| sent.origin));
        for event in world.events.drain(..) {
            let key = match event {
                Expired::ServerFailed { .. }
                | Expired::ClientCut {
                    cancelled: true, ..
                } => continue,
                Expired::ServerEnded { key, .. } => format!("server {key:?}"),
                Expired::ClientTimeout { key, owner, .. }
                | Expired::ClientFailed { key, owner, .. }
                | Expired::ClientCut { key, owner, .. }
                | Expired::ClientEnded { key, owner, .. } => {
                    assert_eq!(owner, 7);
                    format!("client {key:?}")
                }
            };
            assert!(self.over.insert(key), "over twice: {event:?}");
        }
        let table = &world.table;
        let counts = table.counts();
        assert_eq!(counts.server, table.server_index.len());
        assert_eq!(counts.client, table.client_index.len());
        let packet = |packet: &Option<Packet>| packet.as_ref().map_or(0, Packet::len);
        let servers = table
            .servers
            .iter()
            .map(|(_, server)| packet(&server.packet) + server.echo.as_ref().map_or(0, Echo::len));
        let clients = |ends: bool| {
            let clients = table.clients.iter().map(|(_, client)| client);
            let these = clients.filter(move |client| {
                ends == matches!(client.method, Method::Bye | Method::Cancel)
            });
            these.map(|client| packet(&client.packet)).sum::<usize>()
        };
        let bounded = servers.sum::<usize>() + clients(false);
        assert_eq!(counts.bytes, bounded + clients(true));
        assert!(bounded <= BYTES + RESERVE + LONGEST, "{counts:?}");
        assert!(counts.timers <= 2 * (counts.server + counts.client));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn it_always_comes_to_rest(ops in prop::collection::vec(op(), 0..120)) {
        let mut user = User {
            world: World::with_limits(12, 3, 12),
            servers: Vec::new(),
            clients: Vec::new(),
            origins: Vec::new(),
            over: HashSet::new(),
            sent: 0,
        };
        user.world.table.limit_bytes(BYTES, RESERVE);
        for op in &ops {
            if matches!(op, Op::Send(_)) && user.world.table.counts().client >= 12 {
                continue;
            }
            user.apply(op);
        }
        // The user does its part: it answers every INVITE, and cancels its own.
        for key in user.servers.clone() {
            user.world.respond(key, 486);
        }
        for (key, _) in user.clients.clone() {
            user.world.table.cancel(user.world.now, key, None, &mut user.world.out);
        }
        user.pass(Duration::from_secs(180));
        user.world.check_at_rest();
        prop_assert_eq!(user.over.len(), user.servers.len() + user.clients.len());
        prop_assert!(user.sent <= 40 * (ops.len() + 1), "{} messages", user.sent);
    }
}
