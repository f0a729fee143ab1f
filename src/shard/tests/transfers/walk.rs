//! Transfers in any order of events: whatever comes when, everyone who has answered is hung
//! up in the end, no budget or place is held, and nobody is called whom rules refuse.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// What may happen next.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// The phone system transfers its first call: to a number, to nobody whom it may call,
    /// to its second call, to one that is not there.
    Refer(u8),
    /// The oldest open INVITE is answered so.
    Answer(u16),
    /// The phone system hangs up its first or second call.
    Hang(usize),
    /// The far end of its first or second call hangs up.
    HangFar(usize),
    /// So many seconds go by.
    Pass(u64),
    /// The phone system's INVITE inside the first call.
    Change,
    /// The program dies, and another takes over.
    Crash,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0_u8..4).prop_map(Event::Refer),
        8 => prop_oneof![Just(200), Just(200), Just(180), Just(486), Just(491)].prop_map(Event::Answer),
        1 => (0_usize..2).prop_map(Event::Hang),
        1 => (0_usize..2).prop_map(Event::HangFar),
        1 => prop_oneof![Just(1), Just(40), Just(200)].prop_map(Event::Pass),
        1 => Just(Event::Change),
        1 => Just(Event::Crash),
    ]
}

/// The peers, as far as they answer by themselves.
struct Peers {
    world: World,
    calls: Vec<Up>,
    /// INVITEs that have no final answer, and to whom they are.
    open: Vec<(String, String)>,
    /// Branches of requests that were answered.
    answered: BTreeSet<String>,
    /// Dialogs that were answered with 200, by Call-ID and the peer's tag: whether ACK came, and
    /// BYE from either side.
    dialogs: BTreeMap<(String, String), (bool, bool)>,
    /// The last 200 in each, and to whom it goes.
    oks: BTreeMap<(String, String), (String, String)>,
    cseq: u32,
    crashed: bool,
}

impl Peers {
    fn new() -> Self {
        let mut world = super::world(8);
        let first = up_to(&mut world, NUMBER, "a1", "c");
        let second = up_to(&mut world, OTHER, "a2", "b");
        let mut peers = Self {
            world,
            calls: Vec::new(),
            open: Vec::new(),
            answered: BTreeSet::new(),
            dialogs: BTreeMap::new(),
            oks: BTreeMap::new(),
            cseq: 10,
            crashed: false,
        };
        for call in [first, second] {
            let far = (
                header(&call.invite, "Call-ID").to_owned(),
                call.tag.to_owned(),
            );
            let near = (call.call_id.clone(), tag_of(header(&call.answered, "From")));
            for dialog in [far, near] {
                peers.dialogs.insert(dialog, (true, false));
            }
            peers
                .answered
                .insert(header(&call.invite, "Via").to_owned());
            peers.calls.push(call);
        }
        peers
    }

    /// What goes out reaches its peers, who say what they must to it.
    fn take(&mut self, sent: Vec<(String, String)>) {
        let mut waiting = sent;
        while !waiting.is_empty() {
            for (peer, text) in std::mem::take(&mut waiting) {
                let method = text.split(' ').next().unwrap().to_owned();
                let via = header(&text, "Via").to_owned();
                let dialog = (
                    header(&text, "Call-ID").to_owned(),
                    tag_of(header(&text, "To")),
                );
                match method.as_str() {
                    "SIP/2.0"
                        if text.starts_with("SIP/2.0 200")
                            && header(&text, "CSeq").ends_with("INVITE") =>
                    {
                        let cseq = header(&text, "CSeq")
                            .split(' ')
                            .next()
                            .unwrap()
                            .parse()
                            .unwrap();
                        let names = [header(&text, "From"), header(&text, "To"), &*dialog.0];
                        let ack = request(PBX, "ACK", names, (cseq, ""));
                        waiting.append(&mut self.world.send(PBX, &ack));
                    }
                    "SIP/2.0" => {}
                    "INVITE" if self.answered.contains(&via) => {}
                    "INVITE" => {
                        let known = self.open.iter().any(|it| header(&it.1, "Via") == via);
                        if !known {
                            self.open.push((peer, text));
                        }
                    }
                    "ACK" => {
                        if let Some(it) = self.dialogs.get_mut(&dialog) {
                            it.0 = true;
                        }
                    }
                    "CANCEL" => {
                        waiting
                            .append(&mut self.world.send(&peer, &answer(&text, "200 OK", "x", "")));
                        let at = self.open.iter().position(|it| header(&it.1, "Via") == via);
                        if let Some(at) = at {
                            let (_, invite) = self.open.remove(at);
                            self.answered.insert(via);
                            let ended = answer(&invite, "487 Request Terminated", "x", "");
                            waiting.append(&mut self.world.send(&peer, &ended));
                        }
                    }
                    _ => {
                        // RFC 3261 §15.1.2.
                        let within = |it: &mut (String, String)| {
                            header(&it.1, "Call-ID") == dialog.0
                                && tag_of(header(&it.1, "To")) == dialog.1
                        };
                        let ends = method == "BYE";
                        for (peer, invite) in self.open.extract_if(.., |it| ends && within(it)) {
                            self.answered.insert(header(&invite, "Via").to_owned());
                            let ended = answer(&invite, "487 Request Terminated", "x", "");
                            waiting.append(&mut self.world.send(&peer, &ended));
                        }
                        let mut code = "200 OK";
                        match self.dialogs.get_mut(&dialog) {
                            // What a 200 before a restart said nobody knows.
                            Some(it) if method == "BYE" => *it = (it.0 || self.crashed, true),
                            Some(it) if !it.1 => {}
                            _ => code = "481 Call/Transaction Does Not Exist",
                        }
                        waiting.append(&mut self.world.send(&peer, &answer(&text, code, "", "")));
                    }
                }
            }
        }
    }

