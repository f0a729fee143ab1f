//! What a report says, in each language.

use crate::app::cli::Language;
use crate::app::control::span;
use crate::app::render::grouped;

/// The words of a report.
pub(super) struct Words {
    pub(super) of: Language,
    pub(super) language: &'static str,
    pub(super) title: &'static str,
    pub(super) made: &'static str,
    pub(super) zone: &'static str,
    pub(super) scope: &'static str,
    pub(super) summary: &'static str,
    pub(super) stopped: &'static str,
    pub(super) passed: &'static str,
    pub(super) answered: &'static str,
    pub(super) live: &'static str,
    pub(super) up: &'static str,
    pub(super) cost: &'static str,
    pub(super) saved: &'static str,
    pub(super) saved_how: &'static str,
    pub(super) nothing: &'static str,
    pub(super) timeline: &'static str,
    pub(super) each: &'static str,
    pub(super) most: &'static str,
    pub(super) places: &'static str,
    pub(super) reasons: &'static str,
    pub(super) numbers: &'static str,
    pub(super) sources: &'static str,
    pub(super) agents: &'static str,
    pub(super) agents_how: &'static str,
    pub(super) no_number: &'static str,
    pub(super) none: &'static str,
    pub(super) others: &'static str,
    pub(super) events: &'static str,
    pub(super) by: &'static str,
    pub(super) why: &'static str,
    pub(super) evidence: &'static str,
    pub(super) first: &'static str,
    pub(super) last: &'static str,
    pub(super) time: &'static str,
    pub(super) segment: &'static str,
    pub(super) bytes: &'static str,
    pub(super) hash: &'static str,
    pub(super) journal: &'static str,
    pub(super) signed: &'static str,
    pub(super) records: &'static str,
    pub(super) checkpoint: &'static str,
    pub(super) unsigned: &'static str,
    pub(super) sound: &'static str,
    pub(super) unsound: &'static str,
    pub(super) late: &'static str,
    pub(super) damaged: &'static str,
    pub(super) remarks: &'static str,
    pub(super) key: &'static str,
    pub(super) verify: &'static str,
    pub(super) rehash: &'static str,
}

/// The words of a language.
pub(super) const fn words(language: Language) -> &'static Words {
    match language {
        Language::En => &ENGLISH,
        Language::Ja => &JAPANESE,
    }
}

impl Words {
    /// A time that passed.
    pub(super) fn duration(&self, seconds: u64) -> String {
        let short = span(seconds);
        match self.of {
            Language::En => short,
            Language::Ja => short
                .split(' ')
                .map(|part| match part {
                    "d" => "日",
                    "h" => "時間",
                    "min" => "分",
                    "s" => "秒",
                    count => count,
                })
                .collect(),
        }
    }

    /// An amount of money, in millionths.
    pub(super) fn amount(&self, currency: &str, millionths: u64) -> String {
        let (whole, rest) = (millionths / 1_000_000, millionths % 1_000_000);
        let rest = format!("{rest:06}");
        let rest = match rest.trim_end_matches('0') {
            "" => String::new(),
            rest => format!(".{rest}"),
        };
        let digits = grouped(whole);
        match (self.of, currency) {
            (Language::Ja, "JPY") => format!("{digits}{rest}円"),
            _ => format!("{currency} {digits}{rest}"),
        }
    }
}

