//! Records drawn at random.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use proptest::collection::vec;
use proptest::prelude::*;

use crate::base::flow::{Flow, ListenerId, PeerName, Transport};
use crate::base::tally::{Marks, Which, Who};
use crate::base::time::{Mono, Wall};
use crate::record::*;

/// What records borrow from: every field of every kind is drawn from here.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    texts: Vec<String>,
    bytes: Vec<Vec<u8>>,
    longs: [u64; 4],
    shorts: [u16; 2],
    address: SocketAddr,
    wall: i64,
    hash: [u8; 32],
    pub(super) kind: usize,
}

pub(super) const KINDS: usize = 34;

pub(super) fn pool() -> impl Strategy<Value = Pool> {
    let address = prop_oneof![
        any::<([u8; 4], u16)>().prop_map(|(ip, port)| SocketAddr::new(IpAddr::from(ip), port)),
        any::<([u16; 8], u16, u32)>().prop_map(|(ip, port, scope)| {
            SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::from(ip), port, 0, scope))
        }),
    ];
    (
        vec("\\PC{0,12}", 8),
        vec(vec(any::<u8>(), 0..40), 8),
        any::<[u64; 4]>(),
        any::<[u16; 2]>(),
        address,
        any::<i64>(),
        any::<[u8; 32]>(),
        0..KINDS,
    )
        .prop_map(
            |(texts, bytes, longs, shorts, address, wall, hash, kind)| Pool {
                texts,
                bytes,
                longs,
                shorts,
                address,
                wall,
                hash,
                kind,
            },
        )
}

