use super::*;

const SMALL: &str = "version\ttest\ncode\t81\tjp\ncode\t44\tgb,gg\ncode\t881\t-\n\
    813\tjp\tfixed\t11\n8150\tjp\tip\t12\n81120\tjp\tfreephone\t11\n8816\t-\tsatellite\t12\n\
    4420\tgb\tfixed\t12\n44800\tgb\tfreephone\t11-12\n441481\tgg\tfixed\t12\n";

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

#[test]
fn digits_in_brackets_share_what_is_behind_them() {
    let text = "version\tx\ncode\t1\tus,ca\n12[02-4]x5\tus\tfixed\t6\n1211\tca\tmobile\t5,7-8\n";
    let table = Numbering::parse(text).unwrap();
    let class = |digits: &str| table.lookup(digits.as_bytes()).class;
    for digits in ["120050", "122150", "123950", "124050"] {
        assert_eq!(class(digits), Class::Fixed, "{digits}");
    }
    for digits in ["121050", "125050", "120060", "12005"] {
        assert_eq!(class(digits), Class::Unassigned, "{digits}");
    }
    for (digits, mobile) in [("12111", true), ("121111", false), ("12111111", true)] {
        assert_eq!(class(digits) == Class::Mobile, mobile, "{digits}");
    }
}

#[test]
fn ranges_that_overlap_are_a_fault() {
    let overlap = |ranges: &str| {
        let text = format!("version\tx\ncode\t1\tus\n{ranges}\n");
        Numbering::parse(&text)
            .map(|_| ())
            .map_err(|fault| fault.kind)
    };
    let fault = Err(TableFaultKind::Overlap);
    assert_eq!(
        overlap("12[1-3]\tus\tfixed\t5\n12[3-4]\tus\tfixed\t5"),
        fault
    );
    assert_eq!(
        overlap("121\tus\tfixed\t5\n122\tus\tfixed\t5\n121\tus\tmobile\t6"),
        fault
    );
    assert_eq!(overlap("1211\tus\tfixed\t5\n121\tus\tfixed\t5"), fault);
    assert_eq!(overlap("121\tus\tfixed\t5\n121\tus\tmobile\t6"), Ok(()));
    assert_eq!(overlap("12[]\tus\tfixed\t5"), Err(TableFaultKind::Prefix));
    assert_eq!(
        overlap("12[3-1]\tus\tfixed\t5"),
        Err(TableFaultKind::Prefix)
    );
    assert_eq!(overlap("12[1\tus\tfixed\t5"), Err(TableFaultKind::Prefix));
}

/// Numbers whose place is known from the numbering plans themselves.
#[test]
fn the_compiled_table_knows_the_world() {
    let table = Numbering::builtin();
    let known = [
        ("81335571234", "jp.fixed"),
        ("819012345678", "jp.mobile"),
        ("816012345678", "jp.mobile"),
        ("817012345678", "jp.mobile"),
        ("818012345678", "jp.mobile"),
        ("815031234567", "jp.ip"),
        ("81120123456", "jp.freephone"),
        ("818001234567", "jp.freephone"),
        ("81570123456", "jp.uan"),
        ("81180123456", "jp.shared_cost"),
        ("81170123456", "jp.shared_cost"),
        ("81990123456", "jp.premium"),
        ("812012345678", "jp.pager"),
        ("81600123456", "jp.personal"),
        ("12125551234", "us.fixed_or_mobile"),
        ("19005551234", "us.premium"),
        ("18002345678", "us.freephone"),
        ("18769221234", "jm.fixed"),
        ("18095551234", "do.fixed_or_mobile"),
        ("14165551234", "ca.fixed_or_mobile"),
        ("442071838750", "gb.fixed"),
        ("447400123456", "gb.mobile"),
        ("447797712345", "je.mobile"),
        ("441481256789", "gg.fixed"),
        ("447624312345", "im.mobile"),
        ("447012345678", "gb.personal"),
        ("448712345678", "gb.premium"),
        ("79161234567", "ru.mobile"),
        ("77172123456", "kz.fixed"),
        ("390612345678", "it.fixed"),
        ("390669812345", "va.fixed"),
        ("262262161234", "re.fixed"),
        ("262639012345", "yt.mobile"),
        ("4779123456", "sj.fixed"),
        ("35818123456", "ax.fixed"),
        ("23276123456", "sl.mobile"),
        ("5371234567", "cu.fixed"),
        ("61891621234", "cc.fixed"),
        ("881612345678", "-.satellite"),
        ("870772234567", "-.satellite"),
        ("882101234567", "-.unassigned"),
        ("979123456789", "-.premium"),
        ("80012345678", "-.freephone"),
    ];
    for (digits, place) in known {
        let range = table.lookup(digits.as_bytes());
        let country = range
            .country
            .map_or_else(|| "-".to_owned(), |c| c.to_string());
        assert_eq!(format!("{country}.{}", range.class), place, "+{digits}");
    }
}

#[test]
fn the_compiled_table_is_whole() {
    let table = Numbering::builtin();
    assert!(
        table.version().starts_with("libphonenumber "),
        "{}",
        table.version()
    );
    assert_eq!(table.countries().count(), 245);
    for country in table.countries() {
        let code = table.calling_code(country).unwrap();
        assert_ne!(
            table.why_impossible(code.as_bytes()),
            Impossible::CallingCode,
            "{country}"
        );
    }
    assert_eq!(
        table.calling_code(Country::parse("gg").unwrap()),
        Some("44")
    );
    assert!(!table.country_is_known(Country::parse("zz").unwrap()));
    assert!(table.bytes() < 1_000_000, "{} bytes", table.bytes());
}

#[test]
fn what_cannot_exist_is_said_why() {
    let table = Numbering::builtin();
    for (digits, why) in [
        ("999123456", Impossible::CallingCode),
        ("", Impossible::CallingCode),
        ("8", Impossible::CallingCode),
        ("810335571234", Impossible::TrunkPrefix),
        ("4402071838750", Impossible::TrunkPrefix),
        ("8100660105312345", Impossible::TrunkPrefix),
        ("4420718387501234", Impossible::Length),
        ("1212555123", Impossible::Length),
        ("8133557123", Impossible::Length),
        ("813355712345", Impossible::Length),
        ("81901234567", Impossible::Length),
        ("81601234567", Impossible::Length),
    ] {
        assert_eq!(
            table.lookup(digits.as_bytes()).length,
            Length::Impossible,
            "+{digits}"
        );
        assert_eq!(table.why_impossible(digits.as_bytes()), why, "+{digits}");
    }
}
