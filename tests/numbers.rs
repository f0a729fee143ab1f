//! What is dialled, and the one number that it means: the shipped dial plans
//! against known cases, evasions, and whatever proptest finds.

#![cfg(test)]

use std::collections::BTreeMap;
use std::hint::black_box;

use tollgate::policy::number::{Kind, NotANumber, NotANumberKind, Number, Privacy, Reading};
use tollgate::policy::numbering::{Country, Numbering};
use tollgate::policy::plan::{BeforeSpec, NumberFormat, Plan, PlanSpec};
use tollgate::sip::uri::Uri;

#[path = "numbers/allocations.rs"]
mod allocations;
#[path = "numbers/cases.rs"]
mod cases;
#[path = "evasions/table.rs"]
mod evasions;
#[path = "numbers/every_way.rs"]
mod every_way;
#[path = "numbers/properties.rs"]
mod properties;

/// A shipped plan's file, with the tables of `more` laid over it.
fn spec_with(name: &str, more: &str) -> PlanSpec {
    let file = format!("{}/policies/plans/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let mut table: toml::Table = std::fs::read_to_string(file).unwrap().parse().unwrap();
    for (key, value) in more.parse::<toml::Table>().unwrap() {
        table.insert(key, value);
    }
    spec(&table)
}

fn plan_with(name: &str, more: &str) -> Plan {
    let plan = Plan::new(spec_with(name, more), Numbering::builtin());
    plan.unwrap_or_else(|faults| panic!("{faults:#?}"))
}

fn plan(name: &str) -> Plan {
    plan_with(name, "")
}

fn spec(table: &toml::Table) -> PlanSpec {
    let at = |path: &[&str]| {
        let mut value = toml::Value::Table(table.clone());
        for key in path {
            value = value.get(key)?.clone();
        }
        Some(value)
    };
    let text = |path: &[&str]| at(path).map(|v| v.as_str().unwrap().to_owned());
    let list = |path: &[&str]| -> Vec<String> {
        let values = at(path)
            .map(|v| v.as_array().unwrap().clone())
            .unwrap_or_default();
        values
            .iter()
            .map(|v| v.as_str().unwrap().to_owned())
            .collect()
    };
    let map = |path: &[&str]| -> BTreeMap<String, String> {
        let values = at(path)
            .map(|v| v.as_table().unwrap().clone())
            .unwrap_or_default();
        values
            .iter()
            .map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned()))
            .collect()
    };
    PlanSpec {
        name: text(&["name"]).unwrap(),
        country: text(&["country"]).unwrap_or_default(),
        before: BeforeSpec {
            withhold_caller: list(&["before", "withhold_caller"]),
            show_caller: list(&["before", "show_caller"]),
            carrier_codes: list(&["before", "carrier_codes"]),
            ignored: list(&["before", "ignored"]),
        },
        international_prefixes: list(&["international", "prefixes"]),
        national_prefix: text(&["national", "prefix"]),
        national_optional: at(&["national", "optional"]).is_some_and(|v| v.as_bool().unwrap()),
        emergency_numbers: list(&["emergency", "numbers"]),
        emergency_urns: map(&["emergency", "urn"]),
        services: map(&["services"]),
        parameters: list(&["parameters", "allowed"]),
    }
}

/// Reads a whole URI; what the URI's own grammar refuses is `None`.
fn read(plan: &Plan, uri: impl AsRef<[u8]>) -> Option<Result<Reading, NotANumber>> {
    let uri = Uri::parse(uri.as_ref()).ok()?;
    Some(plan.read(&uri, Numbering::builtin()))
}

/// "jp.fixed", "emergency", "service.paid"; or the name of the fault.
fn judged(plan: &Plan, uri: impl AsRef<[u8]>) -> (String, String) {
    match read(plan, uri) {
        None => ("-".into(), "uri".into()),
        Some(Err(fault)) => ("-".into(), fault.kind.as_str().into()),
        Some(Ok(reading)) => (reading.number.to_string(), place(reading.kind)),
    }
}

fn place(kind: Kind) -> String {
    match kind {
        Kind::Emergency => "emergency".into(),
        Kind::Service(class) => class.to_string(),
        Kind::International { country, class } => {
            format!("{}.{class}", country.as_ref().map_or("-", Country::as_str))
        }
    }
}

