//! The compiled matcher against a reference that is written straight from the
//! rules of precedence: list every rule, cross out, take the most specific.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::policy::diagnostic::Place;
use crate::policy::number::{Kind, Number, Reading};
use crate::policy::numbering::Length;
use crate::policy::numbering::Numbering;

/// A rule's text, and what it does.
type Line = (String, Says);

fn reference(
    lines: &[Line],
    digits: &str,
    class: Class,
    country: Option<&str>,
    home: &str,
) -> &'static str {
    // Which rules cover the number, and how specific each is.
    let mut covering: Vec<(u32, &Line)> = Vec::new();
    for line in lines {
        let text = line.0.as_str();
        let rank = if let Some(prefix) = text.strip_prefix('+') {
            let prefix = prefix.replace(' ', "");
            digits
                .starts_with(&prefix)
                .then(|| 100 + u32::try_from(prefix.len()).unwrap())
        } else if text == "international" {
            (class.is_ordinary() && country.is_some() && country != Some(home)).then_some(2)
        } else if text == "any" {
            class.is_ordinary().then_some(1)
        } else if Class::parse(text).is_some() {
            (text == class.as_str()).then_some(3)
        } else if let Some((of, its)) = text.split_once('.') {
            (country == Some(of) && its == class.as_str()).then_some(5)
        } else {
            (class.is_ordinary() && country == Some(text)).then_some(4)
        };
        covering.extend(rank.map(|rank| (rank, line)));
    }
    // A denied class beats every allow except two kinds; one whose denial is only
    // observed likewise, but for what else is denied.
    let of_class = covering.iter().filter(|(rank, _)| *rank == 3);
    let of_class = of_class.map(|(_, line)| line.1).max();
    let class_denied = of_class > Some(Says::Allow);
    covering.retain(|(rank, line)| {
        let lets_go = line.1 != Says::Deny;
        let names_the_class_there = *rank == 5;
        let inside = *rank > 100 && {
            let prefix = line.0.replace(['+', ' '], "");
            wholly_inside(&prefix, class)
        };
        let itself = *rank == 3 && Some(line.1) == of_class;
        !(class_denied && lets_go) || names_the_class_there || inside || itself
    });
    // The most specific decides; deny wins a tie, and observe over allow.
    let top = covering.iter().map(|(rank, _)| *rank).max();
    let at_top = covering.iter().filter(|(rank, _)| Some(*rank) == top);
    match at_top.map(|(_, line)| line.1).max() {
        None => "uncovered",
        Some(Says::Deny) => "deny",
        Some(Says::Observe) => "observe",
        Some(Says::Allow) => "allow",
    }
}

/// The ranges of the table's text: pattern, class, longest length.
static RANGES: LazyLock<Vec<(&str, &str, usize)>> = LazyLock::new(|| {
    let table = include_str!("../../../policies/numbering/table.tsv");
    let range = |line: &'static str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [range, _, class, lengths] = fields.as_slice() else {
            return None;
        };
        let longest = lengths
            .split([',', '-'])
            .filter_map(|n| n.parse().ok())
            .max();
        Some((*range, *class, longest?))
    };
    table.lines().filter_map(range).collect()
});

/// Whether all assigned numbers with this prefix are of this class, by asking
/// the table's text.
fn wholly_inside(prefix: &str, class: Class) -> bool {
    let meeting = RANGES.iter().filter(|(range, _, longest)| {
        range.starts_with(&prefix[..1]) && *longest >= prefix.len() && meet(range, prefix)
    });
    let classes: BTreeSet<&str> = meeting.map(|(_, class, _)| *class).collect();
    match class {
        Class::Unassigned => classes.is_empty(),
        _ => classes.len() == 1 && classes.contains(class.as_str()),
    }
}

