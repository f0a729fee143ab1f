//! What countries, kinds of number and reasons are called in each language.

use crate::app::cli::Language;
use crate::policy::Reason;
use crate::policy::number::Number;
use crate::policy::numbering::{Class, Country, Numbering};

/// The names of countries: code, English, Japanese. `policies/numbering/names.py` says
/// where they are from.
const COUNTRIES: &str = include_str!("../../../policies/numbering/names.tsv");

/// Where a number belongs: the country and its calling code, or what kind of number it
/// is; empty without a number.
pub(super) fn place(language: Language, number: &str) -> String {
    if number.is_empty() {
        return String::new();
    }
    let known = Number::parse_international(number);
    let Some(digits) = known.as_ref().and_then(Number::international_digits) else {
        return match language {
            Language::En => "Emergency numbers and short codes".to_owned(),
            Language::Ja => "緊急番号・短縮番号".to_owned(),
        };
    };
    let numbering = Numbering::builtin();
    let range = numbering.lookup(digits);
    let (name, code) = match range.country {
        Some(it) => (country(language, it), numbering.calling_code(it)),
        None => {
            let code = digits.get(..numbering.calling_code_length(digits));
            let code = code.and_then(|it| std::str::from_utf8(it).ok());
            (kind(language, range.class).to_owned(), code)
        }
    };
    match code {
        Some(code) if !code.is_empty() => format!("{name} (+{code})"),
        _ => name,
    }
}

/// A country's name; its code where there is none.
fn country(language: Language, country: Country) -> String {
    let rows = COUNTRIES.lines().filter(|it| !it.starts_with('#'));
    for row in rows {
        let mut fields = row.split('\t');
        if fields.next() != Some(country.as_str()) {
            continue;
        }
        let name = match language {
            Language::En => fields.next(),
            Language::Ja => fields.nth(1),
        };
        if let Some(name) = name {
            return name.to_owned();
        }
    }
    country.as_str().to_ascii_uppercase()
}

/// Numbers that belong to no country.
const fn kind(language: Language, class: Class) -> &'static str {
    let (english, japanese) = match class {
        Class::Fixed => ("Fixed lines of no country", "国に属さない固定電話"),
        Class::Mobile => ("Mobile phones of no country", "国に属さない携帯電話"),
        Class::FixedOrMobile => ("Telephones of no country", "国に属さない電話"),
        Class::Freephone => ("International freephone", "国際フリーフォン"),
        Class::Premium => ("International premium rate", "国際情報料課金番号"),
        Class::SharedCost => ("International shared cost", "国際分担課金番号"),
        Class::Personal => ("Personal numbers", "個人番号"),
        Class::Pager => ("Pagers and machines", "ポケットベル・機器番号"),
        Class::Voicemail => ("Mailboxes", "留守番電話"),
        Class::Satellite => ("Satellite and global networks", "衛星・国際ネットワーク"),
        Class::Ip => ("Internet telephony", "IP電話"),
        Class::Uan => ("Universal access numbers", "国際統一番号"),
        Class::ServicePaid | Class::ServiceFree | Class::ServiceForwarding => {
            ("Short codes", "短縮番号")
        }
        Class::Unassigned => ("No such number", "存在しない番号"),
    };
    match language {
        Language::En => english,
        Language::Ja => japanese,
    }
}

/// A reason in words, and as it stands in the journal.
pub(super) fn reason(language: Language, code: &str) -> String {
    match (Reason::ALL.iter().find(|it| it.code() == code), language) {
        (Some(reason), Language::En) => format!("{} ({code})", reason.sentence()),
        (Some(reason), Language::Ja) => format!("{} ({code})", japanese(*reason)),
        (None, _) => code.to_owned(),
    }
}

/// A reason in Japanese.
const fn japanese(reason: Reason) -> &'static str {
    match reason {
        Reason::NoSingleMeaning => "ダイヤルされた番号を一意に特定できない",
        Reason::DestinationNotAllowed => "許可されていない宛先",
        Reason::DestinationDenied => "禁止されている宛先",
        Reason::CallerNotOwn => "契約者のものでない発信者番号",
        Reason::NoPrice => "料金表にない宛先",
        Reason::CallsAtOnce => "同時通話数の上限",
        Reason::CallsPerSecond => "1秒あたりの発信数の上限",
        Reason::CallsPerMinute => "1分あたりの発信数の上限",
        Reason::CallsPerHour => "1時間あたりの発信数の上限",
        Reason::CallsPerDay => "1日あたりの発信数の上限",
        Reason::BudgetSpent => "予算の残額不足",
        Reason::NumbersPerDay => "1日に発信できる相手番号数の上限",
        Reason::CallForwarded => "契約者以外からの着信の転送",
        Reason::PrefixWalk => "先頭を変えながら末尾が同じ番号への連続発信",
        Reason::ShortCalls => "同じ番号帯への短時間通話の多発",
        Reason::NewCountry => "これまで発信のなかった国への発信",
        Reason::Burst => "短時間の大量発信",
        Reason::ManyRefusals => "同じ送信元の発信の遮断が多発",
        Reason::CalledNotServed => "当システムが扱わない着信番号",
        Reason::NoTenant => "契約者が設定にない",
        Reason::Stopping => "システムの停止処理中",
        Reason::JournalFault => "記録を書き込めない",
        Reason::TooLarge => "発信要求(INVITE)が大きすぎる",
        Reason::Blocked => "管理者による発信停止",
        Reason::NotSecure => "sips: の宛先にTLSで届かない",
        Reason::CarriersFull => "通信事業者の回線に空きがない",
        Reason::CarriersNotFound => "通信事業者のホスト名からアドレスがまだ得られていない",
        Reason::NotFollowed => "緊急番号・既に試みた番号への転送、または転送先の数の上限",
        Reason::NoTransfers => "通信事業者による転送、通話外のREFER、実行できない転送",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_belongs_to_a_country_or_is_of_a_kind() {
        for (number, english, japanese) in [
            ("+23276123456", "Sierra Leone (+232)", "シエラレオネ (+232)"),
            ("+12425551234", "Bahamas (+1)", "バハマ (+1)"),
            ("+85221234567", "Hong Kong (+852)", "香港 (+852)"),
            (
                "+882161234567",
                "Satellite and global networks (+882)",
                "衛星・国際ネットワーク (+882)",
            ),
            ("+2109", "No such number", "存在しない番号"),
            (
                "110",
                "Emergency numbers and short codes",
                "緊急番号・短縮番号",
            ),
            ("", "", ""),
        ] {
            assert_eq!(place(Language::En, number), english, "{number}");
            assert_eq!(place(Language::Ja, number), japanese, "{number}");
        }
    }

    #[test]
    fn every_country_has_a_name_in_each_language() {
        for it in Numbering::builtin().countries() {
            for language in [Language::En, Language::Ja] {
                let name = country(language, it);
                assert!(
                    name.chars().count() > 2 || !name.is_ascii(),
                    "{it:?} {name}"
                );
                assert!(name.is_ascii() == (language == Language::En) || it.as_str() != "jp");
            }
        }
    }

    #[test]
    fn a_reason_is_a_sentence_with_its_name_in_the_journal() {
        assert_eq!(
            reason(Language::En, "no-price"),
            "the tariff has no price for this destination (no-price)"
        );
        assert_eq!(
            reason(Language::Ja, "no-price"),
            "料金表にない宛先 (no-price)"
        );
        assert_eq!(reason(Language::Ja, "of-later"), "of-later");
    }
}