    fn send(&mut self, peer: &str, text: &str) {
        let sent = self.world.send(peer, text);
        self.take(sent);
    }

    fn next(&mut self) -> u32 {
        self.cseq += 1;
        self.cseq
    }

    fn happen(&mut self, event: Event) {
        let cseq = self.next();
        match event {
            Event::Refer(kind) => {
                let target = match kind {
                    0 => format!("sip:{OTHER}@127.0.0.1"),
                    1 => DEAR.to_owned(),
                    2 => format!("sip:{OTHER}@127.0.0.1{}", self.calls[1].replaces()),
                    _ => format!("sip:{OTHER}@127.0.0.1?Replaces=x%3Bto-tag%3Dy%3Bfrom-tag%3Dz"),
                };
                let text = self.calls[0].of_pbx("REFER", cseq, &refer_to(&target));
                self.send(PBX, &text);
            }
            Event::Answer(code) if !self.open.is_empty() => {
                let (peer, invite) = match code {
                    ..=199 => self.open[0].clone(),
                    _ => self.open.remove(0),
                };
                let status = format!("{code} Something");
                if code >= 200 {
                    self.answered.insert(header(&invite, "Via").to_owned());
                }
                let tag = match tag_of(header(&invite, "To")) {
                    tag if tag.is_empty() => format!("t{cseq}"),
                    tag => tag,
                };
                if code == 200 {
                    let dialog = (header(&invite, "Call-ID").to_owned(), tag.clone());
                    let over = self.dialogs.get(&dialog).is_some_and(|it| it.1);
                    self.dialogs.insert(dialog, (over, over));
                }
                let text = match code {
                    200 => with_body(&invite, &status, &tag, OFFER),
                    _ => answer(&invite, &status, &tag, ""),
                };
                if code == 200 {
                    let dialog = (header(&invite, "Call-ID").to_owned(), tag);
                    self.oks.insert(dialog, (peer.clone(), text.clone()));
                }
                self.send(&peer, &text);
            }
            Event::Hang(at) => {
                let call = &self.calls[at];
                let dialog = (call.call_id.clone(), tag_of(header(&call.answered, "From")));
                let text = call.of_pbx("BYE", cseq, "");
                self.hang(&dialog, PBX, &text);
            }
            Event::HangFar(at) => {
                let call = &self.calls[at];
                let dialog = (
                    header(&call.invite, "Call-ID").to_owned(),
                    call.tag.to_owned(),
                );
                let text = call.of_carrier("BYE", cseq, "");
                self.hang(&dialog, CARRIER, &text);
            }
            Event::Pass(seconds) => {
                // RFC 3261 §13.3.1.4.
                for (dialog, (peer, text)) in self.oks.clone() {
                    if self.dialogs.get(&dialog) == Some(&(false, false)) {
                        self.send(&peer, &text);
                    }
                }
                // Nobody is so slow as to be given up.
                for (peer, invite) in self.open.clone() {
                    if tag_of(header(&invite, "To")).is_empty() {
                        self.send(
                            &peer,
                            &answer(&invite, "180 Ringing", &format!("t{cseq}"), ""),
                        );
                    } else {
                        self.happen(Event::Answer(200));
                    }
                }
                let end = self.world.now.mono + Duration::from_secs(seconds);
                while let Some(due) = self.world.shard.next_deadline().filter(|due| *due <= end) {
                    self.world.now = self.world.now + due.saturating_since(self.world.now.mono);
                    let sent = self.world.take(Input::Tick);
                    self.take(sent);
                }
                let rest = end.saturating_since(self.world.now.mono);
                self.world.now = self.world.now + rest;
            }
            Event::Change => {
                let text = self.calls[0].of_pbx("INVITE", cseq, "");
                self.send(PBX, &text);
            }
            Event::Crash => {
                self.crashed = true;
                let sent = self.world.crash(1);
                self.take(sent);
            }
            Event::Answer(_) => {}
        }
    }

    fn hang(&mut self, dialog: &(String, String), peer: &str, text: &str) {
        if let Some(it) = self.dialogs.get_mut(dialog)
            && !it.1
        {
            // Who has said BYE waits for no ACK.
            *it = (true, true);
            self.send(peer, text);
        }
    }

    /// All far ends that are up hang up, and time goes by.
    fn end(&mut self) {
        while !self.open.is_empty() {
            self.happen(Event::Answer(486));
        }
        for at in 0..2 {
            self.happen(Event::Hang(at));
            self.happen(Event::HangFar(at));
        }
        for _ in 0..20 {
            self.happen(Event::Pass(100));
            while !self.open.is_empty() {
                self.happen(Event::Answer(200));
            }
        }
    }
}

/// The tag in an address; empty if there is none.
fn tag_of(field: &str) -> String {
    field.split_once(";tag=").map_or("", |it| it.1).to_owned()
}

proptest! {
    #[test]
    fn whatever_happens_nobody_is_left(events in vec(event(), 1..25)) {
        let mut peers = Peers::new();
        for event in &events {
            peers.happen(*event);
            let dear = peers.open.iter().any(|it| it.1.contains("23276123456"));
            prop_assert!(!dear, "a call that rules refuse");
        }
        peers.end();
        for (dialog, (acked, over)) in &peers.dialogs {
            prop_assert!(*acked, "no ACK in {dialog:?}");
            prop_assert!(*over, "nobody hangs up in {dialog:?}");
        }
        peers.world.rest();
        prop_assert_eq!(peers.world.shard.counts(), Counts::default());
        prop_assert_eq!(peers.world.counters.live(), 0);
    }
}