/// Whether some number has the prefix and is in a range written "449[01]x".
fn meet(range: &str, prefix: &str) -> bool {
    let mut places = Vec::new();
    let mut chars = range.chars();
    while let Some(c) = chars.next() {
        places.push(match c {
            'x' => ('0'..='9').collect(),
            '[' => {
                let inside: Vec<char> = chars.by_ref().take_while(|c| *c != ']').collect();
                let mut digits: Vec<char> = Vec::new();
                for (at, &c) in inside.iter().enumerate() {
                    if c == '-' {
                        digits.extend(inside[at - 1]..=inside[at + 1]);
                    } else {
                        digits.push(c);
                    }
                }
                digits
            }
            digit => vec![digit],
        });
    }
    places
        .iter()
        .zip(prefix.chars())
        .all(|(digits, c)| digits.contains(&c))
}

fn under(target: Target) -> Classes {
    let Target::Prefix(digits) = target else {
        return Classes::default();
    };
    let number = digits.number().unwrap();
    Numbering::builtin().classes_under(number.international_digits().unwrap())
}

fn compiled(lines: &[Line], to: &Destination, home: Option<Country>) -> &'static str {
    let numbering = Numbering::builtin();
    let place = Place::new(0, &(0..0));
    let rules = lines.iter().map(|&(ref text, says)| {
        let target = Target::parse(text, numbering).unwrap();
        At::new(DestinationRule { target, says }, place)
    });
    let kept = settle(rules.collect(), |_, _| {});
    let mut entries: Vec<Entry> = kept
        .iter()
        .zip(0..)
        .map(|(rule, at)| entry(rule.value, at, under(rule.value.target)))
        .collect();
    let kinds = super::super::table::arrange(&mut entries);
    match decide(Table::new(&entries, kinds), to, home) {
        Decision::Allow(_) => "allow",
        Decision::Deny(_) => "deny",
        Decision::Observe(_) => "observe",
        Decision::Uncovered => "uncovered",
    }
}

fn destination(digits: &str) -> Destination {
    let range = Numbering::builtin().lookup(digits.as_bytes());
    assert_eq!(range.length, Length::Ok, "{digits}");
    let kind = Kind::International {
        country: range.country,
        class: range.class,
    };
    let number = Number::international(digits.as_bytes()).unwrap();
    Destination::of(&Reading {
        number,
        kind,
        privacy: None,
    })
    .unwrap()
}

/// Numbers of many classes, and rules near them, so that most rules matter.
const NUMBERS: [&str; 14] = [
    "442071838750",
    "447911123456",
    "449098790879",
    "448001111111",
    "81335571234",
    "819012345678",
    "81570123456",
    "818001234567",
    "12125551234",
    "19005551234",
    "18769221234",
    "881612345678",
    "23276123456",
    "815031234567",
];
const RULES: [&str; 34] = [
    "any",
    "international",
    "gb",
    "jp",
    "us",
    "jm",
    "sl",
    "fixed",
    "mobile",
    "fixed_or_mobile",
    "premium",
    "freephone",
    "ip",
    "shared_cost",
    "satellite",
    "unassigned",
    "gb.fixed",
    "gb.mobile",
    "gb.premium",
    "jp.mobile",
    "jp.freephone",
    "us.premium",
    "+4",
    "+44",
    "+44 20",
    "+44 909",
    "+44 9",
    "+44 90",
    "+81",
    "+81 90",
    "+1",
    "+1 900",
    "+88",
    "+8816",
];