#[test]
fn what_is_dialled_in_japan_has_one_meaning() {
    let plan = plan("jp");
    for (uri, canonical, place) in cases::JP {
        assert_eq!(
            judged(&plan, uri),
            ((*canonical).into(), (*place).into()),
            "{uri}"
        );
    }
}

#[test]
fn other_plans_read_their_own_way() {
    for (name, cases) in [
        ("gb", cases::GB),
        ("de", cases::DE),
        ("nanp", cases::NANP),
        ("e164", cases::E164),
    ] {
        let plan = plan(name);
        for (uri, canonical, place) in cases {
            assert_eq!(
                judged(&plan, uri),
                ((*canonical).into(), (*place).into()),
                "{name}: {uri}"
            );
        }
    }
}

#[test]
fn every_evasion_is_read_as_it_says() {
    let mut wrong = Vec::new();
    for name in evasions::PLANS {
        let plan = plan(name);
        for line in evasions::read(name) {
            let (number, what) = judged(&plan, &line.request_uri);
            let agree = match &*line.why {
                "-" => line.canonical.is_empty() || number == line.canonical,
                _ if line.leaves() => false,
                why => (number.as_str(), what.as_str()) == ("-", why),
            };
            if !agree {
                wrong.push(format!("{}: {number} {what}", line.show()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A buffer of fixed size to write into.
struct Fixed([u8; 80], usize);

impl std::fmt::Write for Fixed {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.1 + text.len();
        self.0
            .get_mut(self.1..end)
            .ok_or(std::fmt::Error)?
            .copy_from_slice(text.as_bytes());
        self.1 = end;
        Ok(())
    }
}

#[test]
fn reading_and_writing_allocate_nothing() {
    let plan = plan("jp");
    let numbering = Numbering::builtin();
    assert_eq!(
        allocations::of(|| drop(black_box(Box::new(1)))),
        1,
        "the count works"
    );
    let cases = cases::JP.iter().map(|(uri, ..)| uri.as_bytes());
    let evasions = evasions::read("jp");
    for text in cases.chain(evasions.iter().map(|line| &*line.request_uri)) {
        let Ok(uri) = Uri::parse(text) else { continue };
        let found = allocations::of(|| {
            if let Ok(reading) = black_box(plan.read(&uri, numbering)) {
                let mut out = Fixed([0; 80], 0);
                plan.write(&reading.number, NumberFormat::National, &mut out)
                    .unwrap();
                black_box(&out);
            }
        });
        assert_eq!(found, 0, "{}", text.escape_ascii());
    }
}

/// Codes in front of the number that the shipped Japanese plan does not take.
const CARRIERS: &str = "before = { withhold_caller = [\"184\"], show_caller = [\"186\"], \
    carrier_codes = [\"0033\", \"0041\"], ignored = [\"122\"] }";

#[test]
fn what_stands_in_front_may_stand_there_once_in_any_order() {
    let plan = plan_with("jp", CARRIERS);
    let number = "010442071838750";
    let parts = ["184", "122", "0033"];
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        for take in 0..=3 {
            let before: String = order.iter().take(take).map(|at| parts[*at]).collect();
            let reading = read(&plan, format!("sip:{before}{number}@gw"))
                .unwrap()
                .unwrap();
            assert_eq!(reading.number.as_str(), "+442071838750", "{before}");
            let withheld = before.contains("184").then_some(Privacy::Withhold);
            assert_eq!(reading.privacy, withheld, "{before}");
            for again in order.iter().take(take) {
                let uri = format!("sip:{before}{}{number}@gw", parts[*again]);
                assert_eq!(judged(&plan, &uri).1, "repeated", "{uri}");
            }
        }
    }
    for (uri, fault) in [
        ("sip:00330041010442071838750@gw", "repeated"),
        ("sip:0033184186010442071838750@gw", "shown-and-withheld"),
        ("sip:184122186010442071838750@gw", "shown-and-withheld"),
        ("sip:0061010442071838750@gw", "no-prefix"),
        ("sip:0033@gw", "empty"),
        ("sip:0033442071838750@gw", "no-prefix"),
    ] {
        assert_eq!(judged(&plan, uri), ("-".into(), fault.into()), "{uri}");
    }
    for uri in ["sip:0033110@gw", "sip:1220033184110@gw", "sip:122110@gw"] {
        assert_eq!(judged(&plan, uri).1, "emergency", "{uri}");
    }
}

#[test]
fn privacy_is_what_stood_in_front() {
    let plan = plan("jp");
    for (uri, privacy) in [
        ("sip:0335571234@gw", None),
        ("sip:1840335571234@gw", Some(Privacy::Withhold)),
        ("sip:1860335571234@gw", Some(Privacy::Show)),
        ("sip:184110@gw", Some(Privacy::Withhold)),
        ("urn:service:sos", None),
    ] {
        assert_eq!(read(&plan, uri).unwrap().unwrap().privacy, privacy, "{uri}");
    }
}

#[test]
fn a_parameter_passes_where_the_plan_lists_it() {
    let plan = plan_with(
        "jp",
        "parameters = { allowed = [\"cpc\", \"phone-context\"] }",
    );
    for (uri, canonical) in [
        ("sip:0335571234;cpc=ordinary@gw", "+81335571234"),
        ("sip:0335571234;CPC=ordinary@gw", "+81335571234"),
        ("tel:+442071838750;cpc=ordinary", "+442071838750"),
        ("tel:0335571234;phone-context=+81", "+81335571234"),
        (
            "sip:0335571234;phone-context=+81;cpc=x@gw;user=phone",
            "+81335571234",
        ),
        ("tel:104;phone-context=+81", "104"),
    ] {
        assert_eq!(judged(&plan, uri).0, canonical, "{uri}");
    }
    for (uri, fault) in [
        ("sip:0335571234;cpc=ordinary;rn=+1@gw", "parameter"),
        ("tel:0335571234;phone-context=+44", "context"),
        ("tel:7042;phone-context=+8133557", "context"),
        ("tel:+81335571234;phone-context=+81", "context"),
        ("sip:184+81335571234;phone-context=+81@gw", "context"),
        ("tel:0335571234;cpc=ordinary", "no-context"),
    ] {
        assert_eq!(judged(&plan, uri), ("-".into(), fault.into()), "{uri}");
    }
}

/// However much is sent, only so much of it is looked at.
#[test]
fn what_is_longer_than_any_number_is_not_read() {
    let plan = plan_with("jp", "parameters = { allowed = [\"cpc\"] }");
    let dashes = |count| "-".repeat(count);
    let params = |count| ";cpc=ordinary".repeat(count);
    let close = read(&plan, format!("tel:+44{}2071838750", dashes(497))).unwrap();
    assert!(close.is_ok(), "{close:?}");
    let close = read(&plan, format!("sip:110{}@gw", params(38))).unwrap();
    assert!(close.is_ok(), "{close:?}");
    for text in [
        format!("tel:+44{}2071838750", dashes(500)),
        format!("tel:+44{}2071838750", dashes(60_000)),
        format!("tel:+442071838750{}", params(40)),
        format!("sip:+44{}2071838750@gw;user=phone", dashes(600)),
        format!("sip:+442071838750{}@gw", params(4_000)),
        format!("sip:{}@gw", "0".repeat(60_000)),
        format!("sip:{}@gw", "%30".repeat(200)),
        format!("urn:service:sos{}", ".a".repeat(30_000)),
    ] {
        let fault = read(&plan, &text).unwrap().unwrap_err();
        let expected = (NotANumberKind::Length, 512);
        assert_eq!((fault.kind, fault.at), expected, "{text:.60}");
    }
    // Parameters of the URI are not the number's: digits mean what they mean before.
    let many = ";x=y".repeat(10_000);
    let far = |user: &str| read(&plan, format!("sip:{user}@gw{many};user=phone")).unwrap();
    assert!(far("+442071838750").is_ok() && far("110").is_ok());
    assert_eq!(
        far("+44-2071838750").unwrap_err().kind,
        NotANumberKind::Separator
    );
}

#[test]
fn a_fault_says_where() {
    let plan = plan("jp");
    for (uri, kind, at) in [
        ("sip:*010@gw", NotANumberKind::NotADigit, 0),
        ("sip:0335571234*@gw", NotANumberKind::NotADigit, 10),
        ("sip:%303%2A@gw", NotANumberKind::NotADigit, 4),
        ("sip:184186110@gw", NotANumberKind::ShownAndWithheld, 3),
        ("sip:1840033010@gw", NotANumberKind::NoPrefix, 3),
        ("sip:+810335571234@gw", NotANumberKind::TrunkPrefix, 3),
        ("sip:010810335571234@gw", NotANumberKind::TrunkPrefix, 5),
        ("sip:+44+20@gw", NotANumberKind::Plus, 3),
        ("sip:0335571234;isub=1@gw", NotANumberKind::Parameter, 11),
        ("sip:0335571234;@gw", NotANumberKind::Parameter, 11),
        ("tel:+44;rn=1", NotANumberKind::Parameter, 4),
        ("sip:0335571234:x@gw", NotANumberKind::Password, 10),
        ("sip:033557123@gw", NotANumberKind::Length, 9),
        ("urn:service:sos.-x", NotANumberKind::Urn, 16),
    ] {
        let fault = read(&plan, uri).unwrap().unwrap_err();
        assert_eq!((fault.kind, fault.at), (kind, at), "{uri}");
        assert!(fault.to_string().starts_with(kind.sentence()));
    }
}

fn written(plan: &Plan, number: &str, format: NumberFormat) -> String {
    let number = match number.strip_prefix('+') {
        Some(digits) => Number::international(digits.as_bytes()).unwrap(),
        None => read(plan, number).unwrap().unwrap().number,
    };
    let mut out = String::new();
    plan.write(&number, format, &mut out).unwrap();
    out
}

#[test]
fn the_user_part_is_written_afresh() {
    use NumberFormat::{E164, International, National};
    for (name, number, format, text) in [
        ("jp", "+442071838750", E164, "+442071838750"),
        ("jp", "+442071838750", National, "010442071838750"),
        ("jp", "+442071838750", International, "010442071838750"),
        ("jp", "+81335571234", E164, "+81335571234"),
        ("jp", "+81335571234", National, "0335571234"),
        ("jp", "+81335571234", International, "01081335571234"),
        // 0 and this would be dialled to +1 and +44.
        ("jp", "+8110123456789", National, "0108110123456789"),
        ("jp", "+811044207183", National, "010811044207183"),
        ("jp", "sip:184110@gw", E164, "110"),
        ("jp", "sip:110@gw", National, "110"),
        ("jp", "sip:117@gw", International, "117"),
        ("jp", "urn:service:sos", E164, "110"),
        ("jp", "urn:service:sos.fire", E164, "119"),
        ("jp", "urn:service:sos.marine", National, "118"),
        ("jp", "urn:service:sos.ambulance.x", E164, "119"),
        ("jp", "urn:service:sos.mountain", E164, "110"),
        ("gb", "+442071838750", National, "02071838750"),
        ("gb", "+441481256789", National, "01481256789"),
        ("nanp", "+12125551234", National, "12125551234"),
        ("nanp", "+18769221234", National, "18769221234"),
        ("nanp", "+442071838750", National, "011442071838750"),
        ("nanp", "urn:service:sos.fire", E164, "911"),
        ("e164", "+442071838750", National, "+442071838750"),
        ("e164", "+442071838750", International, "+442071838750"),
    ] {
        assert_eq!(
            written(&plan(name), number, format),
            text,
            "{name} {number} {format:?}"
        );
    }
}

#[test]
fn short_codes_and_urns_are_no_international_numbers() {
    let plan = plan("jp");
    let number = |uri: &str| read(&plan, uri).unwrap().unwrap().number;
    assert_eq!(number("sip:110@gw").international_digits(), None);
    assert_eq!(
        number("sip:0335571234@gw").international_digits(),
        Some(&b"81335571234"[..])
    );
    assert!(number("urn:service:sos.fire").is_urn());
    assert_eq!(
        plan.number_for_urn(&number("urn:service:sos.fire")),
        Some("119")
    );
    assert_eq!(plan.number_for_urn(&number("sip:110@gw")), None);
}
