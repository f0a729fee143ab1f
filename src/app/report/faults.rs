//! What is wrong with the evidence, in each language.

use std::path::Path;

use crate::app::cli::Language;
use crate::ledger::{Finding, Remark, Wrong};

/// A finding, with its place.
pub(super) fn finding(language: Language, finding: &Finding) -> String {
    if language == Language::En {
        return finding.to_string();
    }
    let (file, from) = (finding.file.display(), finding.from);
    let what = japanese(&finding.what);
    match &finding.to {
        None => format!("{file}({from}行目): {what}"),
        Some((end, at)) if *end == finding.file => {
            format!("{file}({from}~{at}バイト目): {what}")
        }
        Some((end, at)) => {
            format!(
                "{file}({from}バイト目)から{}({at}バイト目)まで: {what}",
                end.display()
            )
        }
    }
}

/// What is worth knowing, and no fault.
pub(super) fn remark(language: Language, remark: &Remark) -> String {
    if language == Language::En {
        return remark.to_string();
    }
    let at = |file: &Path, byte: &u64| format!("{}({byte}バイト目)", file.display());
    match remark {
        Remark::PartialCheckpoint { file } => {
            format!(
                "{}: 最後のチェックポイントは途中までしか書き込まれていません",
                file.display()
            )
        }
        Remark::PartialRecord { segment, byte } => format!(
            "{}: 最後の記録は途中までしか書き込まれていません(異常終了時に生じます)",
            at(segment, byte)
        ),
        Remark::EarlierCheckpoint {
            before: (number, wall),
            later: (after, later),
        } => format!("チェックポイント{number}({wall})と{after}({later})の間で時計が戻りました"),
        Remark::EarlierRecords {
            shard,
            times,
            segment,
            byte,
            from,
            to,
        } => format!(
            "系列{shard}: 時計が{times}回戻りました。最初は{}で、{from}から{to}",
            at(segment, byte)
        ),
        Remark::SignedLater {
            shard,
            times,
            segment,
            byte,
            written,
            signed,
        } => format!(
            "系列{shard}: 最後の記録が署名される前に{times}回終了し(異常終了時に生じます)、次の起動時に\
             署名されました。最初は{}で、書き込みは{written}、署名は{signed}",
            at(segment, byte)
        ),
        Remark::Gap {
            shard,
            segment,
            byte,
            from,
            to,
        } => format!(
            "系列{shard}: {}以降の、次の起動時に署名された記録の間に、時刻が{from}から{to}に進んだと記録\
             されています(時計の設定、または機器の休止)",
            at(segment, byte)
        ),
    }
}

/// One checkpoint, or several.
fn range(from: u64, to: u64) -> String {
    match from == to {
        true => format!("チェックポイント{from}"),
        false => format!("チェックポイント{from}~{to}"),
    }
}

fn japanese(wrong: &Wrong) -> String {
    match wrong {
        Wrong::NotAsSigned(number) => format!(
            "チェックポイント{number}で署名された内容と異なります(記録の改変、移動、削除または追加)"
        ),
        Wrong::Unproved { from, to } => {
            format!(
                "{}が失われているため、この部分は証明できません",
                range(*from, *to)
            )
        }
        Wrong::SegmentsMissing(1) => "このファイルが失われています".to_owned(),
        Wrong::SegmentsMissing(many) => format!("このファイルから{many}個が失われています"),
        Wrong::InPlaceOf { segment, shard } => {
            format!("系列{shard}の{segment}番目のファイルに置き換えられています")
        }
        Wrong::Foreign => "別の鍵の台帳のファイルです".to_owned(),
        Wrong::Header => "ファイルの見出しが改変されています".to_owned(),
        Wrong::CutShort => "記録が途中で切れていますが、後に別の記録が続きます".to_owned(),
        Wrong::ShardMissing { number, records } => format!(
            "系列の記録がすべて失われています(チェックポイント{number}で{records}件が署名済み)"
        ),
        Wrong::EndMissing {
            segment,
            byte,
            number,
            records,
        } => format!(
            "記録が失われています。記録は{segment}番目のファイルの{byte}バイト目で終わっていますが、\
             チェックポイント{number}では{records}件が署名されています。末尾が切り取られたか、書き込み中の\
             台帳をチェックポイントより先に複写した写しです(その場合は checkpoints を最初に複写してください)"
        ),
        Wrong::Damaged(_) => "改変または欠落により読み取れません".to_owned(),
        Wrong::Late {
            records,
            first,
            last,
            signed,
            number,
        } => format!(
            "{}から{}までに書き込まれた{records}件は、{}にチェックポイント{number}で初めて署名されました。\
             それまでに改変されていないことは証明されません",
            first, last, signed
        ),
        of_checkpoints => checkpoints(of_checkpoints),
    }
}

