//! The numbering table against another implementation of libphonenumber, number
//! by number: the same country and class for each, but for the differences below.
//!
//! `cargo test --release --test numbering_oracle` compares two million numbers in
//! seconds; without optimisation fewer, as the other side is slow then.

#![cfg(test)]

use std::collections::BTreeMap;

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberType};
use tollgate::policy::numbering::{Class, Country, Length, Numbering};

const NUMBERS: u32 = if cfg!(debug_assertions) {
    40_000
} else {
    2_000_000
};

/// Where the table differs on purpose: what a number begins with, and why.
const OURS: &[(&str, &str)] = &[
    (
        "81170",
        "message services: the source has no class for them",
    ),
    ("81180", "mass calling: the source has no class for it"),
    (
        "8160",
        "060 with nine digits is a mobile number cut short, but for 0600",
    ),
];

/// Where the oracle's metadata (9.0.42) is a release older than the table's (9.0.43).
const NEWER: &[&str] = &[
    "2298575", "2298578", "22981", "25170", "25173", "263", "40600", "4062", "406300", "4915410",
    "59393", "85630", "99550888",
];

/// SplitMix64: the same numbers in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 33).unwrap() % bound
    }

    fn digit(&mut self) -> char {
        char::from(b"0123456789"[self.below(10)])
    }
}

/// What the table is made of: its calling codes, and a pattern for each range.
struct Table {
    codes: Vec<&'static str>,
    ranges: Vec<(Vec<Vec<char>>, Vec<usize>)>,
}

impl Table {
    fn new() -> Self {
        let text = include_str!("../policies/numbering/table.tsv");
        let rows = || {
            text.lines()
                .map(|line| line.split('\t').collect::<Vec<_>>())
        };
        let codes = rows()
            .filter(|row| row[0] == "code")
            .map(|row| row[1])
            .collect();
        let ranges = rows()
            .filter(|row| row.len() == 4 && row[0] != "code")
            .map(|row| (places(row[0]), lengths(row[3])))
            .collect();
        Self { codes, ranges }
    }

    /// A number somewhere in the world, or one of a range, often with a digit wrong.
    fn number(&self, dice: &mut Dice) -> String {
        if dice.below(3) == 0 {
            let mut number = self.codes[dice.below(self.codes.len())].to_owned();
            let length = number.len() + 3 + dice.below(13 - number.len());
            while number.len() < length {
                number.push(dice.digit());
            }
            return number;
        }
        let (places, lengths) = &self.ranges[dice.below(self.ranges.len())];
        let mut number: String = places.iter().map(|p| p[dice.below(p.len())]).collect();
        let mut length = lengths[dice.below(lengths.len())];
        length = (length + usize::from(dice.below(8) == 0)).min(15);
        while number.len() < length {
            number.push(dice.digit());
        }
        if dice.below(4) == 0 {
            let at = dice.below(number.len());
            number.replace_range(at..=at, &dice.digit().to_string());
        }
        number
    }

    fn code(&self, number: &str) -> Option<&'static str> {
        self.codes
            .iter()
            .copied()
            .find(|code| number.starts_with(code))
    }
}

/// The digits that may stand at each place of a prefix such as "81[2-4]x".
fn places(prefix: &str) -> Vec<Vec<char>> {
    let mut places = Vec::new();
    let mut chars = prefix.chars();
    while let Some(first) = chars.next() {
        places.push(match first {
            'x' => ('0'..='9').collect(),
            '[' => {
                let mut digits: Vec<char> = Vec::new();
                while let Some(next) = chars.next().filter(|c| *c != ']') {
                    if next == '-' {
                        let (low, high) = (*digits.last().unwrap(), chars.next().unwrap());
                        digits.extend((low..=high).skip(1));
                    } else {
                        digits.push(next);
                    }
                }
                digits
            }
            digit => vec![digit],
        });
    }
    places
}

fn lengths(text: &str) -> Vec<usize> {
    text.split(',')
        .flat_map(|part| {
            let (low, high) = part.split_once('-').unwrap_or((part, part));
            low.parse::<usize>().unwrap()..=high.parse::<usize>().unwrap()
        })
        .collect()
}

/// Country and class by the oracle.
fn oracle(code: &str, national: &str) -> Option<(Option<Country>, Class)> {
    let zeros = national.len() - national.trim_start_matches('0').len();
    let zeros = zeros.min(national.len() - 1);
    let number = PhoneNumber {
        country_code: code.parse().unwrap(),
        national_number: national.parse().unwrap(),
        italian_leading_zero: (zeros > 0).then_some(true),
        number_of_leading_zeros: (zeros > 0).then(|| i32::try_from(zeros).unwrap()),
        ..PhoneNumber::default()
    };
    let class = match PHONE_NUMBER_UTIL.get_number_type(&number) {
        PhoneNumberType::FixedLine => Class::Fixed,
        PhoneNumberType::Mobile => Class::Mobile,
        PhoneNumberType::FixedLineOrMobile => Class::FixedOrMobile,
        PhoneNumberType::TollFree => Class::Freephone,
        PhoneNumberType::PremiumRate => Class::Premium,
        PhoneNumberType::SharedCost => Class::SharedCost,
        PhoneNumberType::VoIP => Class::Ip,
        PhoneNumberType::PersonalNumber => Class::Personal,
        PhoneNumberType::Pager => Class::Pager,
        PhoneNumberType::UAN => Class::Uan,
        PhoneNumberType::VoiceMail => Class::Voicemail,
        _ => return None,
    };
    let region = PHONE_NUMBER_UTIL.get_region_for_number(&number)?;
    let country = Country::parse(&region.as_region_str().to_ascii_lowercase());
    Some((country, global(code).unwrap_or(class)))
}

/// Codes of no country have one class, whatever the source takes them for.
fn global(code: &str) -> Option<Class> {
    Some(match code {
        "870" | "881" | "882" | "883" => Class::Satellite,
        "878" => Class::Personal,
        _ => return None,
    })
}

#[test]
fn the_table_agrees_with_the_oracle() {
    let table = Table::new();
    let mut dice = Dice(0x7011_6a7e);
    let mut assigned = 0_u32;
    let mut wrong: BTreeMap<String, (u32, String)> = BTreeMap::new();
    for _ in 0..NUMBERS {
        let number = table.number(&mut dice);
        let Some((code, national)) = table
            .code(&number)
            .and_then(|code| Some((code, number.strip_prefix(code)?)))
        else {
            assert_eq!(
                Numbering::builtin().lookup(number.as_bytes()).length,
                Length::Impossible
            );
            continue;
        };
        let ours = OURS
            .iter()
            .map(|(prefix, _)| *prefix)
            .chain(NEWER.iter().copied());
        // 00 is a prefix for carriers or abroad, never part of a country's number.
        let carrier = national.starts_with("00") && !code.starts_with("80");
        if national.is_empty() || carrier || ours.into_iter().any(|p| number.starts_with(p)) {
            continue;
        }
        let range = Numbering::builtin().lookup(number.as_bytes());
        let found = (range.class != Class::Unassigned).then_some((range.country, range.class));
        let expected = oracle(code, national);
        assigned += u32::from(found.is_some());
        if found != expected {
            let example = format!("+{number}: {found:?}, the oracle {expected:?}");
            let key = number.chars().take(code.len() + 2).collect();
            wrong.entry(key).or_insert((0, example)).0 += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(
        assigned > NUMBERS / 3,
        "only {assigned} of {NUMBERS} are assigned at all"
    );
}
