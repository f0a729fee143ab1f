//! Watches the journal and the figures for what the owner is to be told of.

mod figures;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::admin::alert::{Groups, Happened, Kind, Levels, Message, Outbox, Voice, Waiting};
use crate::base::time::{Mono, Now, Wall};
use crate::ledger::{Content, Found, Latest, Ledger, Place, Sink};
use crate::net::{Reins, WeakNames, clock};
use crate::policy::Reason;
use crate::policy::number::Number;
use crate::record::{Decision, Direction, Record, TIME_GAP};

use super::alerts::from_anywhere;
use super::rules::Files;
use figures::Figures;

/// The file in the ledger's folder.
const NAME: &str = "alerts.json";

/// How often the places are kept where nothing else is new.
const KEEP: Duration = Duration::from_secs(30);

/// How often it is looked whether the journal is still in its folder.
const LOOK: Duration = Duration::from_secs(2);

/// How long before events are told of a checkpoint is made that covers them.
const AHEAD: Duration = Duration::from_millis(500);

/// What is kept over restarts: what is counted, what waits, and how far the journal
/// was read for it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Kept {
    places: BTreeMap<u16, Place>,
    /// What lies before this is not told of: microseconds since the epoch.
    since: i64,
    groups: Groups,
    levels: Levels,
    pub(super) waiting: Waiting,
}

impl Kept {
    /// What was sent since this was kept last is not to be sent again.
    pub(super) fn keep_waiting(ledger: &Ledger, waiting: Waiting) {
        let kept = Self {
            waiting,
            ..Self::read(ledger)
        };
        let bytes = serde_json::to_vec(&kept).unwrap_or_default();
        if let Err(fault) = ledger.keep(NAME, &bytes) {
            tracing::warn!("alerts that were sent come once more at the next start: {fault}");
        }
    }

    /// What an earlier run left. Where there is nothing, or nothing that can be
    /// read, alerts begin now.
    pub(super) fn read(ledger: &Ledger) -> Self {
        let fresh = || Self {
            since: clock::now().wall.as_micros(),
            ..Self::default()
        };
        let bytes = match ledger.kept(NAME) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return fresh(),
            Err(fault) => {
                tracing::error!("alerts of earlier runs are lost: {fault}");
                return fresh();
            }
        };
        serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::error!("alerts of earlier runs are lost: {NAME} is damaged: {error}");
            fresh()
        })
    }
}

/// Follows the journal for what the owner is to be told of.
pub(super) struct Watch {
    ledger: Ledger,
    latest: Latest,
    kept: Kept,
    outbox: Outbox,
    voice: Voice,
    reins: Arc<OnceLock<Reins>>,
    /// What carriers are called, once it is looked up.
    names: Arc<OnceLock<WeakNames>>,
    saved: Mono,
    figures: Figures,
    /// When it was looked for the journal, and the shards whose was not there.
    looked: Mono,
    gone: BTreeSet<u16>,
}

impl Watch {
    pub(super) fn new(
        config: &Path,
        ledger: &Ledger,
        kept: Kept,
        outbox: Outbox,
        (reins, names): (Arc<OnceLock<Reins>>, Arc<OnceLock<WeakNames>>),
        files: Arc<Files>,
        believed: Now,
    ) -> Self {
        let now = clock::now();
        let voice = Voice {
            configuration: from_anywhere(config),
            run: format!("{:x}", now.wall.as_micros()),
            count: 0,
        };
        Self {
            ledger: ledger.clone(),
            latest: ledger.latest(),
            kept,
            outbox,
            voice,
            reins,
            names,
            saved: now.mono,
            figures: Figures::new(files, believed),
            looked: now.mono,
            gone: BTreeSet::new(),
        }
    }

    fn add(&mut self, kind: Kind, event: Happened, wall: Wall) {
        self.kept.groups.add(kind, event, wall);
    }

    /// A record.
    fn see(&mut self, shard: u16, record: &Record<'_>) {
        if record
            .wall()
            .is_some_and(|wall| wall.as_micros() < self.kept.since)
        {
            return;
        }
        match *record {
            Record::Verdict {
                wall,
                tenant,
                source,
                number,
                decision: Decision::Refuse,
                reason,
                direction,
                ..
            } => self.refused((tenant, reason), (number, direction), source, (1, wall)),
            Record::Refusals {
                tenant,
                direction,
                reason,
                last,
                count,
                source,
                number,
                ..
            } => self.refused((tenant, reason), (number, direction), source, (count, last)),
            Record::Note {
                wall,
                what,
                detail,
                count,
            } => self.note(wall, what, detail, count),
            // Every shard has these.
            Record::Ordered { .. } | Record::Reset { .. } if shard == 0 => self.ordered(record),
            _ => {}
        }
    }

