//! Records as rows of one table.

use serde_json::Value;

/// The columns: fields by the names that the lines give them too. What a record
/// has besides is in the lines alone.
const COLUMNS: [&str; 39] = [
    "wall",
    "shard",
    "record",
    "call",
    "tenant",
    "source",
    "direction",
    "caller",
    "received_uri",
    "number",
    "decision",
    "reason",
    "rule_file",
    "rule_line",
    "value",
    "threshold",
    "carrier",
    "answered",
    "duration_ms",
    "by",
    "cause",
    "status",
    "reserved",
    "minute",
    "cost",
    "currency",
    "what",
    "detail",
    "count",
    "first",
    "last",
    "rules_hash8",
    "message",
    "a_call_id",
    "b_call_id",
    "order",
    "why",
    "hang_up",
    "lasts_s",
];

pub(super) fn heading() -> String {
    COLUMNS.join(",")
}

/// A line of JSON as a row.
pub(super) fn row(line: &str) -> String {
    let fields: Value = serde_json::from_str(line).unwrap_or_default();
    let cells = COLUMNS.map(|name| match fields.get(name) {
        // A leg has a name that a number has elsewhere.
        None | Some(Value::Null | Value::Object(_)) => String::new(),
        Some(Value::String(text)) => cell(text),
        Some(other) => cell(&other.to_string()),
    });
    cells.join(",")
}

/// A text as a cell. One that a spreadsheet would take for a formula, which a caller
/// can choose, gets an apostrophe in front; a number with its plus does not.
fn cell(text: &str) -> String {
    let digits = text.strip_prefix('+').unwrap_or("x");
    let number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && !number;
    let guard = if formula { "'" } else { "" };
    match formula || text.contains([',', '"', '\r', '\n']) {
        true => format!("\"{guard}{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        assert_eq!(cell("plain text"), "plain text");
        assert_eq!(cell("+81335570000"), "+81335570000");
        assert_eq!(cell("a,\"b\"\r\n"), "\"a,\"\"b\"\"\r\n\"");
        assert_eq!(cell("=1+1"), "\"'=1+1\"");
        assert_eq!(cell("+1-1"), "\"'+1-1\"");
        let row = row(r#"{"record":"verdict","call":7,"answered":true,"value":null}"#);
        assert!(row.starts_with(",,verdict,7,,"), "{row}");
        assert_eq!(row.matches(',').count(), COLUMNS.len() - 1);
        let leg = super::row(r#"{"record":"setup","caller":{"call_id":"a"}}"#);
        assert!(!leg.contains("call_id"), "{leg}");
    }
}