impl Pool {
    fn leg(&self, turn: usize) -> Leg<'_> {
        let field = |index: usize| self.bytes[(turn + index) % self.bytes.len()].as_slice();
        Leg {
            flow: self.flow(turn),
            call_id: field(0),
            local_uri: field(1),
            local_tag: b"lt",
            remote_uri: field(2),
            remote_tag: b"rt",
            target: field(3),
            routes: field(4),
            local_cseq: u32::from(self.shorts[1]) << 16,
            remote_cseq: u32::from(self.shorts[0]) << 13,
            allow: Some(u32::from(self.shorts[1])),
            session: self.session(),
        }
    }

    fn flow(&self, turn: usize) -> Flow {
        let listener = ListenerId(self.shorts[0]);
        // Over UDP and TCP nobody is known by a name.
        let name = PeerName([self.shorts[1].to_le_bytes()[0]; 16]);
        let (transport, name) = match turn % 5 {
            0 => (Transport::Udp, None),
            1 => (Transport::Tcp, None),
            2 => (Transport::Tls, None),
            3 => (Transport::Tls, Some(name)),
            _ => (Transport::Inside, Some(name)),
        };
        Flow {
            local: Some(self.address.ip()),
            name,
            ..Flow::to(listener, transport, self.address)
        }
    }

    fn session(&self) -> Session {
        Session {
            seconds: u32::from(self.shorts[0]),
            ours: self.shorts[1].is_multiple_of(2),
        }
    }

    fn party(&self) -> Party {
        [Party::Caller, Party::Callee, Party::Tollgate][usize::from(self.shorts[1] % 3)]
    }

    fn verdict(&self) -> Record<'_> {
        let pick = usize::from(self.shorts[1]);
        Record::Verdict {
            call: CallRef(self.longs[0]),
            wall: Wall::from_micros(self.wall),
            tenant: &self.texts[0],
            source: self.address,
            direction: [Direction::Outbound, Direction::Inbound][pick % 2],
            caller: &self.bytes[0],
            received_uri: &self.bytes[1],
            number: &self.texts[1],
            decision: [
                Decision::Allow,
                Decision::Observe,
                Decision::Refuse,
                Decision::Emergency,
            ][pick % 4],
            reason: &self.texts[2],
            rule_file: &self.texts[3],
            rule_line: u32::from(self.shorts[1]),
            value: self.longs[1],
            threshold: self.longs[2],
            rules_hash8: self.longs[3],
            a_call_id: &self.bytes[2],
            b_call_id: &self.bytes[3],
            carrier: &self.texts[4],
        }
    }

    pub(super) fn record(&self) -> Record<'_> {
        let (call, wall) = (CallRef(self.longs[0]), Wall::from_micros(self.wall));
        let side = [Side::Caller, Side::Callee][usize::from(self.shorts[0] % 2)];
        match self.kind {
            0 => Record::Started {
                wall,
                shard: self.shorts[0],
                shards: self.shorts[1],
                program: &self.texts[0],
                boot: &self.texts[1],
            },
            1 => Record::RulesLoaded {
                wall,
                hash: self.hash,
                version: self.longs[0],
            },
            2 => self.verdict(),
            3 => Record::Setup {
                call,
                wall,
                peer: &self.texts[0],
                leg: self.leg(0),
                branch: &self.bytes[7],
                caller: self.leg(2),
                asked: &self.bytes[6],
            },
            4 => Record::Answered {
                call,
                wall,
                ends_by: Wall::from_micros(self.longs[1].cast_signed()),
                session_expires: u32::from(self.shorts[1]),
                caller: self.leg(1),
                callee: self.leg(4),
            },
            5 => Record::Target {
                call,
                side,
                target: &self.bytes[0],
            },
            6 => Record::CSeq {
                call,
                side,
                local: u32::from(self.shorts[0]) << 13,
                remote: u32::from(self.shorts[1]),
            },
            7 => Record::Ended {
                call,
                wall,
                answered: side == Side::Caller,
                duration_ms: self.longs[1],
                by: self.party(),
                cause: &self.texts[0],
                status: self.shorts[0],
                cost: self.longs[2],
                currency: &self.texts[1],
            },
            8 => Record::Note {
                wall,
                what: &self.texts[0],
                detail: &self.texts[1],
                count: self.longs[1],
            },
            9 => Record::Stopped {
                wall,
                live: self.longs[1],
            },
            10 => Record::Lease {
                call,
                wall,
                lasts_s: u32::from(self.shorts[0]),
                reserved: self.longs[1],
                currency: &self.texts[0],
                minute: self.longs[0],
                value: self.longs[2],
                threshold: self.longs[3],
            },
            11 => Record::Booked {
                call,
                wall,
                tenant: &self.texts[0],
                cost: self.longs[1],
                currency: &self.texts[1],
            },
            _ => self.later_record(),
        }
    }

    fn later_record(&self) -> Record<'_> {
        let (call, wall) = (CallRef(self.longs[0]), Wall::from_micros(self.wall));
        let side = [Side::Caller, Side::Callee][usize::from(self.shorts[0] % 2)];
        match self.kind {
            12 => Record::Acked { call },
            13 => Record::Session {
                call,
                wall,
                side,
                session: self.session(),
            },
            14 => Record::Description {
                call,
                side,
                body: &self.bytes[0],
            },
            15 => Record::Ending {
                call,
                wall,
                by: self.party(),
                cause: &self.texts[0],
            },
            16 => Record::Restored {
                call,
                wall,
                was_shard: self.shorts[0],
                was: CallRef(self.longs[1]),
                tenant: &self.texts[0],
                number: &self.texts[1],
                state: &self.bytes[0],
            },
            17 => Record::Retried {
                call,
                cseq: u32::from(self.shorts[0]),
                branch: &self.bytes[0],
            },
            18 => Record::Resumed {
                wall,
                calls: self.longs[1],
            },
            19 => Record::Scope {
                number: u32::from(self.shorts[0]) << 16,
                tenant: &self.texts[0],
                inbound: side == Side::Caller,
                each: [None, Some(Who::Pair)][usize::from(self.shorts[1] % 2)],
                to: [self.longs[1], self.longs[2]],
                hours: &self.texts[1],
                outside: side == Side::Callee,
            },
            20 => Record::Counted {
                call,
                tenant: &self.texts[0],
                mono: Mono::from_nanos(self.longs[1]),
                wall,
                day_end: wall,
                resets: self.longs[2],
                marks: Marks {
                    called: self.longs[0],
                    caller: self.longs[3],
                    country: self.shorts[0],
                    class: 7,
                    inbound: false,
                },
                places: &self.bytes[0],
            },
            21 => Record::Account {
                call,
                resets: self.longs[0],
                booked: self.longs[1],
                booked_in: (i32::from(self.shorts[0]), -1),
                held: self.longs[2],
                held_in: (0, i32::from(self.shorts[1])),
                places: &self.bytes[0],
                billing: &self.bytes[1],
            },
            22 => Record::Reset {
                wall,
                tenant: &self.texts[0],
                resets: self.longs[0],
                by: &self.texts[1],
                why: &self.texts[2],
            },
            23 => Record::Invite {
                call,
                message: &self.bytes[0],
            },
            24 => Record::Refusals {
                wall,
                tenant: &self.texts[0],
                direction: Direction::Outbound,
                reason: &self.texts[1],
                first: wall,
                last: Wall::from_micros(self.wall.wrapping_add(1)),
                count: self.longs[1],
                source: self.address,
                number: &self.texts[2],
            },
            26 => Record::Drawn {
                scope: u32::from(self.shorts[0]) << 16,
                which: Which::Own(self.longs[0], self.longs[1]),
                stock: [
                    Stock::Calls(wall),
                    Stock::Day(-i32::from(self.shorts[1])),
                    Stock::Month(i32::from(self.shorts[1]) << 15),
                ][usize::from(self.shorts[0] % 3)],
                resets: self.longs[2],
                upto: self.longs[3],
            },
            28 => Record::Bound(Bound {
                wall,
                mono: Mono::from_nanos(self.longs[0]),
                account: &self.texts[0],
                tenant: &self.texts[1],
                lasts_s: u32::from(self.shorts[0]),
                since: wall,
                flow: self.leg(0).flow,
                contact: &self.bytes[0],
                bulk: side == Side::Caller,
                path: &self.bytes[1],
                call_id: &self.bytes[2],
                cseq: u32::from(self.shorts[1]) << 9,
            }),
            32 => Record::Led(Led {
                call,
                wall,
                side,
                leg: self.leg(1),
                branch: &self.bytes[0],
            }),
            29 => Record::Carried(Carried {
                call,
                side,
                flow: self.leg(1).flow,
                cseq: u32::from(self.shorts[0]) << 9,
                onward: u32::from(self.shorts[1]),
                branch: &self.bytes[0],
                mark: self.longs[1],
                asked: &self.bytes[1],
            }),
            31 => Record::Beside(Beside {
                call,
                wall,
                dialog: self.shorts[0].to_le_bytes()[0],
                over: side == Side::Caller,
                tag: &self.bytes[0],
                target: &self.bytes[1],
                routes: &self.bytes[2],
            }),
            30 => Record::Settled(Settled {
                call,
                wall,
                side,
                status: self.shorts[0],
            }),
            33 => Record::Agreed {
                mono: Mono::from_nanos(self.longs[1]),
                wall,
            },
            25 => Record::Parted {
                call,
                tag: &self.bytes[0],
            },
            _ => Record::Ordered {
                wall,
                order: &self.texts[0],
                tenant: &self.texts[1],
                detail: &self.texts[2],
                hang_up: side == Side::Caller,
                lasts_s: self.longs[1],
                uid: u32::from(self.shorts[0]) << 13,
                by: &self.texts[3],
                why: &self.texts[4],
            },
        }
    }
}
