//! The same for programs.

use serde::Serialize;

use super::leaving::Leaving;
use super::{Answer, place};
use crate::policy::{Mode, RuleSet};

#[derive(Serialize)]
pub(super) struct Json<'r> {
    tenant: &'r str,
    canonical: String,
    class: Option<String>,
    country: Option<String>,
    verdict: &'static str,
    mode: &'static str,
    rule: Option<String>,
    rule_text: Option<&'r str>,
    reason: Option<&'static str>,
    /// Why what was dialled is no number.
    unread: Option<&'static str>,
    caller: Option<String>,
    /// The number as the first of the tenant's carriers gets it.
    sent_as: Option<String>,
    price: Option<JsonPrice>,
    /// What must be free of its budgets for the call to start.
    reserve: Option<String>,
    caps: Vec<JsonRule<'r>>,
    longest_call: Option<u64>,
    longest_ring: Option<u64>,
}

#[derive(Serialize)]
struct JsonPrice {
    tariff: Option<String>,
    currency: String,
    minute: String,
    minute_at_worst: String,
    attempt: String,
}

#[derive(Serialize)]
struct JsonRule<'r> {
    rule: String,
    text: &'r str,
}

impl Answer {
    pub(super) fn as_json<'r>(&self, rules: &'r RuleSet) -> Json<'r> {
        let (class, country) = self.sort();
        let explanation = self.explanation.as_ref();
        let shown = self
            .goes()
            .map(|(permit, _)| permit.caller.number.to_string());
        let unread = self.refused().flatten().and_then(|it| it.unread);
        let has_uri = explanation.is_some();
        let caps = explanation.map(|it| it.caps.as_slice()).unwrap_or_default();
        let price = explanation.and_then(|it| it.price);
        Json {
            tenant: rules.tenant(self.tenant).map_or("", |it| &it.name),
            canonical: self.canonical().unwrap_or_else(|| "-".to_owned()),
            class,
            country,
            verdict: self.verdict(),
            mode: match self.mode {
                Mode::Enforce => "enforce",
                Mode::Observe => "observe",
            },
            rule: self.rule().map(|id| place(rules, id)),
            rule_text: self.rule().map(|id| rules.rule(id).text),
            reason: self.reason().map(|(code, _)| code),
            unread: match unread {
                Some(unread) => Some(unread.kind.as_str()),
                None if has_uri => None,
                None => Some("no-uri"),
            },
            caller: shown,
            sent_as: self
                .goes()
                .and_then(|(permit, _)| Some(Leaving::of(rules, self.tenant, permit)?.number)),
            price: price.map(|it| JsonPrice {
                tariff: self.tariff.clone(),
                currency: it.currency.to_string(),
                minute: it.minute.to_string(),
                minute_at_worst: it.minute_at_worst.to_string(),
                attempt: it.attempt.to_string(),
            }),
            reserve: explanation
                .and_then(|it| it.reserve)
                .map(|it| it.money.to_string()),
            caps: caps
                .iter()
                .map(|&id| JsonRule {
                    rule: place(rules, id),
                    text: rules.rule(id).text,
                })
                .collect(),
            longest_call: self
                .goes()
                .and(explanation)
                .map(|it| it.longest_call.as_secs()),
            longest_ring: self
                .goes()
                .and(explanation)
                .map(|it| it.longest_ring.as_secs()),
        }
    }
}
