use proptest::prelude::*;

use super::*;

fn packed(digits: &str) -> Packed {
    Packed::international(digits.as_bytes()).unwrap()
}

#[test]
fn what_a_target_covers_is_what_a_table_finds() {
    use super::super::table::{Entry, Flags, Table, arrange};
    let numbering = Numbering::builtin();
    let texts = [
        "+44",
        "+4420",
        "gb.fixed",
        "jp",
        "us",
        "fixed",
        "international",
        "any",
    ];
    let targets = texts.map(|text| Target::parse(text, numbering).unwrap());
    let to = |digits, country, class| Destination {
        digits,
        country: Country::parse(country),
        class,
    };
    let short = Packed::of(&Number::short(b"104").unwrap()).unwrap();
    let places = [
        to(packed("442071838750"), "gb", Class::Fixed),
        to(packed("447400123456"), "gb", Class::Mobile),
        to(packed("81335571234"), "jp", Class::Fixed),
        to(packed("12125551234"), "us", Class::FixedOrMobile),
        to(packed("8835100012345"), "-", Class::Unassigned),
        to(short, "-", Class::ServicePaid),
    ];
    let mut found = 0;
    for (target, place) in targets
        .iter()
        .flat_map(|t| places.iter().map(move |p| (*t, p)))
    {
        let home = Country::parse("jp");
        let mut entries = [Entry::new(target, Flags::NONE, 7)];
        let kinds = arrange(&mut entries);
        let mut finds = false;
        Table::new(&entries, kinds).covering(place, home, |_| finds = true);
        assert_eq!(target.covers(place, home), finds, "{target} {place:?}");
        found += usize::from(finds);
    }
    assert!(found > 10, "{found}");
}

#[test]
fn packing_keeps_the_digits_and_their_order() {
    let mut numbers = [
        "1",
        "12",
        "120",
        "2",
        "09",
        "999999999999999",
        "100000000000000",
    ];
    for digits in numbers {
        let number = Number::international(digits.as_bytes()).unwrap();
        assert_eq!(Packed::of(&number).unwrap().number(), Some(number));
        let short = Number::short(digits.as_bytes()).unwrap();
        assert_eq!(Packed::of(&short).unwrap().number(), Some(short));
        assert_ne!(Packed::of(&short), Packed::of(&number));
    }
    numbers.sort_unstable();
    assert!(numbers.is_sorted_by_key(|n| packed(n)));
    assert_eq!(Packed::international(b""), None);
    assert_eq!(Packed::international(b"1234567890123456"), None);
    assert_eq!(Packed::international(b"12a"), None);
}

proptest! {
    #[test]
    fn packing_takes_digits_and_nothing_else(
        code in "[0-9]{0,3}",
        behind in proptest::collection::vec(prop_oneof![8 => b'0'..=b'9', 1 => any::<u8>()], 0..18),
    ) {
        let all = [code.as_bytes(), &behind].concat();
        let number = Number::international(&all);
        let joined = Packed::joined(code.as_bytes(), &behind);
        prop_assert_eq!(joined.is_some(), number.is_some());
        prop_assert_eq!(joined.and_then(Packed::number), number);
        prop_assert_eq!(number.as_ref().and_then(Packed::of), joined);
    }

    #[test]
    fn a_word_is_a_number_s_if_all_of_it_is_digits(
        digits in proptest::collection::vec(0_u64..16, 0..16),
        short in 0_u64..2,
    ) {
        let shifted = (0..).zip(&digits).map(|(at, digit)| digit << (60 - 4 * at));
        let word = shifted.fold(0, |word, digit| word | digit) & !0xF | short;
        let last = digits.iter().take(15).rposition(|it| *it != 0);
        let there = digits.get(..last.map_or(0, |it| it + 1)).unwrap();
        let text: Option<Vec<u8>> = there
            .iter()
            .map(|it| it.checked_sub(1).filter(|it| *it < 10).map(|it| b"0123456789"[usize::try_from(it).unwrap()]))
            .collect();
        let number = text.and_then(|text| match short {
            0 => Number::international(&text),
            _ => Number::short(&text),
        });
        prop_assert_eq!(Packed::from_bits(word).number(), number);
    }
}

#[test]
fn the_last_digits_are_the_same_behind_any_prefix() {
    let last = |digits: &str, n| packed(digits).split_last(n).map(|(_, last)| last);
    assert_eq!(last("23276123456", 6), last("44123456", 6));
    assert_ne!(last("23276123456", 6), last("23276123457", 6));
    assert_eq!((last("123456", 6), last("12345", 6)), (None, None));
    assert_eq!(packed("23276123456").split_last(4), {
        Some((packed("2327612").word(), packed("3456").word()))
    });
    assert!(packed("999999999999999").split_last(1).is_some());
}

#[test]
fn a_prefix_begins_only_what_it_begins() {
    let number = packed("442071838750");
    for (prefix, begins) in [("44", true), ("442071838750", true), ("4", true)] {
        assert_eq!(
            number.starts_with(packed(prefix).word()),
            begins,
            "{prefix}"
        );
    }
    for prefix in ["43", "45", "4420718387500", "2"] {
        assert!(!number.starts_with(packed(prefix).word()), "{prefix}");
    }
    let longest = packed("999999999999999");
    assert!(longest.starts_with(longest.word()));
}

#[test]
fn targets_are_read_as_they_are_written() {
    let numbering = Numbering::builtin();
    for text in [
        "+4420",
        "jp.mobile",
        "us",
        "premium",
        "service.paid",
        "international",
        "any",
    ] {
        let target = Target::parse(text, numbering).unwrap();
        assert_eq!(target.to_string(), text);
        assert_eq!(target.word() & 0xF, 0);
    }
    let spaced = Target::parse("+44 20", numbering).unwrap();
    assert_eq!(spaced, Target::parse("+4420", numbering).unwrap());
}

#[test]
fn what_names_nothing_is_refused_with_help() {
    let help = |text: &str| Target::parse(text, Numbering::builtin()).unwrap_err().help;
    assert!(help("44 20").contains("+44 20"));
    assert!(help("US").contains("\"us\""));
    assert!(help("uk").contains("\"gb\""));
    assert!(help("uk.mobile").contains("\"gb.mobile\""));
    assert!(help("premum").contains("\"premium\""));
    assert!(help("jp.mobil").contains("\"mobile\""));
    assert!(help("jp.service.paid").contains("\"service.paid\""));
    assert!(help("+81 03").contains("without a 0"));
    assert!(help("+").contains("\"any\""));
    assert!(help("+44x").contains("digits"));
    assert!(help("zz").contains("a country"));
    assert!(help("").contains("a prefix"));
}
