//! What must hold of whatever is dialled.

use std::sync::LazyLock;

use proptest::prelude::*;
use tollgate::policy::number::Kind;
use tollgate::policy::numbering::{Class, Numbering};
use tollgate::policy::plan::{NumberFormat, Plan, PlanSpec};

use super::{CARRIERS, every_way, judged, plan_with, read, spec_with, written};

/// Text that is nearly something that could be dialled.
fn dialled() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        3 => "[0-9]{1,12}",
        2 => prop::sample::select(vec![
            "184", "186", "122", "0033", "010", "00", "0", "+", "+81", "+44", "81", "1", "110",
            "119", "118", "104", "3", "90", "120", "570", "800",
        ]).prop_map(str::to_owned),
        1 => prop::sample::select(vec![
            "%30", "%2B", "%2A", "%25", "-", "(", ")", ".", ";", "=", "*", "#", "a", ":", ";rn=1",
            ";phone-context=+81", ";cpc=x",
        ]).prop_map(str::to_owned),
    ];
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

/// Digits that begin like something, and go on like a number.
fn likely() -> impl Strategy<Value = String> {
    let before = prop::sample::select(vec![
        "184", "186", "122", "0033", "0041", "141", "1470", "1167", "1182", "", "",
    ]);
    let lead = prop::sample::select(vec!["010", "00", "011", "+", "0", "1", ""]);
    let number = prop_oneof![
        "[0-9]{0,14}",
        "(81|44|49|1|232)[0-9]{7,11}",
        "(3355|90|120|2071|7400|212555|30)[0-9]{4,8}",
        "(110|118|119|999|112|911|104|117|100|115|411)",
    ];
    (prop::collection::vec(before, 0..4), lead, number)
        .prop_map(|(before, lead, number)| format!("{}{lead}{number}", before.concat()))
}

/// Every shipped plan, and one with carrier codes: as a file, and ready to read with.
static PLANS: LazyLock<Vec<(PlanSpec, Plan)>> = LazyLock::new(|| {
    let plans = ["jp", "gb", "de", "nanp", "e164"].map(|name| (name, ""));
    let plans = plans.into_iter().chain([("jp", CARRIERS)]);
    plans
        .map(|(name, more)| (spec_with(name, more), plan_with(name, more)))
        .collect()
});

/// What must hold of anything that was read as a number.
fn check_reading(plan: &Plan, uri: &[u8]) -> Result<(), TestCaseError> {
    let Some(Ok(reading)) = read(plan, uri) else {
        return Ok(());
    };
    let number = reading.number;
    let text = number.as_str();
    match reading.kind {
        Kind::International { country, class } => {
            let digits = text.strip_prefix('+').unwrap();
            prop_assert!((1..=15).contains(&digits.len()), "{}", text);
            prop_assert!(digits.bytes().all(|b| b.is_ascii_digit()), "{}", text);
            let range = Numbering::builtin().lookup(digits.as_bytes());
            prop_assert_eq!((range.country, range.class), (country, class));
        }
        Kind::Service(class) => {
            prop_assert!(class.is_service() && text.bytes().all(|b| b.is_ascii_digit()));
        }
        Kind::Emergency if number.is_urn() => prop_assert!(text.starts_with("urn:service:sos")),
        Kind::Emergency => prop_assert!(text.bytes().all(|b| b.is_ascii_digit())),
    }
    // Read again as written, it is the same, in every form.
    for format in NumberFormat::ALL {
        let mut user = String::new();
        plan.write(&number, format, &mut user).unwrap();
        let again = read(plan, format!("sip:{user}@gw")).unwrap().unwrap();
        if number.is_urn() {
            prop_assert_eq!(again.kind, Kind::Emergency);
        } else {
            prop_assert_eq!(
                (again.number, again.kind),
                (number, reading.kind),
                "{}",
                user
            );
            prop_assert_eq!(again.privacy, None);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_read_is_read_again_as_written(user in dialled(), phone in any::<bool>()) {
        let phone = if phone { ";user=phone" } else { "" };
        for (_, plan) in &*PLANS {
            check_reading(plan, format!("sip:{user}@gw{phone}").as_bytes())?;
            check_reading(plan, format!("tel:{user}").as_bytes())?;
        }
    }

    #[test]
    fn digits_have_one_meaning_at_most(digits in likely()) {
        for (spec, plan) in &*PLANS {
            let (every, name) = (every_way::meanings(spec, &digits), plan.name());
            prop_assert!(every.len() <= 1, "{}: {:?}", name, every);
            let reading = read(plan, format!("sip:{digits}@gw")).and_then(Result::ok);
            let assigned = reading.filter(|reading| match reading.kind {
                Kind::International { class, .. } => class != Class::Unassigned,
                Kind::Service(_) | Kind::Emergency => true,
            });
            let one = assigned.map(|reading| (reading.number.to_string(), reading.privacy));
            prop_assert_eq!(every.into_iter().next(), one, "{}", name);
        }
    }

    #[test]
    fn no_bytes_break_the_reader(bytes in prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..80),
        1 => prop::collection::vec(any::<u8>(), 0..2_000),
        1 => prop::collection::vec(prop::sample::select(&b"0123456789+-.();=%x"[..]), 0..700),
    ]) {
        for (_, plan) in &*PLANS {
            for scheme in ["sip:", "tel:", "urn:service:", ""] {
                check_reading(plan, &[scheme.as_bytes(), &bytes, b"@gw"].concat())?;
                check_reading(plan, &[scheme.as_bytes(), &bytes].concat())?;
            }
        }
    }

    #[test]
    fn one_text_has_one_reading(user in dialled(), phone in any::<bool>()) {
        let phone = if phone { ";user=phone" } else { "" };
        for (_, plan) in &*PLANS {
            for text in [format!("sip:{user}@gw{phone}"), format!("tel:{user}")] {
                prop_assert_eq!(read(plan, &text), read(plan, &text));
                // A name for the scheme in capitals changes nothing, nor does the host.
                let other = text.replace("sip:", "SIPS:").replace("tel:", "TEL:");
                let other = other.replace("@gw", "@192.0.2.1:5061");
                prop_assert_eq!(read(plan, &text), read(plan, &other));
            }
        }
    }

    #[test]
    fn every_number_of_the_table_is_read_and_written(
        number in "[1-9][0-9]{6,14}", format in prop::sample::select(&NumberFormat::ALL[..]),
    ) {
        for (_, plan) in &*PLANS {
            let canonical = format!("+{number}");
            check_reading(plan, format!("sip:{canonical}@gw").as_bytes())?;
            if read(plan, format!("sip:{canonical}@gw")).unwrap().is_ok() {
                let user = written(plan, &canonical, format);
                prop_assert_eq!(&judged(plan, format!("sip:{user}@gw")).0, &canonical);
            }
        }
    }
}