/// What is wrong with checkpoints.
fn checkpoints(wrong: &Wrong) -> String {
    match wrong {
        Wrong::NoCheckpoint => {
            "この鍵で署名されたチェックポイントがないため、何も証明されません".to_owned()
        }
        Wrong::NotACheckpoint => "チェックポイントではありません".to_owned(),
        Wrong::OtherKey => "別の鍵で署名されたチェックポイントです".to_owned(),
        Wrong::Changed => "署名後に改変されたチェックポイントです".to_owned(),
        Wrong::UnknownForm => "この版では読めない形式のチェックポイントです".to_owned(),
        Wrong::Missing { from, to, .. } => format!("{}が失われています", range(*from, *to)),
        Wrong::Twice(number) => format!("チェックポイント{number}が二重にあります"),
        Wrong::Different(number) => format!(
            "異なる2つのチェックポイント{number}があります(台帳が以前の状態に戻され、署名し直されています)"
        ),
        Wrong::Behind { number, later } => {
            format!("チェックポイント{number}が{later}の後にあります")
        }
        Wrong::DoesNotFollow { number, before } => format!(
            "チェックポイント{number}は、ここにあるチェックポイント{before}に続くものではありません"
        ),
        Wrong::Anew { shard, at } => format!(
            "系列{shard}は{}に最初の記録から署名し直されています(それまでに署名された記録がありませんでした)",
            at
        ),
        Wrong::NotExpected(number) => format!(
            "あるべきチェックポイント{number}と異なります(台帳が以前の状態に戻され、署名し直されています)"
        ),
        Wrong::ExpectedMissing { number, at, last } => format!(
            "{}のチェックポイント{number}が台帳にありません(最後は{last})。末尾が切り取られています",
            at
        ),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Wall;

    /// What a page in Japanese says has no English in it.
    #[test]
    fn every_finding_has_its_words() {
        let at = Wall::from_micros(0);
        let all = [
            Wrong::NoCheckpoint,
            Wrong::NotACheckpoint,
            Wrong::OtherKey,
            Wrong::Changed,
            Wrong::UnknownForm,
            Wrong::Missing {
                from: 1,
                to: 2,
                first: true,
            },
            Wrong::Twice(1),
            Wrong::Different(1),
            Wrong::Behind {
                number: 1,
                later: 2,
            },
            Wrong::DoesNotFollow {
                number: 2,
                before: 1,
            },
            Wrong::Anew { shard: 0, at },
            Wrong::NotExpected(1),
            Wrong::ExpectedMissing {
                number: 1,
                at,
                last: 0,
            },
            Wrong::SegmentsMissing(1),
            Wrong::SegmentsMissing(2),
            Wrong::NotAsSigned(1),
            Wrong::Unproved { from: 1, to: 2 },
            Wrong::InPlaceOf {
                segment: 1,
                shard: 0,
            },
            Wrong::Foreign,
            Wrong::Header,
            Wrong::CutShort,
            Wrong::ShardMissing {
                number: 1,
                records: 2,
            },
            Wrong::EndMissing {
                segment: 1,
                byte: 2,
                number: 3,
                records: 4,
            },
            Wrong::Damaged(crate::record::frame::Damage::Torn),
            Wrong::Late {
                records: 1,
                first: at,
                last: at,
                signed: at,
                number: 1,
            },
        ];
        for what in all {
            let words = japanese(&what).replace("checkpoints", "");
            let english = words.split(|c: char| !c.is_ascii_alphabetic());
            assert!(english.into_iter().all(|it| it.len() < 2), "{words}");
            let found = Finding {
                file: "f".into(),
                from: 1,
                to: Some(("f".into(), 2)),
                what,
            };
            let [english, japanese] = [Language::En, Language::Ja].map(|it| finding(it, &found));
            assert!(english.starts_with("f, bytes 1 to 2: "), "{english}");
            assert!(japanese.starts_with("f(1~2バイト目): "), "{japanese}");
        }
    }
}
