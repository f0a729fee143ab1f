//! Every way in which dialled digits could be read by a plan's file, without the
//! reader's preference for longer prefixes: there must be one at most.

use std::collections::HashSet;

use tollgate::policy::number::Privacy;
use tollgate::policy::numbering::{Class, Numbering};
use tollgate::policy::plan::PlanSpec;

/// Number, and what was asked for the caller's.
pub(crate) type Meaning = (String, Option<Privacy>);

/// The assigned numbers, short codes and emergency numbers that the digits may mean.
pub(crate) fn meanings(spec: &PlanSpec, digits: &str) -> HashSet<Meaning> {
    let mut found = Vec::new();
    after(spec, digits, &mut Vec::new(), &mut found);
    found.into_iter().collect()
}

fn after<'s>(spec: &'s PlanSpec, rest: &str, before: &mut Vec<&'s str>, found: &mut Vec<Meaning>) {
    let one_of = |list: &[String]| {
        before
            .iter()
            .any(|seen| list.iter().any(|text| text == seen))
    };
    let (withheld, shown) = (
        one_of(&spec.before.withhold_caller),
        one_of(&spec.before.show_caller),
    );
    let privacy = withheld
        .then_some(Privacy::Withhold)
        .or(shown.then_some(Privacy::Show));
    if spec.emergency_numbers.iter().any(|n| n == rest) || spec.services.contains_key(rest) {
        found.push((rest.to_owned(), privacy));
    }
    for prefix in &spec.international_prefixes {
        found.extend(
            rest.strip_prefix(&**prefix)
                .and_then(assigned)
                .map(|n| (n, privacy)),
        );
    }
    let code = match spec.country.as_str() {
        "jp" => "81",
        "gb" => "44",
        "de" => "49",
        "us" => "1",
        _ => "",
    };
    let optional = Some(rest).filter(|_| spec.national_optional);
    let prefixed = spec
        .national_prefix
        .as_ref()
        .and_then(|p| rest.strip_prefix(&**p));
    for digits in prefixed.into_iter().chain(optional) {
        found.extend(assigned(&format!("{code}{digits}")).map(|n| (n, privacy)));
    }
    let lists = [
        (&spec.before.withhold_caller, withheld || shown),
        (&spec.before.show_caller, withheld || shown),
        (
            &spec.before.carrier_codes,
            one_of(&spec.before.carrier_codes),
        ),
        (&spec.before.ignored, false),
    ];
    for (list, taken) in lists {
        for text in list {
            let behind = rest.strip_prefix(&**text).filter(|_| !taken);
            if let Some(behind) = behind.filter(|_| !before.contains(&&**text)) {
                before.push(text);
                after(spec, behind, before, found);
                before.pop();
            }
        }
    }
}

fn assigned(digits: &str) -> Option<String> {
    let class = Numbering::builtin().lookup(digits.as_bytes()).class;
    (class != Class::Unassigned).then(|| format!("+{digits}"))
}
