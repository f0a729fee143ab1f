//! Phone systems that register here (RFC 3261 §10.3), and strangers who are asked who
//! they are. Nothing is kept of either until a password has been proved.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;

use crate::base::flow::Flow;
use crate::base::gate::Gate;
use crate::base::limits::{
    BOUND_CHANGES, BOUND_NOTED_S, REGISTERED_S, ROUTE_SET_BYTES, TARGET_BYTES,
};
use crate::base::time::{Mono, Now};
use crate::base::token::{Token, keyed128};
use crate::policy::{Account, Binding, Proof, RuleSet, TenantId, challenge};
use crate::sip::digest::Algorithm;
use crate::sip::draft::{Draft, Packet};
use crate::sip::echo::{Echo, reply_to};
use crate::sip::fields::{self, Essentials};
use crate::sip::header::HeaderId;
use crate::sip::line::{Method, reason_phrase};
use crate::sip::message::Message;
use crate::sip::uri::Uri;
use crate::transaction::{Origin, Transmit};

use super::granted::number;

/// The extensions that a REGISTER may require (RFC 3327, RFC 6140).
const KNOWN: [&[u8]; 2] = [b"path", b"gin"];

/// A request, and the way that it came.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'m> {
    pub(crate) flow: Flow,
    pub(crate) message: &'m Message,
    pub(crate) essentials: &'m Essentials<'m>,
}

/// A shard's registrar. What is registered is known to all shards.
#[derive(Debug)]
pub(crate) struct Registrar {
    key: u128,
    gate: Gate,
    scratch: Vec<u8>,
    /// When the next binding is over.
    next: Option<Mono>,
    /// What the journal is to be told.
    news: Vec<News>,
    /// How often accounts have changed lately, and since when.
    changes: HashMap<Box<str>, (Mono, u8), FixedState>,
}

/// What has become of a binding.
#[derive(Clone, Debug)]
pub(crate) enum News {
    /// It was made, or goes on.
    Bound(Arc<Binding>),
    /// It is over before its time.
    Gone(Arc<Binding>),
}

impl Registrar {
    /// With the key that all shards have.
    pub(crate) fn new(key: u128) -> Self {
        Self {
            key,
            gate: Gate::default(),
            scratch: Vec::new(),
            next: None,
            news: Vec::new(),
            changes: HashMap::default(),
        }
    }

    /// What the journal is to be told before anything else of this turn leaves.
    pub(crate) fn take_news(&mut self) -> impl Iterator<Item = News> {
        self.news.drain(..)
    }

    pub(crate) fn next_deadline(&self) -> Option<Mono> {
        self.next
    }

    /// Forgets bindings that are over, or of accounts that there are no more.
    pub(crate) fn tidy(&mut self, now: Mono, rules: &RuleSet) {
        let (next, gone) = rules.tidy_bindings(now);
        self.next = next;
        self.news.extend(gone.into_iter().map(News::Gone));
    }

    /// Something of somebody who is nobody known, at a listener that challenges: a
    /// REGISTER that proves whose it is is taken, and all other REGISTERs and INVITEs
    /// are asked to, with an answer no longer than they are.
    pub(crate) fn stranger(
        &mut self,
        now: Now,
        rules: &RuleSet,
        asked: &Asked<'_>,
        out: &mut Vec<Transmit>,
    ) {
        let method = asked.essentials.cseq.method;
        let outside = asked.essentials.to_tag.is_none();
        if !matches!(method, Method::Register | Method::Invite)
            || !outside
            || !self.gate.passes(now.mono, asked.flow.remote.ip(), self.key)
        {
            return;
        }
        let proof = match method {
            Method::Register => self.proof(now.mono, rules, asked),
            // Nobody's calls are taken from where nobody has registered.
            _ => Proof::Wanted { stale: false },
        };
        match proof {
            Proof::Given(account) => self.bind(now, rules, account, asked, out),
            Proof::Wanted { stale } => {
                let room = asked.message.bytes().len();
                // The last alone, which most devices have, where all are too long.
                let all = rules.algorithms(asked.flow);
                let last = all.last().map(std::slice::from_ref);
                let packet = [Some(all), last]
                    .into_iter()
                    .flatten()
                    .map(|it| self.challenge(now.mono, asked, it, stale))
                    .find(|it| it.len() <= room);
                if let Some(packet) = packet {
                    // Wherever its Via says that it came from.
                    out.push(transmit(asked.flow, packet));
                }
            }
        }
    }

