//! What was noted and ordered, in each language.

use std::borrow::Cow;

use crate::app::cli::Language;
use crate::ledger::Event;

use super::names::reason;

/// What was found out, or ordered.
pub(super) fn event(language: Language, what: &str) -> String {
    let (english, japanese) = match what {
        "block" => ("calls were blocked", "発信停止"),
        "unblock" => ("calls are no longer blocked", "発信停止の解除"),
        "reset" => (
            "the counters of its caps and budgets began anew",
            "カウンターのリセット",
        ),
        "lift-ban" => ("a ban was lifted", "遮断の解除"),
        "clock" => ("the clock was confirmed", "時計の確認"),
        "shed" => (
            "more came than could be handled, and was dropped",
            "処理能力を超えた分の破棄",
        ),
        "transferred" => ("a call was transferred", "通話の転送"),
        "transfer-refused" => ("a transfer was refused", "転送の拒否"),
        "redirect-refused" => ("a redirection was refused", "転送応答(3xx)の拒否"),
        _ => return reason(language, what),
    };
    match language {
        Language::En => english.to_owned(),
        Language::Ja => japanese.to_owned(),
    }
}

/// About what, as the event's own form has it.
pub(super) fn detail(language: Language, event: &Event) -> Cow<'_, str> {
    let detail = &*event.detail;
    match (detail, language) {
        ("international", Language::En) => "those abroad".into(),
        ("everything", Language::En) => "all but emergency calls".into(),
        (_, Language::En) => detail.into(),
        ("international", Language::Ja) => "国際発信".into(),
        ("everything", Language::Ja) => "緊急通報以外のすべて".into(),
        (_, Language::Ja) => {
            let japanese = match &*event.what {
                "shed" => shed(detail),
                "transfer-refused" | "redirect-refused" => wish(detail),
                "transferred" => transferred(detail),
                "clock" => ahead(detail),
                "lift-ban" => lifted(detail),
                _ => sights(detail),
            };
            japanese.map_or(detail.into(), Cow::Owned)
        }
    }
}

/// How far an order went: for every tenant, with calls that were up, for how long.
pub(super) fn terms(language: Language, event: &Event) -> String {
    let of_all = event.all && matches!(&*event.what, "block" | "unblock");
    let mut terms = Vec::new();
    let (all, hung_up, between) = match language {
        Language::En => ("of every tenant", "calls that were up were hung up", ", "),
        Language::Ja => ("全契約者", "通話中の呼も切断", "、"),
    };
    terms.extend(of_all.then(|| all.to_owned()));
    terms.extend(event.hang_up.then(|| hung_up.to_owned()));
    if event.lasts_s > 0 {
        terms.push(match language {
            Language::En => format!("for {} s", event.lasts_s),
            Language::Ja => format!("{}秒間", event.lasts_s),
        });
    }
    terms.join(between)
}

/// What made a pattern, in Japanese: `5 of 3, number +23276123456, from 192.0.2.1: ` and
/// the rule. None where it is about something else, as below.
fn sights(detail: &str) -> Option<String> {
    let (counts, rest) = detail.split_once(", number ")?;
    let (value, threshold) = counts.split_once(" of ")?;
    let (number, rest) = rest.split_once(", from ")?;
    let (source, rule) = rest.split_once(": ")?;
    let number = match number {
        "none" => "番号不明",
        number => number,
    };
    Some(format!(
        "{value}件(しきい値{threshold})、番号 {number}、送信元 {source}、規則 {rule}"
    ))
}

/// What was dropped: `1200 new, 3 under way, 1 EMERGENCY CALLS`.
fn shed(detail: &str) -> Option<String> {
    let parts = detail.split(", ").map(|part| {
        let (count, what) = part.split_once(' ')?;
        let what = match what {
            "new" => "新規",
            "under way" => "継続中",
            "EMERGENCY CALLS" => "緊急通報",
            _ => return None,
        };
        Some(format!("{what} {count}件"))
    });
    parts.collect::<Option<Vec<_>>>().map(|it| it.join("、"))
}

/// Which call, and whom it goes on with: `call 17 goes on with sip:…`.
fn transferred(detail: &str) -> Option<String> {
    let (call, with) = detail.strip_prefix("call ")?.split_once(" goes on with ")?;
    Some(format!("通話 {call} の継続先 {with}"))
}

