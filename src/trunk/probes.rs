//! Whether carriers are there.
//!
//! A carrier with `probe` is asked by OPTIONS (RFC 3261 §11) every so often, by one
//! shard for all. What it answers, or does not, counts as what calls find out: see
//! `policy::Trunk`.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::base::flow::Flow;
use crate::base::limits::PROBE_WAIT;
use crate::base::time::Mono;
use crate::base::token::{Bucket, Buckets, Mint, keyed128};
use crate::policy::{Carrier, Gateway, RuleSet, Trunk, Turned};
use crate::sip::draft::{Draft, Packet};
use crate::sip::fields::{self, Essentials};
use crate::sip::header::HeaderId;
use crate::sip::line::Method;
use crate::sip::message::Message;
use crate::transaction::{ClientKey, Matched, Origin, Table, Timers, Transmit};

/// Carriers that turned out to have changed.
pub(crate) type News = SmallVec<[(Arc<str>, Turned); 1]>;

/// Asks carriers whether they are there.
#[derive(Debug)]
pub(crate) struct Probes {
    asked: Vec<Asked>,
    /// Apart from the calls' transactions: none of these is worth a call's.
    table: Table<()>,
    mint: Mint,
    buckets: Buckets,
    scratch: Vec<u8>,
}

/// A carrier that is asked, or one of its gateways.
#[derive(Debug)]
struct Asked {
    trunk: Arc<Trunk>,
    flow: Flow,
    /// What stands for it in URIs.
    host: Arc<str>,
    /// Our own address there, as text.
    here: String,
    every: Duration,
    /// When it is asked next, or has been given up if it is asked now.
    due: Mono,
    open: Option<ClientKey>,
}

impl Probes {
    /// Nobody is asked before [`Self::obey`] says whom.
    pub(crate) fn new(key: u128, bucket_key: u128, timers: Timers, start: Mono) -> Self {
        Self {
            asked: Vec::new(),
            table: Table::new(keyed128(key, &[b"probes"]), timers, start),
            mint: Mint::new(keyed128(key, &[b"probe tokens"])),
            buckets: Buckets::new(bucket_key),
            scratch: Vec::new(),
        }
    }

    /// Asks the carriers of these rules from now on.
    pub(crate) fn obey(&mut self, rules: &RuleSet, now: Mono) {
        let before = std::mem::take(&mut self.asked);
        let asks = |(carrier, it): (&Carrier, &Gateway)| {
            let mut known = before.iter();
            let known = known.find(|asked| asked.trunk.name() == it.trunk.name());
            let listener = rules.listeners().get(usize::from(it.listener.0))?;
            Some(Asked {
                trunk: Arc::clone(&it.trunk),
                flow: it.flow(),
                host: Arc::clone(&carrier.host),
                here: listener.advertise.to_string(),
                every: carrier.probe?,
                due: known.map_or(now, |asked| asked.due),
                open: known.and_then(|asked| asked.open),
            })
        };
        let carriers = rules.carriers().iter();
        let gateways = carriers.flat_map(|it| it.gateways.iter().map(move |gateway| (it, gateway)));
        self.asked = gateways.filter_map(asks).collect();
    }

    /// When to call [`Self::tick`] next.
    pub(crate) fn next_deadline(&self) -> Option<Mono> {
        let due = self.asked.iter().map(|asked| asked.due);
        due.chain(self.table.next_deadline()).min()
    }

    /// Asks whoever is due, and gives up on those who have not answered.
    pub(crate) fn tick(&mut self, now: Mono, out: &mut Vec<Transmit>) -> News {
        let (mut news, first) = (News::new(), out.len());
        self.table.tick(now, out, &mut Vec::new());
        for at in 0..self.asked.len() {
            let Some(asked) = self.asked.get_mut(at).filter(|it| it.due <= now) else {
                continue;
            };
            let Some(key) = asked.open.take() else {
                asked.due = now + PROBE_WAIT;
                self.ask(at, now, out);
                continue;
            };
            asked.due = now + asked.every.saturating_sub(PROBE_WAIT);
            let turned = asked.trunk.fails(now);
            news.extend(turned.map(|it| (Arc::clone(asked.trunk.name()), it)));
            // Nor is it repeated any more.
            self.table.forget(key);
        }
        // Whether it could be sent shows in its answer.
        for transmit in out.iter_mut().skip(first) {
            transmit.origin = Origin::Stateless;
        }
        news
    }

    fn ask(&mut self, at: usize, now: Mono, out: &mut Vec<Transmit>) {
        let Some(asked) = self.asked.get_mut(at) else {
            return;
        };
        let branch = self.mint.token();
        let call_id = self.buckets.aim(self.mint.token(), Bucket::FIRST);
        let via = format!(
            "SIP/2.0/{} {};branch=z9hG4bK{branch};rport",
            asked.flow.transport.via_name(),
            asked.here
        );
        let tag = self.mint.token();
        let packet = question(&mut self.scratch, asked, &via, (&tag.text(), &call_id));
        asked.open = self
            .table
            .request(now, asked.flow, Method::Options, branch, packet, (), out);
    }

    /// A response: whether it is to one of these, and what it changes.
    pub(crate) fn receive(
        &mut self,
        now: Mono,
        message: &Message,
        essentials: &Essentials<'_>,
    ) -> Option<News> {
        if self.asked.is_empty() || essentials.cseq.method != Method::Options {
            return None;
        }
        let sent = &mut Vec::new();
        let key = match self.table.receive_response(now, message, essentials, sent) {
            Matched::Pass(reply) => reply.key,
            Matched::Absorbed => return Some(News::new()),
            Matched::Stray => return None,
        };
        let mut news = News::new();
        let asked = self.asked.iter_mut().find(|it| it.open == Some(key));
        let code = message.status().unwrap_or_default();
        if let (Some(asked), 200..) = (asked, code) {
            asked.open = None;
            asked.due = asked.due + asked.every.saturating_sub(PROBE_WAIT);
            let turned = match code {
                503 => asked.trunk.fails(now),
                _ => asked.trunk.answers(now),
            };
            if let (503, Some(seconds)) = (code, fields::retry_after(message)) {
                asked.trunk.rests(now, seconds);
            }
            news.extend(turned.map(|it| (Arc::clone(asked.trunk.name()), it)));
        }
        Some(news)
    }
}

/// OPTIONS outside a dialog.
fn question(
    scratch: &mut Vec<u8>,
    asked: &Asked,
    via: &str,
    (tag, call_id): (&[u8], &[u8]),
) -> Packet {
    let uri = format!("sip:{}{}", asked.host, asked.flow.transport.uri_param());
    let here = format!("<sip:{}>;tag=", asked.here);
    let mut draft = Draft::request(scratch, b"OPTIONS", uri.as_bytes());
    draft.put(HeaderId::Via, via.as_bytes());
    draft.put(HeaderId::MaxForwards, b"70");
    draft.put_parts(HeaderId::From, &[here.as_bytes(), tag]);
    draft.put_parts(HeaderId::To, &[b"<", uri.as_bytes(), b">"]);
    draft.put(HeaderId::CallId, call_id);
    draft.put(HeaderId::CSeq, b"1 OPTIONS");
    draft.put(HeaderId::Accept, b"application/sdp");
    draft.seal(None)
}