    /// What an operator did.
    fn ordered(&mut self, record: &Record<'_>) {
        let (wall, tenant, what, mut sentence, why) = match *record {
            Record::Ordered {
                wall,
                order,
                tenant,
                detail,
                by,
                why,
                hang_up,
                lasts_s,
                ..
            } => {
                let mut sentence = format!("{by} ordered {order}");
                if lasts_s > 0 {
                    sentence.push_str(&format!(" for {lasts_s} s"));
                }
                if hang_up {
                    sentence.push_str(", and to hang up");
                }
                if !detail.is_empty() {
                    sentence.extend([", ", detail]);
                }
                (wall, tenant, order, sentence, why)
            }
            Record::Reset {
                wall,
                tenant,
                by,
                why,
                ..
            } => {
                let sentence = format!("{by} began its counters anew");
                (wall, tenant, "reset", sentence, why)
            }
            _ => return,
        };
        if !why.is_empty() {
            sentence.extend([" (", why, ")"]);
        }
        let event = Happened {
            tenant: tenant.to_owned(),
            what: what.to_owned(),
            sentence,
            count: 1,
            ..Happened::default()
        };
        self.add(Kind::Order, event, wall);
    }

    /// Calls that were refused: whose and why, where to, where from, how many and when.
    /// What an operator wants refused is known to them.
    fn refused(
        &mut self,
        (tenant, reason): (&str, &str),
        (number, direction): (&str, Direction),
        source: SocketAddr,
        (count, wall): (u64, Wall),
    ) {
        if tenant.is_empty() || matches!(reason, "blocked" | "stopping") {
            return;
        }
        let each = self.cost(tenant, number, direction);
        let event = Happened {
            tenant: tenant.to_owned(),
            what: reason.to_owned(),
            sentence: sentence(reason),
            number: number.to_owned(),
            source: source.ip().to_string(),
            cost: each.map(|(cost, currency)| (cost.saturating_mul(count), currency)),
            count,
        };
        self.add(Kind::Refused, event, wall);
    }

    /// What a call of a minute to a number would have cost.
    fn cost(&self, tenant: &str, number: &str, direction: Direction) -> Option<(u64, String)> {
        let number = Number::parse_international(number)?;
        let rules = self.reins.get()?.rules();
        let tenant = rules.tenant_named(tenant)?;
        let each = rules.minute(tenant, &number)?;
        let outbound = direction == Direction::Outbound;
        outbound.then(|| (each.money.millionths(), each.currency.to_string()))
    }

    /// A note: patterns of fraud say whose and what in `detail`.
    fn note(&mut self, wall: Wall, what: &str, detail: &str, count: u64) {
        if matches!(what, "carrier-down" | "carrier-up") || what.starts_with("registration-") {
            return self.carrier(wall, what, detail);
        }
        // One of many calls, told of by its verdict, or by the figures; the ledger has it.
        if matches!(
            what,
            "identity-dropped" | "transfer-refused" | "transferred" | TIME_GAP
        ) {
            return;
        }
        if what == "redirect-refused" {
            return self.redirected(wall, what, detail, count);
        }
        if matches!(what, "shed" | "banned") {
            return self.flood(wall, what, detail, count);
        }
        let pattern = Reason::PATTERNS.iter().find(|it| it.code() == what);
        let (kind, tenant, sentence) = match (pattern, detail.split_once(": ")) {
            (Some(reason), Some((tenant, rest))) => {
                let sentence = format!("{}: {rest}", reason.sentence());
                (Kind::Pattern, tenant, sentence)
            }
            _ => (Kind::Journal, "", format!("{what}: {detail}")),
        };
        let event = Happened {
            tenant: tenant.to_owned(),
            what: what.to_owned(),
            sentence,
            count: match kind {
                Kind::Pattern => 1,
                _ => count.max(1),
            },
            ..Happened::default()
        };
        self.add(kind, event, wall);
    }

    /// A carrier has redirected a call to where it may not go. The verdict of that says why,
    /// and what it would have cost.
    fn redirected(&mut self, wall: Wall, what: &str, detail: &str, count: u64) {
        let (tenant, rest) = detail.split_once(": ").unwrap_or(("", detail));
        let event = Happened {
            tenant: tenant.to_owned(),
            what: what.to_owned(),
            sentence: format!("a redirection is refused: {rest}"),
            count: count.max(1),
            ..Happened::default()
        };
        self.add(Kind::Refused, event, wall);
    }

    /// Messages were dropped because more came than could be handled, or a stranger was
    /// banned.
    fn flood(&mut self, wall: Wall, what: &str, detail: &str, count: u64) {
        let (whose, rest) = detail.split_once(": ").unwrap_or(("", detail));
        let sentence = match what {
            "shed" => format!("more came than could be handled, and was dropped: {rest}"),
            _ => format!("a stranger who sent too much is banned: {rest} (tollgate bans)"),
        };
        let event = Happened {
            tenant: whose.to_owned(),
            what: what.to_owned(),
            sentence,
            count: count.max(1),
            ..Happened::default()
        };
        self.add(Kind::Flood, event, wall);
    }

