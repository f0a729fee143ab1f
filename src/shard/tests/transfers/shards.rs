//! Calls that live in two shards.

use super::*;
use crate::record::Recovered;

/// Two shards that share the counters, and hand on to each other what leads there.
struct Pair([World; 2]);

impl Pair {
    fn new() -> Self {
        let tenant = TENANT.replace("calls_at_once = 1", "calls_at_once = 2");
        let (first, second) = (World::of(&tenant), World::of(&tenant));
        let rules = compiled(MAIN, &tenant, &first.counters);
        let mut worlds = [first, second];
        for (world, id) in worlds.iter_mut().zip(0..) {
            let config = Config {
                id,
                shards: 2,
                key: u128::from(id) + 1,
                bucket_key: 2,
                timers: Timers::default(),
                rules: Arc::clone(&rules),
            };
            world.shard = Shard::new(config, world.now);
        }
        Self(worlds)
    }

    /// The shard that such a message comes to.
    fn owner(text: &str) -> usize {
        shard_of(&Buckets::new(2), 2, header(text, "Call-ID").as_bytes()).into()
    }

    /// What goes out to peers, in the end.
    fn send(&mut self, from: &str, text: &str) -> Vec<(String, String)> {
        let at = Self::owner(text);
        let mut waiting = vec![(at, self.0[at].message(from, text))];
        let mut sent = Vec::new();
        while let Some((at, input)) = waiting.pop() {
            let world = &mut self.0[at];
            world.shard.handle(world.now, input, &mut world.out);
            let inside = |it: &mut Transmit| it.flow.leads_to().is_some();
            let across: Vec<_> = world.out.transmits.extract_if(.., inside).collect();
            for it in across.into_iter().rev() {
                let to = it.flow.leads_to().unwrap().shard(2).into();
                assert_ne!(to, at, "what is this shard's own it keeps");
                let message = scan(Bytes::from_owner(it.packet)).unwrap();
                let flow = it.flow.back();
                waiting.push((to, Input::Message { flow, message }));
            }
            sent.append(&mut self.0[at].taken());
        }
        sent
    }

    fn up(&mut self, branch: &str, tag: &'static str) -> Up {
        let mut send = |peer: &str, text: &str| self.send(peer, text);
        up_by(&mut send, NUMBER, branch, tag)
    }
}

#[test]
fn calls_of_two_shards_are_joined() {
    let of = |shard: usize| {
        (0..)
            .map(|nth| format!("b{nth}"))
            .find(|it| Pair::owner(&invite(NUMBER, it)) == shard)
    };
    let mut pair = Pair::new();
    let (first, second) = (pair.up(&of(0).unwrap(), "c"), pair.up(&of(1).unwrap(), "b"));
    let target = format!("sip:{NUMBER}@127.0.0.1{}", second.replaces());
    let sent = pair.send(PBX, &first.of_pbx("REFER", 2, &refer_to(&target)));
    assert_eq!(gist(&sent), ["pbx 202", "pbx NOTIFY", "first INVITE"]);
    let sent = pair.send(CARRIER, &with_body(&sent[2].1, "200 OK", "b", OFFER));
    assert_eq!(gist(&sent), ["first INVITE"]);
    let sent = pair.send(CARRIER, &with_body(&sent[0].1, "200 OK", "c", ANSWER));
    let order = ["first ACK", "pbx NOTIFY", "pbx BYE", "pbx BYE", "first ACK"];
    assert_eq!(gist(&sent), order);
    assert!(sent[4].1.ends_with("v=0 of A\r\n"));
    for at in [2, 3] {
        pair.send(PBX, &answer(&sent[at].1, "200 OK", "", ""));
    }
    // After a restart each is in the shard that its messages come to.
    for (world, own) in pair.0.iter().zip(0_u16..) {
        let recovered = Recovered::of([(own, world.fold.clone())], world.now, BOOT);
        let shares = recovered.deal(&Buckets::new(2), 2, world.now.wall).shares;
        let dealt: Vec<_> = shares.iter().map(|it| it.calls.len()).collect();
        assert_eq!(dealt, [usize::from(own == 0), usize::from(own == 1)]);
    }
    let sent = pair.send(CARRIER, &second.of_carrier("BYE", 5, ""));
    assert_eq!(gist(&sent), ["first 200", "first BYE"]);
    pair.send(CARRIER, &answer(&sent[1].1, "200 OK", "c", ""));
    for world in &mut pair.0 {
        nothing_is_left(world);
    }
}
