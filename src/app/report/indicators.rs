//! What others can look for: numbers, ranges and programs of an attack, and nothing
//! of the tenant's own.

use serde_json::{Value, json};

use std::collections::BTreeMap;

use crate::base::time::Wall;
use crate::ledger::Incident;

/// From how many stopped calls on a number counts as attacked, and not as misdialled.
const CALLS: u64 = 3;

/// From how many such numbers on their range is named, and how many digits at the end
/// are open in it.
const NUMBERS: u64 = 2;
const OPEN: usize = 4;

/// One thing to look for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Indicator {
    kind: &'static str,
    value: String,
    calls: u64,
}

/// What is worth looking for: what was only ever stopped. Addresses are not told: a
/// call that is judged comes from the tenant's own phone system.
pub(super) fn indicators(told: &Incident) -> Vec<Indicator> {
    let mut found = Vec::new();
    let mut ranges: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (number, pair) in told.judged.top(usize::MAX).0 {
        let attacked = pair.passed == 0 && pair.stopped >= CALLS && number.starts_with('+');
        if !attacked {
            continue;
        }
        found.push(Indicator {
            kind: "number",
            value: number.to_owned(),
            calls: pair.stopped,
        });
        let range = number
            .get(..number.len().saturating_sub(OPEN))
            .unwrap_or(number);
        let sum = ranges.entry(range.to_owned()).or_default();
        *sum = (sum.0 + 1, sum.1.saturating_add(pair.stopped));
    }
    for (value, (numbers, calls)) in ranges {
        if numbers >= NUMBERS {
            let kind = "range";
            found.push(Indicator { kind, value, calls });
        }
    }
    for (agent, pair) in told.agents.top(usize::MAX).0 {
        if pair.passed == 0 && pair.stopped >= CALLS && !agent.is_empty() {
            found.push(Indicator {
                kind: "user-agent",
                value: agent.to_owned(),
                calls: pair.stopped,
            });
        }
    }
    found
}

/// Values separated by commas (RFC 4180), with a heading.
pub(super) fn csv(found: &[Indicator]) -> String {
    let mut text = "kind,value,calls\r\n".to_owned();
    for Indicator { kind, value, calls } in found {
        // A caller chose it: no table is to take it for a formula.
        let formula = *kind == "user-agent" && value.starts_with(['=', '+', '-', '@']);
        let mark = if formula { "'" } else { "" };
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let value: String = value.chars().map(plain).collect();
        let value = value.replace('"', "\"\"");
        text.push_str(&format!("{kind},\"{mark}{value}\",{calls}\r\n"));
    }
    text
}

/// A bundle of STIX 2.1. It has no type for telephone numbers, so that patterns name
/// one of our own.
pub(super) fn stix(found: &[Indicator], now: Wall) -> String {
    let time = format!("{now:.3}");
    let object = |it: &Indicator| -> Value {
        let value = it.value.replace('\\', "\\\\").replace('\'', "\\'");
        let pattern = match it.kind {
            "number" => format!("[x-phone-number:value = '{value}']"),
            "range" => format!("[x-phone-number:value LIKE '{value}%']"),
            _ => format!("[x-sip-request:user_agent = '{value}']"),
        };
        json!({
            "type": "indicator",
            "spec_version": "2.1",
            "id": format!("indicator--{}", id(&[&time, &pattern])),
            "created": time,
            "modified": time,
            "valid_from": time,
            "name": format!("{} {}", it.kind, it.value),
            "description": format!("toll fraud: {} calls were stopped", it.calls),
            "indicator_types": ["malicious-activity"],
            "pattern": pattern,
            "pattern_type": "stix",
        })
    };
    let objects: Vec<Value> = found.iter().map(object).collect();
    let all = serde_json::to_string(&objects).unwrap_or_default();
    let mut bundle = json!({
        "type": "bundle",
        "id": format!("bundle--{}", id(&[&time, &all])),
    });
    // A bundle without objects has no such key.
    if let (false, Some(bundle)) = (objects.is_empty(), bundle.as_object_mut()) {
        bundle.insert("objects".to_owned(), Value::Array(objects));
    }
    format!("{bundle:#}\n")
}

/// A UUID (RFC 9562, version 4), out of what it is to stand for.
fn id(parts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update(&[0]);
    }
    let hex = hasher.finalize().to_hex();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-4{}-8{}-{}",
        part(0, 8),
        part(8, 12),
        part(13, 16),
        part(17, 20),
        part(20, 32)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Vec<Indicator> {
        let of = |kind, value: &str| Indicator {
            kind,
            value: value.to_owned(),
            calls: 7,
        };
        vec![
            of("number", "+23276123456"),
            of("range", "+2327612"),
            of("user-agent", "=1+\"1\"'\\\r\n"),
        ]
    }

    #[test]
    fn a_table_runs_nothing_and_stays_in_its_rows() {
        let text = csv(&found());
        let rows: Vec<&str> = text.split("\r\n").collect();
        assert_eq!(
            rows,
            [
                "kind,value,calls",
                "number,\"+23276123456\",7",
                "range,\"+2327612\",7",
                "user-agent,\"'=1+\"\"1\"\"'\\  \",7",
                ""
            ]
        );
    }

    #[test]
    fn a_bundle_has_patterns_that_end_where_they_should() {
        let now = Wall::from_micros(1_700_000_000_000_000);
        let bundle: Value = serde_json::from_str(&stix(&found(), now)).unwrap();
        assert_eq!(bundle["type"], "bundle");
        let objects = bundle["objects"].as_array().unwrap();
        let patterns: Vec<&str> = objects
            .iter()
            .map(|it| it["pattern"].as_str().unwrap())
            .collect();
        assert_eq!(patterns[1], "[x-phone-number:value LIKE '+2327612%']");
        assert!(
            patterns[2].ends_with("'=1+\"1\"\\'\\\\\r\n']"),
            "{}",
            patterns[2]
        );
        assert_eq!(objects[0]["created"], "2023-11-14T22:13:20.000Z");
        let id = objects[0]["id"].as_str().unwrap();
        let (kind, uuid) = id.split_once("--").unwrap();
        let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!((kind, &lengths[..]), ("indicator", &[8, 4, 4, 4, 12][..]));
        let none: Value = serde_json::from_str(&stix(&[], now)).unwrap();
        assert!(none.get("objects").is_none());
    }
}