    /// A REGISTER of a peer that the rules know, or that has registered before: the
    /// tenant's, who may have accounts of its own alone.
    pub(crate) fn register(
        &mut self,
        now: Now,
        rules: &RuleSet,
        (tenant, asked): (TenantId, &Asked<'_>),
        out: &mut Vec<Transmit>,
    ) {
        match self.proof(now.mono, rules, asked) {
            Proof::Given(account) if account.tenant == tenant => {
                self.bind(now, rules, account, asked, out);
            }
            Proof::Given(_) => self.answer(asked, 403, |_| {}, out),
            Proof::Wanted { stale } => {
                let packet = self.challenge(now.mono, asked, rules.algorithms(asked.flow), stale);
                out.push(back(asked, packet));
            }
        }
    }

    fn proof<'r>(&self, now: Mono, rules: &'r RuleSet, asked: &Asked<'_>) -> Proof<'r> {
        let fields = (asked.message, HeaderId::Authorization);
        rules.prove((self.key, now), asked.flow, fields)
    }

    fn challenge(
        &mut self,
        now: Mono,
        asked: &Asked<'_>,
        algorithms: &[Algorithm],
        stale: bool,
    ) -> Packet {
        let (key, from) = (self.key, (asked.message, asked.flow.remote));
        self.response(asked, 401, |draft| {
            for algorithm in algorithms {
                let value = challenge((key, now), from, *algorithm, stale);
                draft.put(HeaderId::WwwAuthenticate, value.as_bytes());
            }
        })
    }

    fn response(
        &mut self,
        asked: &Asked<'_>,
        code: u16,
        fill: impl FnOnce(&mut Draft<'_>),
    ) -> Packet {
        let echo = Echo::new(asked.message, asked.essentials, asked.flow.remote);
        // The same for the same request: nothing is kept to know it by.
        let bytes: &[u8] = asked.message.bytes();
        let tag = Token::from_hash(keyed128(self.key, &[b"registrar", bytes]));
        let phrase = reason_phrase(code);
        let mut draft = echo.response(&mut self.scratch, code, phrase, Some(&tag.text()));
        fill(&mut draft);
        draft.seal(None)
    }

    fn answer(
        &mut self,
        asked: &Asked<'_>,
        code: u16,
        fill: impl FnOnce(&mut Draft<'_>),
        out: &mut Vec<Transmit>,
    ) {
        let packet = self.response(asked, code, fill);
        out.push(back(asked, packet));
    }

    /// Does what a REGISTER asks for whose account is proved.
    fn bind(
        &mut self,
        now: Now,
        rules: &RuleSet,
        account: &Account,
        asked: &Asked<'_>,
        out: &mut Vec<Transmit>,
    ) {
        let message = asked.message;
        let unknown = fields::option_tags(message, HeaderId::Require)
            .find(|tag| !KNOWN.iter().any(|it| it.eq_ignore_ascii_case(tag)));
        if let Some(tag) = unknown {
            let tag = tag.get(..tag.len().min(64)).unwrap_or_default();
            return self.answer(
                asked,
                420,
                |draft| {
                    draft.put(HeaderId::Unsupported, tag);
                },
                out,
            );
        }
        let before = rules.binding_of(&account.username);
        let (call_id, cseq) = (asked.essentials.call_id, asked.essentials.cseq.number);
        let newer = |it: &Arc<Binding>| *it.call_id == *call_id && it.cseq > cseq;
        if before.as_ref().is_some_and(newer) {
            return self.answer(asked, 500, |_| {}, out);
        }
        match Wish::of(message) {
            Err(code) => self.answer(asked, code, |_| {}, out),
            Ok(Wish::Brief) => self.answer(asked, 423, put_least, out),
            Ok(Wish::Nothing) => self.confirm(now, rules, account, asked, out),
            Ok(Wish::Remove) if before.is_some() && !self.may_change(now.mono, account) => {
                self.answer(asked, 503, put_later, out);
            }
            Ok(Wish::Remove) => {
                rules.unbind(&account.username);
                self.news.extend(before.map(News::Gone));
                self.confirm(now, rules, account, asked, out);
            }
            Ok(Wish::Bind(bound)) => {
                let tenant = rules.tenant(account.tenant);
                let binding = Binding {
                    account: account.username.clone(),
                    tenant: tenant.map_or_else(|| "".into(), |it| it.name.clone()),
                    flow: asked.flow,
                    contact: bound.contact.into(),
                    bulk: bound.bulk,
                    path: bound.path.into(),
                    until: now.mono + Duration::from_secs(bound.seconds.into()),
                    since: now.wall,
                    noted: now.mono,
                    call_id: call_id.into(),
                    cseq,
                };
                let changes = before.as_ref().is_none_or(|it| !it.is_where(&binding));
                if changes && !self.may_change(now.mono, account) {
                    return self.answer(asked, 503, put_later, out);
                }
                self.put(rules, binding, before);
                self.confirm(now, rules, account, asked, out);
            }
        }
    }

    /// Whether an account may change once more: see [`BOUND_CHANGES`].
    fn may_change(&mut self, now: Mono, account: &Account) -> bool {
        let lately = |since: Mono| now.saturating_since(since) < Duration::from_secs(BOUND_NOTED_S);
        if !self.changes.contains_key(&account.username) {
            self.changes.retain(|_, (since, _)| lately(*since));
        }
        let name = account.username.clone();
        let (since, count) = self.changes.entry(name).or_insert((now, 0));
        if !lately(*since) {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count <= BOUND_CHANGES
    }

    /// Takes a binding, and tells the journal of it: not each time that one goes on, since
    /// whoever has a password may say so without end.
    fn put(&mut self, rules: &RuleSet, mut binding: Binding, before: Option<Arc<Binding>>) {
        let mut told = false;
        if let Some(before) = before.filter(|it| it.is_where(&binding)) {
            binding.since = before.since;
            let lately = binding.noted.saturating_since(before.noted);
            told = lately < Duration::from_secs(BOUND_NOTED_S);
            if told {
                binding.noted = before.noted;
            }
        }
        let binding = Arc::new(binding);
        self.next = Some(self.next.map_or(binding.until, |it| it.min(binding.until)));
        let gone = rules.bind(Arc::clone(&binding));
        self.news.extend(gone.into_iter().map(News::Gone));
        if !told {
            self.news.push(News::Bound(binding));
        }
    }

    /// 200, with what is bound (RFC 3261 §10.3 step 8).
    fn confirm(
        &mut self,
        now: Now,
        rules: &RuleSet,
        account: &Account,
        asked: &Asked<'_>,
        out: &mut Vec<Transmit>,
    ) {
        let bound = rules.binding_of(&account.username);
        let fill = |draft: &mut Draft<'_>| {
            let Some(bound) = bound else { return };
            let left = bound.until.saturating_since(now.mono).as_secs().to_string();
            let bnc: &[u8] = if bound.bulk { b";bnc" } else { b"" };
            let parts = [b"<", &*bound.contact, bnc, b">;expires=", left.as_bytes()];
            draft.put_parts(HeaderId::Contact, &parts);
            if !bound.path.is_empty() {
                draft.put(HeaderId::Path, &bound.path);
            }
        };
        self.answer(asked, 200, fill, out);
    }
}

fn put_least(draft: &mut Draft<'_>) {
    let (least, _) = REGISTERED_S;
    draft.put_args(HeaderId::MinExpires, format_args!("{least}"));
}

/// Back to where a request came from, and nowhere else.
fn transmit(flow: Flow, packet: Packet) -> Transmit {
    Transmit {
        flow,
        packet,
        origin: Origin::Stateless,
    }
}

/// Back to whoever has proved who it is, as its Via says.
fn back(asked: &Asked<'_>, packet: Packet) -> Transmit {
    let flow = asked.flow;
    let remote = match flow.connection {
        Some(_) => flow.remote,
        None => reply_to(asked.essentials, flow.remote, flow.transport),
    };
    transmit(Flow { remote, ..flow }, packet)
}

/// Says when to try again.
fn put_later(draft: &mut Draft<'_>) {
    let seconds = u32::try_from(BOUND_NOTED_S).unwrap_or(u32::MAX);
    draft.put_number(HeaderId::RetryAfter, seconds, b"");
}

/// What a REGISTER asks for.
enum Wish {
    /// What is bound (RFC 3261 §10.2.3).
    Nothing,
    Remove,
    Bind(Bound),
    /// To be bound for too short a time.
    Brief,
}

/// What is to be bound.
struct Bound {
    contact: Vec<u8>,
    bulk: bool,
    path: Vec<u8>,
    seconds: u32,
}

impl Wish {
    /// Reads it; of several Contacts the first.
    ///
    /// # Errors
    /// The code of what is wrong with it.
    fn of(message: &Message) -> Result<Self, u16> {
        let usual = message.first(HeaderId::Expires).and_then(number);
        let Some(text) = message.first(HeaderId::Contact) else {
            return Ok(Self::Nothing);
        };
        if text == b"*" {
            return if usual == Some(0) {
                Ok(Self::Remove)
            } else {
                Err(400)
            };
        }
        let contact = fields::addresses(message, HeaderId::Contact).next();
        let Some(Ok(contact)) = contact else {
            return Err(400);
        };
        let (least, most) = REGISTERED_S;
        let seconds = contact.param(b"expires").flatten().and_then(number);
        let seconds = match seconds.or(usual).unwrap_or(most) {
            0 => return Ok(Self::Remove),
            brief if brief < least => return Ok(Self::Brief),
            seconds => seconds.min(most),
        };
        let (contact, bulk) = target(contact.uri_text, message)?;
        let path = path(message)?;
        Ok(Self::Bind(Bound {
            contact,
            bulk,
            path,
            seconds,
        }))
    }
}

/// The URI to bind, and whether the called numbers go into it.
fn target(text: &[u8], message: &Message) -> Result<(Vec<u8>, bool), u16> {
    let Ok(Uri::Sip(uri)) = Uri::parse(text) else {
        return Err(400);
    };
    if text.len() > TARGET_BYTES || uri.headers.is_some() {
        return Err(400);
    }
    if uri.param(b"bnc").is_none() {
        return Ok((text.to_vec(), false));
    }
    // RFC 6140 §5.2: it says so twice, and leaves the user out.
    let required = fields::option_tags(message, HeaderId::Require);
    let said = required
        .into_iter()
        .any(|it| it.eq_ignore_ascii_case(b"gin"));
    if !said || uri.user.is_some() {
        return Err(400);
    }
    let mut parts = text.split(|&byte| byte == b';');
    let mut contact = parts.next().unwrap_or_default().to_vec();
    for part in parts.filter(|it| !it.eq_ignore_ascii_case(b"bnc")) {
        contact.push(b';');
        contact.extend_from_slice(part);
    }
    Ok((contact, true))
}

/// The proxies between (RFC 3327 §5.3), as a Route has them.
fn path(message: &Message) -> Result<Vec<u8>, u16> {
    let hops = fields::addresses(message, HeaderId::Path).collect::<Result<Vec<_>, _>>();
    let path = hops.map(fields::route_of).ok();
    path.filter(|it| it.len() <= ROUTE_SET_BYTES).ok_or(400)
}
