use super::*;
use crate::policy::number::NotANumberKind;

fn jp() -> PlanSpec {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let map = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    PlanSpec {
        name: "jp".into(),
        country: "jp".into(),
        before: BeforeSpec {
            withhold_caller: texts(&["184"]),
            show_caller: texts(&["186"]),
            ..BeforeSpec::default()
        },
        international_prefixes: texts(&["010", "+"]),
        national_prefix: Some("0".into()),
        emergency_numbers: texts(&["110", "118", "119"]),
        emergency_urns: map(&[("sos", "110"), ("sos.fire", "119")]),
        services: map(&[("104", "service.paid")]),
        ..PlanSpec::default()
    }
}

fn read(spec: &PlanSpec, uri: &str) -> Result<String, NotANumberKind> {
    let plan = Plan::new(spec.clone(), Numbering::builtin()).unwrap();
    let uri = Uri::parse(uri.as_bytes()).unwrap();
    let reading = plan.read(&uri, Numbering::builtin());
    reading
        .map(|r| r.number.to_string())
        .map_err(|fault| fault.kind)
}

/// The faults of the Japanese plan with one thing changed: field and value.
fn faults(change: impl FnOnce(&mut PlanSpec)) -> Vec<(&'static str, String)> {
    let mut spec = jp();
    change(&mut spec);
    let faults = Plan::new(spec.clone(), Numbering::builtin())
        .map(|_| ())
        .unwrap_err();
    for fault in &faults {
        assert!(
            !fault.message.is_empty() && !fault.help.is_empty(),
            "{fault:?}"
        );
    }
    faults
        .into_iter()
        .map(|fault| (fault.field, fault.value))
        .collect()
}

fn one(field: &'static str, value: &str) -> Vec<(&'static str, String)> {
    vec![(field, value.to_owned())]
}

#[test]
fn a_whole_plan_has_no_fault() {
    assert_eq!(read(&jp(), "sip:0335571234@gw"), Ok("+81335571234".into()));
}

#[test]
fn a_missing_or_unknown_name_is_a_fault() {
    assert_eq!(faults(|p| p.name.clear()), one("name", ""));
    assert_eq!(faults(|p| p.country = "zz".into()), one("country", "zz"));
    assert_eq!(faults(|p| p.country = "JP".into()), one("country", "JP"));
    assert_eq!(faults(|p| p.country.clear()), one("country", ""));
}

#[test]
fn empty_lists_that_must_not_be_are_faults() {
    let international = faults(|p| p.international_prefixes.clear());
    assert_eq!(international, one("international.prefixes", ""));
    let emergency = faults(|p| {
        p.emergency_numbers.clear();
        p.emergency_urns.clear();
    });
    assert_eq!(emergency, one("emergency.numbers", ""));
    let sos = faults(|p| {
        p.emergency_urns.remove("sos");
    });
    assert_eq!(sos, one("emergency.urn", ""));
}

#[test]
fn what_is_no_digits_is_a_fault() {
    for text in ["", "*184", "１８４", "18 4", "+184", "1234567890123456"] {
        let found = faults(|p| p.before.withhold_caller = vec![text.into()]);
        assert_eq!(found, one("before.withhold_caller", text));
        assert_eq!(
            faults(|p| p.before.show_caller.push(text.into())),
            one("before.show_caller", text)
        );
        let found = faults(|p| p.before.carrier_codes.push(text.into()));
        assert_eq!(found, one("before.carrier_codes", text));
        assert_eq!(
            faults(|p| p.before.ignored.push(text.into())),
            one("before.ignored", text)
        );
        let found = faults(|p| p.international_prefixes.push(text.into()));
        assert_eq!(found, one("international.prefixes", text));
        assert_eq!(
            faults(|p| p.emergency_numbers.push(text.into())),
            one("emergency.numbers", text)
        );
        let found = faults(|p| _ = p.services.insert(text.into(), "service.paid".into()));
        assert_eq!(found, one("services", text));
    }
    assert_eq!(
        faults(|p| p.national_prefix = Some("+0".into())),
        one("national.prefix", "+0")
    );
}

#[test]
fn prefixes_that_overlap_are_faults() {
    let begins = |before: &str| faults(|p| p.before.carrier_codes.push(before.into()));
    let both = |a: (&'static str, &str), b: (&'static str, &str)| {
        vec![(a.0, a.1.to_owned()), (b.0, b.1.to_owned())]
    };
    // Equal strings are at fault on both sides, a prefix only the longer.
    let same = both(
        ("before.withhold_caller", "184"),
        ("before.carrier_codes", "184"),
    );
    assert_eq!(begins("184"), same);
    assert_eq!(begins("1841"), one("before.carrier_codes", "1841"));
    assert_eq!(begins("0101"), one("before.carrier_codes", "0101"));
    // 0033 is behind no national number; 03 is Tokyo, and 0 every number.
    assert_eq!(begins("03"), one("before.carrier_codes", "03"));
    assert_eq!(begins("0120"), one("before.carrier_codes", "0120"));
    let zero = both(("before.carrier_codes", "0"), ("national.prefix", "0"));
    let found = begins("0");
    assert!(zero.iter().all(|fault| found.contains(fault)), "{found:?}");
    let twice = faults(|p| p.international_prefixes.push("010".into()));
    assert_eq!(twice.len(), 2, "{twice:?}");
}