    /// Something about a carrier: it answers or not, brings calls or not.
    fn carrier(&mut self, wall: Wall, what: &str, detail: &str) {
        let carrier = detail.split(": ").next().unwrap_or_default();
        let (what, sentence) = match what {
            "carrier-up" => (format!("{detail} up"), format!("{detail} answers again")),
            "carrier-down" => (detail.to_owned(), format!("{detail} answers no calls")),
            "registration-lost" => (
                format!("{what} {carrier}"),
                format!("not registered with {detail}"),
            ),
            _ => (
                format!("{what} {carrier}"),
                format!("registered again with {carrier}"),
            ),
        };
        let event = Happened {
            what,
            sentence,
            count: 1,
            ..Happened::default()
        };
        self.add(Kind::Carrier, event, wall);
    }

    /// Keeps all there is: what is counted, what waits, and how far the journal was
    /// read for it, so that a crash loses none of it. Then these messages leave.
    fn keep(&mut self, now: Now, messages: &[Message]) {
        self.saved = now.mono;
        let (kept, ledger) = (&mut self.kept, &self.ledger);
        self.outbox.post(messages, |waiting| {
            kept.waiting = waiting;
            let bytes = serde_json::to_vec(kept).unwrap_or_default();
            kept.waiting = Waiting::new();
            if let Err(fault) = ledger.keep(NAME, &bytes) {
                tracing::warn!("alerts would not survive a restart: {fault}");
            }
        });
    }
}

/// A reason in words; the name where this version has none.
fn sentence(reason: &str) -> String {
    let known = Reason::ALL.iter().find(|it| it.code() == reason);
    known.map_or_else(
        || reason.to_owned(),
        |it| format!("{} ({reason})", it.sentence()),
    )
}

impl Sink for Watch {
    fn place(&mut self, shard: u16) -> Option<Place> {
        self.kept.places.get(&shard).copied()
    }

    fn reset(&mut self, shard: u16) {
        self.kept.places.remove(&shard);
        // What was told of is not told of again.
        self.kept.since = clock::now().wall.as_micros();
        let sentence = format!(
            "the journal of shard {shard} lacks records that it had, and with them what they counted \
             under caps and budgets: tollgate ledger verify shows where; compare with a backup"
        );
        self.journal("lacks-records", sentence, clock::now().wall);
    }

    fn take(&mut self, found: &Found<'_>) {
        self.kept.places.insert(found.shard, found.after);
        match found.content {
            Content::Record(record) => self.see(found.shard, record),
            Content::Header(_)
            | Content::Frame
            | Content::Damage(crate::record::frame::Damage::Torn) => {}
            Content::Damage(damage) => self.damaged(found.shard, &damage.to_string()),
            Content::Missing(segments) => {
                self.damaged(found.shard, &format!("{segments} segments are missing"));
            }
        }
    }

    fn rest(&mut self, now: Now, caught_up: bool, last: bool) {
        self.look(now);
        if now.mono >= self.looked + LOOK {
            self.looked = now.mono;
            self.look_for_journal(now.wall);
        }
        if self.kept.groups.are_due_by(now.wall + AHEAD) {
            self.latest.want();
        }
        if let Some(note) = self.latest.note() {
            self.outbox.checkpoint(&note, now.mono);
        }
        let told = self.kept.groups.due(now.wall, last);
        let say = |told| {
            let message = self.voice.say(told);
            tracing::info!(id = %message.id, "alert: {}", message.title);
            message
        };
        let messages: Vec<Message> = told.iter().map(say).collect();
        let stale = now.mono.saturating_since(self.saved) >= KEEP && caught_up;
        if !messages.is_empty() || stale || last {
            self.keep(now, &messages);
        }
    }
}

impl Watch {
    /// Something is wrong with the journal.
    fn journal(&mut self, what: &str, sentence: String, wall: Wall) {
        let event = Happened {
            what: what.to_owned(),
            sentence,
            count: 1,
            ..Happened::default()
        };
        self.add(Kind::Journal, event, wall);
    }

    /// Who removes the journal of a Tollgate that runs keeps it from being written no more
    /// than from being read by it: only its folder tells.
    fn look_for_journal(&mut self, wall: Wall) {
        let gone: BTreeSet<u16> = self.ledger.misplaced().into_iter().collect();
        let before = std::mem::replace(&mut self.gone, gone.clone());
        for shard in gone.difference(&before) {
            let sentence = format!(
                "the journal of shard {shard} was removed or replaced while it is written: what is recorded from \
                 now on is lost when Tollgate ends. Find out who did it, restore the folder from a \
                 backup, and start Tollgate again"
            );
            tracing::error!("{sentence}");
            self.journal("removed", sentence, wall);
        }
    }

    fn damaged(&mut self, shard: u16, what: &str) {
        let event = Happened {
            what: "damaged".to_owned(),
            sentence: format!("the journal of shard {shard} is damaged: {what}"),
            count: 1,
            ..Happened::default()
        };
        self.add(Kind::Journal, event, clock::now().wall);
    }
}
