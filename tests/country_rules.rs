//! What a country in a rule covers, over the whole numbering table: ordinary numbers
//! of that country, and none else. Dear classes must be named.

#![cfg(test)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZoneDatabase;
use tollgate::policy::numbering::{Class, Country, Numbering};
use tollgate::policy::{
    Counters, Decision, Facts, Options, RuleSet, Source, Sources, TenantId, compile,
};
use tollgate::sip::name_addr::NameAddr;
use tollgate::sip::uri::Uri;

const TABLE: &str = include_str!("../policies/numbering/table.tsv");

/// A range of the table, with numbers of every length in it: its first and its last.
struct Range {
    country: Option<Country>,
    class: Class,
    numbers: Vec<String>,
}

fn ranges() -> Vec<Range> {
    let rows = TABLE
        .lines()
        .filter(|row| row.starts_with(|c: char| c.is_ascii_digit()));
    rows.map(range).collect()
}

fn range(row: &str) -> Range {
    let fields: Vec<_> = row.split('\t').collect();
    let [prefix, country, class, lengths] = fields[..] else {
        panic!("{row}");
    };
    let lengths = lengths.split(',').flat_map(|part| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        from.parse::<usize>().unwrap()..=to.parse().unwrap()
    });
    let (first, last) = (filled(prefix, '0'), filled(prefix, '9'));
    let numbers = lengths.flat_map(|length| {
        [(&first, '0'), (&last, '9')].map(|(start, digit)| {
            let missing = length.checked_sub(start.len()).unwrap();
            format!("{start}{}", digit.to_string().repeat(missing))
        })
    });
    Range {
        country: Country::parse(country),
        class: Class::parse(class).unwrap(),
        numbers: numbers.collect(),
    }
}

/// The prefix's first digits for 0, its last for 9.
fn filled(prefix: &str, digit: char) -> String {
    let mut out = String::new();
    let mut rest = prefix;
    while let Some(first) = rest.chars().next() {
        rest = &rest[1..];
        out.push(match first {
            'x' => digit,
            '[' => {
                let (set, behind) = rest.split_once(']').unwrap();
                rest = behind;
                let end = if digit == '0' {
                    set.chars().next()
                } else {
                    set.chars().last()
                };
                end.unwrap()
            }
            digit => digit,
        });
    }
    out
}

/// A tenant for each of these lists of destinations, in this order, which it allows
/// and nothing else.
fn rules(lists: &[String]) -> RuleSet {
    let source = |name: String, text: String| Source { name, text };
    let tenants = lists.iter().enumerate().map(|(at, list)| {
        let (third, fourth) = (at / 256, at % 256);
        let text = format!(
            "name = \"t{at:03}\"\nplan = \"e164\"\ntime_zone = \"UTC\"\ncarriers = [\"upstream\"]\n\
             [identify]\nsources = [\"127.1.{third}.{fourth}/32\"]\n\
             [callers]\nown = [\"+81335570{at:03}\"]\notherwise = \"replace\"\ndefault = \"+81335570{at:03}\"\n\
             [destinations]\nallow = [{list}]\n"
        );
        source(format!("tenants/t{at:03}.toml"), text)
    });
    let plan = include_str!("../policies/plans/e164.toml");
    let main = "[[listen]]\naddress = \"udp:127.0.0.1:5060\"\n[[carrier]]\nname = \"upstream\"\n\
        address = \"udp:127.0.0.2:5070\"\nsources = [\"127.0.0.2/32\"]\nnumber_format = \"e164\"\n";
    let sources = Sources {
        main: source("tollgate.toml".into(), main.into()),
        tenants: tenants.collect(),
        plans: vec![source("plans/e164.toml".into(), plan.into())],
        numbering: None,
        tariffs: Vec::new(),
    };
    let zones = TimeZoneDatabase::bundled();
    compile(&sources, Options::default(), &zones, &Counters::new())
        .unwrap_or_else(|faults| panic!("{faults:#?}"))
}

/// Whether the tenant's call to this number is let go.
fn allowed(rules: &RuleSet, tenant: usize, number: &str) -> bool {
    let uri = format!("sip:+{number}@gw");
    let facts = Facts {
        tenant: TenantId(u32::try_from(tenant).unwrap()),
        request_uri: Uri::parse(uri.as_bytes()).unwrap(),
        source: [127, 0, 0, 3].into(),
        pai: None,
        ppi: None,
        from: NameAddr::parse(b"<sip:+81335570000@pbx>;tag=1").unwrap(),
        forwarded_by: &[],
        privacy: false,
    };
    match rules.decide(&facts) {
        Decision::Emergency(_) => panic!("{number} is no emergency"),
        Decision::Allow(_) => true,
        Decision::Observe(..) | Decision::Refuse(..) => false,
    }
}

#[test]
fn a_country_covers_its_ordinary_numbers_and_no_others() {
    let numbering = Numbering::builtin();
    let countries: Vec<Country> = numbering.countries().collect();
    let quoted = |text: &dyn std::fmt::Display| format!("\"{text}\"");
    let mut lists: Vec<String> = countries.iter().map(|it| quoted(it)).collect();
    let wide = lists.len();
    let each = lists.join(", ");
    lists.extend([each, quoted(&"international"), quoted(&"any")]);
    let rules = rules(&lists);
    let (mut calls, mut ordinary) = (0_usize, BTreeSet::new());
    let mut dear = BTreeMap::<&str, BTreeSet<Option<Country>>>::new();
    for Range {
        country,
        class,
        numbers,
    } in ranges()
    {
        let own = country.and_then(|it| countries.binary_search(&it).ok());
        for number in &numbers {
            let found = numbering.lookup(number.as_bytes());
            assert_eq!((found.country, found.class), (country, class), "{number}");
            for tenant in own.into_iter().chain(wide..wide + 3) {
                calls += 1;
                let goes = allowed(&rules, tenant, number);
                // What belongs to no country only "any" covers.
                let covered = country.is_some() || tenant == wide + 2;
                let list = &lists[tenant];
                assert_eq!(
                    goes,
                    covered && class.is_ordinary(),
                    "+{number}, {class:?}: {list}"
                );
            }
            // And one of the other countries' rules, another one each time.
            let other = calls % wide;
            if Some(other) != own {
                assert!(
                    !allowed(&rules, other, number),
                    "+{number}: {}",
                    lists[other]
                );
            }
        }
        match class.is_ordinary() {
            true => drop(ordinary.insert(country)),
            false => drop(dear.entry(class.as_str()).or_default().insert(country)),
        }
    }
    println!(
        "{calls} calls, to {} countries; dear classes:",
        ordinary.len()
    );
    for (class, countries) in &dear {
        println!("{class:<12} in {:>3} countries: 0 allowed", countries.len());
    }
    assert!(ordinary.len() >= 240, "{}", ordinary.len());
    assert!(
        dear["premium"].len() >= 100 && dear["personal"].len() >= 15,
        "{dear:?}"
    );
}
