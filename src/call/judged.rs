//! What the journal is told of a verdict.

use std::net::SocketAddr;

use crate::base::limits::RECORDED_TEXT;
use crate::base::time::Now;
use crate::policy::number::Number;
use crate::policy::{Refused, RuleId, RuleSet};
use crate::record::{CallRef, Decision, Direction, Record};

use super::evidence::Extent;
use super::{Arrived, Outbox};

/// A verdict, as the journal is told of it.
pub(super) struct Judged<'a> {
    pub(super) call: CallRef,
    pub(super) tenant: &'a str,
    pub(super) direction: Direction,
    pub(super) decision: Decision,
    pub(super) number: Option<&'a Number>,
    pub(super) caller: &'a [u8],
    pub(super) rule: Option<RuleId>,
    /// Why it is refused, or would be.
    pub(super) observed: Option<&'a Refused>,
    pub(super) call_id: &'a [u8],
    pub(super) carrier: &'a str,
}

/// What was asked for, by whom.
pub(super) struct Asked<'a> {
    pub(super) source: SocketAddr,
    /// The Request-URI as received.
    pub(super) uri: &'a [u8],
    /// The caller leg's Call-ID.
    pub(super) call_id: &'a [u8],
}

/// As much of what a peer sent as a record holds.
pub(super) fn clipped(text: &[u8]) -> &[u8] {
    text.get(..RECORDED_TEXT).unwrap_or(text)
}

impl Judged<'_> {
    /// Records the verdict and the INVITE.
    pub(super) fn journal(
        self,
        now: Now,
        rules: &RuleSet,
        arrived: &Arrived<'_>,
        out: &mut Outbox,
    ) {
        self.journal_some(now, rules, arrived, Extent::Whole, out);
    }

    /// Records so much of it.
    pub(super) fn journal_some(
        self,
        now: Now,
        rules: &RuleSet,
        arrived: &Arrived<'_>,
        extent: Extent,
        out: &mut Outbox,
    ) {
        if extent == Extent::Counted {
            return;
        }
        let call = self.call;
        let asked = Asked {
            source: arrived.flow.remote,
            uri: arrived.message.uri().unwrap_or_default(),
            call_id: arrived.essentials.call_id,
        };
        self.journal_asked(now, rules, &asked, out);
        if extent == Extent::Whole {
            out.journal_invite(call, arrived.message);
        }
    }

    /// Records the verdict alone.
    pub(super) fn journal_asked(
        self,
        now: Now,
        rules: &RuleSet,
        asked: &Asked<'_>,
        out: &mut Outbox,
    ) {
        let rule = self.rule.map(|rule| rules.rule(rule));
        let [a, b, c, d, e, f, g, h, ..] = rules.hash();
        out.journal(&Record::Verdict {
            call: self.call,
            wall: now.wall,
            tenant: self.tenant,
            source: asked.source,
            direction: self.direction,
            caller: clipped(self.caller),
            received_uri: clipped(asked.uri),
            number: self.number.map_or("", |number| number.as_str()),
            decision: self.decision,
            reason: self.observed.map_or("", |refused| refused.reason.code()),
            rule_file: rule.as_ref().map_or("", |rule| rule.file),
            rule_line: rule.as_ref().map_or(0, |rule| rule.line),
            value: self.observed.map_or(0, |refused| refused.value),
            threshold: self.observed.map_or(0, |refused| refused.threshold),
            rules_hash8: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            a_call_id: asked.call_id,
            b_call_id: self.call_id,
            carrier: self.carrier,
        });
    }
}