#[test]
fn a_carrier_code_behind_which_no_number_lies_is_fine() {
    let mut spec = jp();
    spec.before.carrier_codes = vec!["0033".into()];
    assert_eq!(
        read(&spec, "sip:0033010442071838750@gw"),
        Ok("+442071838750".into())
    );
    assert_eq!(
        read(&spec, "sip:00330335571234@gw"),
        Ok("+81335571234".into())
    );
}

#[test]
fn an_emergency_number_is_nothing_else() {
    let clash = faults(|p| _ = p.services.insert("119".into(), "service.paid".into()));
    assert_eq!(clash, one("services", "119"));
    assert_eq!(
        faults(|p| p.emergency_numbers.push("110".into())),
        one("emergency.numbers", "110")
    );
    assert_eq!(
        faults(|p| p.emergency_numbers.push("1841".into())),
        one("emergency.numbers", "1841")
    );
    let tokyo = faults(|p| p.emergency_numbers.push("0335571234".into()));
    assert_eq!(tokyo, one("emergency.numbers", "0335571234"));
    let before = faults(|p| p.before.ignored.push("11".into()));
    assert_eq!(
        before.len(),
        3,
        "all three emergency numbers begin with it: {before:?}"
    );
}

#[test]
fn emergency_urns_are_named_and_have_a_number() {
    for name in ["police", "sos.", "SOS", "sos..x", "urn:service:sos"] {
        let found = faults(|p| _ = p.emergency_urns.insert(name.into(), "110".into()));
        assert_eq!(found, one("emergency.urn", name));
    }
    let stranger = faults(|p| _ = p.emergency_urns.insert("sos.police".into(), "112".into()));
    assert_eq!(stranger, one("emergency.urn", "112"));
}

#[test]
fn a_service_has_a_class_of_services() {
    for class in ["paid", "service", "mobile", "premium", "emergency", ""] {
        let found = faults(|p| _ = p.services.insert("177".into(), class.into()));
        assert_eq!(found, one("services", class), "{class}");
    }
}

#[test]
fn a_national_prefix_can_be_left_out_only_where_no_number_begins_with_it() {
    let us = |optional| {
        let mut spec = jp();
        spec.country = "us".into();
        spec.international_prefixes = vec!["011".into(), "+".into()];
        spec.national_prefix = Some("1".into());
        spec.national_optional = optional;
        // 184 and 186 are no area codes, but 1 84… and 1 86… could be dialled.
        spec.before = BeforeSpec::default();
        spec
    };
    assert_eq!(
        read(&us(true), "sip:2125551234@gw"),
        Ok("+12125551234".into())
    );
    assert_eq!(
        read(&us(true), "sip:12125551234@gw"),
        Ok("+12125551234".into())
    );
    assert_eq!(
        read(&us(false), "sip:2125551234@gw"),
        Err(NotANumberKind::NoPrefix)
    );
    let italy = faults(|p| {
        p.country = "it".into();
        p.national_optional = true;
    });
    assert!(
        italy.contains(&("national.optional", "true".into())),
        "{italy:?}"
    );
    let none = faults(|p| {
        p.national_prefix = None;
        p.national_optional = true;
    });
    assert_eq!(none, one("national.optional", "true"));
}

#[test]
fn numbers_dialled_bare_are_read_bare() {
    let mut spec = jp();
    spec.country = "it".into();
    spec.before = BeforeSpec::default();
    spec.international_prefixes = vec!["00".into(), "+".into()];
    spec.national_prefix = Some(String::new());
    spec.emergency_numbers = vec!["112".into()];
    spec.emergency_urns.clear();
    spec.services.clear();
    assert_eq!(read(&spec, "sip:0612345678@gw"), Ok("+390612345678".into()));
    assert_eq!(
        read(&spec, "sip:0039061234567@gw"),
        Ok("+39061234567".into())
    );
    assert_eq!(read(&spec, "sip:112@gw"), Ok("112".into()));
    let plan = Plan::new(spec.clone(), Numbering::builtin()).unwrap();
    let mut out = String::new();
    let number = plan.read(
        &Uri::parse(b"sip:+390612345678@gw").unwrap(),
        Numbering::builtin(),
    );
    plan.write(&number.unwrap().number, NumberFormat::National, &mut out)
        .unwrap();
    assert_eq!(out, "0612345678");
}

#[test]
fn every_fault_is_found_at_once() {
    let found = faults(|p| {
        p.name.clear();
        p.country = "xx".into();
        p.before.show_caller = vec!["#".into()];
        p.international_prefixes.clear();
        _ = p.services.insert("177".into(), "dear".into());
        p.parameters = vec!["a=b".into(), String::new()];
    });
    let fields: Vec<_> = found.iter().map(|(field, _)| *field).collect();
    assert_eq!(
        fields,
        [
            "name",
            "country",
            "before.show_caller",
            "international.prefixes",
            "services",
            "parameters.allowed",
            "parameters.allowed"
        ]
    );
}

#[test]
fn formats_are_read_as_they_are_written() {
    for format in NumberFormat::ALL {
        assert_eq!(NumberFormat::parse(format.as_str()), Some(format));
    }
    assert_eq!(NumberFormat::parse("E164"), None);
}
