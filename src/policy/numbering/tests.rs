use super::*;

const SMALL: &str = "version\ttest\ncode\t81\tjp\ncode\t44\tgb,gg\ncode\t881\t-\n\
    813\tjp\tfixed\t11\n8150\tjp\tip\t12\n81120\tjp\tfreephone\t11\n\
    4420\tgb\tfixed\t12\n44800\tgb\tfreephone\t11-12\n441481\tgg\tfixed\t12\n\
    8816\t-\tsatellite\t12\n";

fn small(digits: &str) -> (String, Class, Length) {
    let range = Numbering::parse(SMALL).unwrap().lookup(digits.as_bytes());
    let country = range
        .country
        .map_or_else(|| "-".to_owned(), |c| c.to_string());
    (country, range.class, range.length)
}

#[test]
fn the_range_decides_country_and_class() {
    assert_eq!(
        small("81335571234"),
        ("jp".into(), Class::Fixed, Length::Ok)
    );
    assert_eq!(
        small("441481123456"),
        ("gg".into(), Class::Fixed, Length::Ok)
    );
    assert_eq!(
        small("881612345678"),
        ("-".into(), Class::Satellite, Length::Ok)
    );
}

#[test]
fn a_length_is_judged_by_the_range_that_the_digits_fall_in() {
    assert_eq!(
        small("44800123456"),
        ("gb".into(), Class::Freephone, Length::Ok)
    );
    assert_eq!(
        small("44201234567"),
        ("gb".into(), Class::Unassigned, Length::Impossible)
    );
    assert_eq!(
        small("4420718387501"),
        ("gb".into(), Class::Unassigned, Length::Impossible)
    );
    assert_eq!(
        small("44"),
        ("-".into(), Class::Unassigned, Length::Impossible)
    );
}

#[test]
fn an_unassigned_range_of_a_possible_length_is_possible() {
    assert_eq!(
        small("81935571234"),
        ("jp".into(), Class::Unassigned, Length::Ok)
    );
    assert_eq!(
        small("447712345678"),
        ("-".into(), Class::Unassigned, Length::Ok)
    );
    assert_eq!(
        small("44771234567890"),
        ("-".into(), Class::Unassigned, Length::Impossible)
    );
}

#[test]
fn a_trunk_zero_behind_the_calling_code_is_impossible() {
    assert_eq!(
        small("810335571234"),
        ("jp".into(), Class::Unassigned, Length::Impossible)
    );
}

#[test]
fn no_calling_code_and_no_digits_are_impossible() {
    for digits in ["", "9", "99912345678", "8133557123x", "81335571234567890"] {
        assert_eq!(small(digits).2, Length::Impossible, "{digits}");
    }
}

#[test]
fn a_faulty_table_names_its_line() {
    let fault = |line: &str| {
        let text = format!("version\tx\ncode\t81\tjp\n{line}\n");
        Numbering::parse(&text).map(|_| ()).unwrap_err()
    };
    let at = |kind| TableFault { line: 3, kind };
    assert_eq!(fault("813\tjp\tfixed"), at(TableFaultKind::Field));
    assert_eq!(fault("813\tjp\tfixed\t11\tx"), at(TableFaultKind::Field));
    assert_eq!(fault("813\tJP\tfixed\t11"), at(TableFaultKind::Country));
    assert_eq!(fault("813\tjp\tfix\t11"), at(TableFaultKind::Class));
    assert_eq!(fault("813\tjp\tfixed\t2"), at(TableFaultKind::Lengths));
    assert_eq!(fault("813\tjp\tfixed\t16"), at(TableFaultKind::Lengths));
    assert_eq!(fault("443\tjp\tfixed\t11"), at(TableFaultKind::NoCode));
    assert_eq!(
        Numbering::parse("").unwrap_err().kind,
        TableFaultKind::NoVersion
    );
}