const ENGLISH: Words = Words {
    of: Language::En,
    language: "en",
    title: "Incident report",
    made: "Written",
    zone: "all times are those of",
    scope: "Calls that this tenant's phone system asked for in this time. Those that were recorded \
            in sums, as in a flood, count by the last number and address of each sum.",
    summary: "Summary",
    stopped: "Stopped",
    passed: "Let through",
    answered: "of these answered",
    live: "of these still up, and not in the next two lines",
    up: "Time they were up, in all",
    cost: "What they cost, at the most",
    saved: "What the stopped ones would have cost",
    saved_how: "about: a minute each, by the tariff when this was written",
    nothing: "There is no such call in the journal.",
    timeline: "Timeline",
    each: "Each bar stands for",
    most: "the highest, for so many calls:",
    places: "Countries",
    reasons: "Why they were stopped",
    numbers: "Numbers",
    sources: "Where they came from",
    agents: "What the callers' programs called themselves",
    agents_how: "Of the calls whose INVITE was kept whole.",
    no_number: "(no single number)",
    none: "(no name)",
    others: "others",
    events: "Patterns and orders",
    by: "by",
    why: "because",
    evidence: "The evidence",
    first: "First record",
    last: "Last record",
    time: "time",
    segment: "file",
    bytes: "bytes, from 0",
    hash: "BLAKE3 hash",
    journal: "The whole journal",
    signed: "what is signed",
    records: "records",
    checkpoint: "signed up to checkpoint",
    unsigned: "records came after it and are not signed yet",
    sound: "The journal is as it was signed.",
    unsound: "Places of the journal that are NOT as they were signed:",
    late: "Places of the journal that were signed only long after they were written, as when \
           checkpoints were removed, or after hours on a full disk; nothing proves that they were not changed before:",
    damaged: "Damaged places in the journal:",
    remarks: "Worth knowing, and no fault:",
    key: "Public key",
    verify: "To verify, take a copy of the ledger's folder, save the public key above as public.key, and run:",
    rehash: "To have the hash of a record again, of the first for example, run in that folder:",
};

const JAPANESE: Words = Words {
    of: Language::Ja,
    language: "ja",
    title: "不正発信 調査報告書",
    made: "作成日時",
    zone: "時刻はすべて次の時間帯による:",
    scope: "この期間に、この契約者の電話設備から発信された呼の記録です。大量発信のためまとめて記録された呼は、\
            各記録の最後の番号と送信元で数えています。",
    summary: "概要",
    stopped: "遮断",
    passed: "通過",
    answered: "うち応答",
    live: "うち通話中(次の2行に含まれません)",
    up: "通話時間の合計",
    cost: "通過した呼の費用(上限)",
    saved: "遮断した呼の想定費用",
    saved_how: "概算。1件1分とし、本書作成時の料金表による",
    nothing: "該当する呼の記録はありません。",
    timeline: "時系列",
    each: "棒1本の長さ",
    most: "最大件数:",
    places: "国別",
    reasons: "遮断の理由",
    numbers: "番号別",
    sources: "送信元",
    agents: "発信側プログラムの名称",
    agents_how: "INVITEの全文が記録された呼について。",
    no_number: "(番号を一意に特定できない)",
    none: "(名称なし)",
    others: "その他",
    events: "検知と操作",
    by: "操作者",
    why: "理由",
    evidence: "証拠",
    first: "最初の記録",
    last: "最後の記録",
    time: "時刻",
    segment: "ファイル",
    bytes: "バイト位置(0から)",
    hash: "BLAKE3ハッシュ値",
    journal: "記録の全体",
    signed: "署名の状況",
    records: "件",
    checkpoint: "署名済みの最終チェックポイント",
    unsigned: "件はその後の記録で、まだ署名されていません",
    sound: "記録は署名された内容と一致しています。",
    unsound: "署名された内容と一致しない箇所:",
    late: "書き込みから長時間を経て署名された箇所(チェックポイントの削除、または長時間のディスク満杯による。署名までの間に\
           改変されていないことは証明されません):",
    damaged: "記録の破損箇所:",
    remarks: "参考(異常ではありません):",
    key: "公開鍵",
    verify: "検証するには、台帳フォルダの写しを用意し、上の公開鍵を public.key として保存し、次を実行してください。",
    rehash: "記録のハッシュ値を計算し直すには(例: 最初の記録)、そのフォルダで次を実行してください。",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_and_times_are_as_the_language_has_them() {
        let shown = |language| {
            let words = words(language);
            [
                words.amount("JPY", 1_234_567_500_000),
                words.amount("USD", 999_000_000),
                words.duration(86_400 + 7_200),
                words.duration(492),
            ]
        };
        let english = ["JPY 1,234,567.5", "USD 999", "1 d 2 h", "8 min 12 s"];
        assert_eq!(shown(Language::En), english);
        let japanese = ["1,234,567.5円", "USD 999", "1日2時間", "8分12秒"];
        assert_eq!(shown(Language::Ja), japanese);
    }
}