fn says_strategy() -> impl Strategy<Value = Says> {
    prop_oneof![Just(ALLOW), Just(OBSERVED), Just(DENIED)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn the_compiled_matcher_says_what_the_rules_of_precedence_say(
        picked in proptest::collection::vec((0..RULES.len(), says_strategy()), 0..12),
        number in 0..NUMBERS.len(),
        home in prop_oneof![Just("jp"), Just("gb"), Just("us")],
    ) {
        let lines: Vec<Line> = picked.iter().map(|&(at, says)| (RULES[at].to_owned(), says)).collect();
        let to = destination(NUMBERS[number]);
        let country = to.country.map(|it| it.to_string());
        let expected = reference(&lines, NUMBERS[number], to.class, country.as_deref(), home);
        prop_assert_eq!(compiled(&lines, &to, Country::parse(home)), expected, "{:?} {:?}", lines, to);
    }
}

fn says(lines: &[(&str, Says)], digits: &str) -> &'static str {
    let lines: Vec<Line> = lines
        .iter()
        .map(|&(text, says)| (text.to_owned(), says))
        .collect();
    compiled(&lines, &destination(digits), Country::parse("jp"))
}

const ALLOW: Says = Says::Allow;
const OBSERVED: Says = Says::Observe;
const DENIED: Says = Says::Deny;

#[test]
fn what_is_observed_lets_go_and_lifts_no_denial() {
    let says = |lines: &[(&str, Says)]| says(lines, "449098790879");
    assert_eq!(says(&[("premium", OBSERVED)]), "observe");
    assert_eq!(says(&[("+44", ALLOW), ("premium", OBSERVED)]), "observe");
    assert_eq!(says(&[("+44", OBSERVED), ("premium", DENIED)]), "deny");
    assert_eq!(
        says(&[("+44 909", OBSERVED), ("premium", DENIED)]),
        "observe"
    );
    assert_eq!(says(&[("+44", DENIED), ("premium", OBSERVED)]), "deny");
    assert_eq!(says(&[("any", OBSERVED)]), "uncovered");
}

#[test]
fn only_ordinary_numbers_are_covered_by_wide_rules() {
    for wide in ["any", "international", "us"] {
        assert_eq!(says(&[(wide, ALLOW)], "12125551234"), "allow", "{wide}");
        assert_eq!(says(&[(wide, ALLOW)], "19005551234"), "uncovered", "{wide}");
    }
    assert_eq!(says(&[("any", ALLOW)], "881612345678"), "uncovered");
}

#[test]
fn a_denied_class_yields_only_to_its_own_name_in_a_country_or_a_prefix_inside() {
    let deny = ("premium", DENIED);
    assert_eq!(says(&[deny, ("+44", ALLOW)], "449098790879"), "deny");
    assert_eq!(
        says(&[deny, ("gb.premium", ALLOW)], "449098790879"),
        "allow"
    );
    assert_eq!(says(&[deny, ("+44 909", ALLOW)], "449098790879"), "allow");
    let both = [deny, ("+44 909", ALLOW), ("+44 9098", DENIED)];
    assert_eq!(says(&both, "449098790879"), "deny");
}

#[test]
fn the_longer_prefix_decides_and_deny_wins_a_tie() {
    assert_eq!(
        says(&[("+44", DENIED), ("+44 20", ALLOW)], "442071838750"),
        "allow"
    );
    assert_eq!(
        says(&[("+44 20", DENIED), ("+44", ALLOW)], "442071838750"),
        "deny"
    );
    assert_eq!(
        says(&[("+44 20", DENIED), ("+4420", ALLOW)], "442071838750"),
        "deny"
    );
    assert_eq!(
        says(&[("gb", DENIED), ("gb.fixed", ALLOW)], "442071838750"),
        "allow"
    );
    assert_eq!(says(&[], "442071838750"), "uncovered");
}

#[test]
fn short_codes_are_named_by_their_class_alone() {
    let number = Number::short(b"104").unwrap();
    let kind = Kind::Service(Class::ServicePaid);
    let to = Destination::of(&Reading {
        number,
        kind,
        privacy: None,
    })
    .unwrap();
    let said = |text: &str| compiled(&[(text.to_owned(), ALLOW)], &to, Country::parse("jp"));
    assert_eq!(said("service.paid"), "allow");
    for other in ["any", "international", "jp", "service.free", "+1"] {
        assert_eq!(said(other), "uncovered", "{other}");
    }
}
