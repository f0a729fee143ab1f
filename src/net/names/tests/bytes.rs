//! Answers of any bytes.

use domain::base::{Message, Rtype};
use proptest::prelude::*;

use super::*;
use crate::net::names::wire::{Asked, Domain, Reply};

/// Says this to everything, in turn.
struct Parrot {
    says: Vec<Vec<u8>>,
    asked: usize,
}

impl Asked for Parrot {
    fn ask(&mut self, _: &Domain, _: Rtype) -> Result<Reply, Unasked> {
        let says = self.says.get(self.asked % self.says.len().max(1));
        self.asked += 1;
        let message = says.and_then(|it| Message::from_octets(it.clone()).ok());
        message
            .filter(|_| self.asked <= NAME_QUESTIONS)
            .ok_or(Unasked::TooMany)
    }
}

fn answers() -> [Vec<u8>; 3] {
    const SERVICE: &str = "_sip._udp.sip.example.net";
    let pointers = [
        naptr(NAME, 60, 30, "SIP+D2U", SERVICE),
        naptr(NAME, 60, 20, "SIPS+D2T", "_sips._tcp.sip.example.net"),
    ];
    let servers = [
        srv(SERVICE, 60, [20, 0, 5062], "b.example.net"),
        srv(SERVICE, 60, [0, 10, 5061], NAME),
    ];
    let addresses = [
        cname(NAME, 60, "b.example.net"),
        a("b.example.net", 60, [192, 0, 2, 1]),
        aaaa("b.example.net", 60, "2001:db8::1"),
    ];
    [
        server::answer(NAME, NAPTR, &pointers),
        server::answer(SERVICE, SRV, &servers),
        server::answer(NAME, A, &addresses),
    ]
}

proptest! {
    #[test]
    fn no_bytes_break_it_or_have_it_ask_for_ever(
        changes in prop::collection::vec((0_usize..3, any::<prop::sample::Index>(), any::<u8>()), 0..12),
        name in prop::sample::select(vec![NAME, "udp:sip.example.net", "udp:sip.example.net:5060"]),
    ) {
        let mut says = answers().to_vec();
        for (which, at, byte) in changes {
            let bytes = &mut says[which];
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let mut parrot = Parrot { says, asked: 0 };
        let mut wanted = wanted(name);
        wanted.v6 = true;
        if let Ok(outcome) = locate(&wanted, &mut parrot) {
            prop_assert!(!outcome.ways.is_empty());
            prop_assert!(outcome.ways.len() <= GATEWAYS_PER_CARRIER);
            prop_assert!(outcome.holds >= NAME_TTL.0 && outcome.holds <= NAME_TTL.1);
        }
        prop_assert!(parrot.asked <= NAME_QUESTIONS + 2 * GATEWAYS_PER_CARRIER);
    }

    #[test]
    fn nor_do_bytes_that_nobody_chose(says in prop::collection::vec(prop::collection::vec(any::<u8>(), 12..200), 1..4)) {
        let mut parrot = Parrot { says, asked: 0 };
        let _any = locate(&wanted(NAME), &mut parrot);
        prop_assert!(parrot.asked <= NAME_QUESTIONS + 2 * GATEWAYS_PER_CARRIER);
    }
}