/// What was to go elsewhere, and where to: `metro would transfer a call to +232…: no-price`.
fn wish(detail: &str) -> Option<String> {
    let (told, code) = detail.rsplit_once(": ")?;
    let (told, to) = told.rsplit_once(" to ")?;
    let to = match to {
        "no number" => "番号不明",
        number => number,
    };
    let by = |who: &str| match who {
        "the phone system" => "電話設備".to_owned(),
        carrier => format!("通信事業者 {carrier}"),
    };
    let told = if let Some(who) = told.strip_suffix(" would transfer a call") {
        format!("{}による通話の転送", by(who))
    } else if let Some(who) = told.strip_suffix(" would have a call made") {
        format!("{}による発信の要求", by(who))
    } else {
        let (who, dialled) = told.split_once(" redirected a call")?;
        match dialled.strip_prefix(" to ") {
            Some(dialled) => format!("{}による {dialled} への呼の転送応答", by(who)),
            None => format!("{}による呼の転送応答", by(who)),
        }
    };
    let why = reason(Language::Ja, code);
    Some(format!("{told}、転送先 {to}、理由 {why}"))
}

/// How far a clock was ahead: `3600 s ahead`.
fn ahead(detail: &str) -> Option<String> {
    let seconds: i64 = detail.strip_suffix(" s ahead")?.parse().ok()?;
    let way = if seconds < 0 { "遅れ" } else { "進み" };
    Some(format!("{}秒の{way}", seconds.unsigned_abs()))
}

/// How many bans: `all 3`. One is named by its address.
fn lifted(detail: &str) -> Option<String> {
    Some(format!("全{}件", detail.strip_prefix("all ")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_japanese(what: &str, detail: &str) -> String {
        let event = Event {
            what: what.to_owned(),
            detail: detail.to_owned(),
            ..Event::default()
        };
        assert_eq!(super::detail(Language::En, &event), detail);
        super::detail(Language::Ja, &event).into_owned()
    }

    #[test]
    fn what_happened_is_told_in_words() {
        assert_eq!(event(Language::Ja, "block"), "発信停止");
        assert_eq!(event(Language::En, "burst"), reason(Language::En, "burst"));
        for (what, detail, japanese) in [
            (
                "burst",
                "5 of 3, number none, from 192.0.2.1: acme.toml:7: burst = 3",
                "5件(しきい値3)、番号 番号不明、送信元 192.0.2.1、規則 acme.toml:7: burst = 3",
            ),
            ("burst", "3 of 3", "3 of 3"),
            (
                "shed",
                "1200 new, 3 under way, 1 EMERGENCY CALLS",
                "新規 1200件、継続中 3件、緊急通報 1件",
            ),
            (
                "transfer-refused",
                "the phone system would transfer a call to no number: no-transfers",
                "電話設備による通話の転送、転送先 番号不明、理由 \
                 通信事業者による転送、通話外のREFER、実行できない転送 (no-transfers)",
            ),
            (
                "transfer-refused",
                "the phone system would have a call made to +23276123456: no-transfers",
                "電話設備による発信の要求、転送先 +23276123456、理由 \
                 通信事業者による転送、通話外のREFER、実行できない転送 (no-transfers)",
            ),
            (
                "transfer-refused",
                "the phone system redirected a call to +23276123456: no-transfers",
                "電話設備による呼の転送応答、転送先 +23276123456、理由 \
                 通信事業者による転送、通話外のREFER、実行できない転送 (no-transfers)",
            ),
            (
                "redirect-refused",
                "metro redirected a call to +442071838750 to +23276123456: no-price",
                "通信事業者 metroによる +442071838750 への呼の転送応答、転送先 +23276123456、理由 \
                 料金表にない宛先 (no-price)",
            ),
            (
                "transferred",
                "call 17 goes on with sip:+442071838750@192.0.2.1",
                "通話 17 の継続先 sip:+442071838750@192.0.2.1",
            ),
            ("clock", "-90 s ahead", "90秒の遅れ"),
            ("lift-ban", "all 3", "全3件"),
            ("lift-ban", "192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(in_japanese(what, detail), japanese);
        }
    }
}
