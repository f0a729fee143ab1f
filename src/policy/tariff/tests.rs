use jiff::tz::TimeZoneDatabase;
use proptest::prelude::*;

use super::*;
use crate::policy::diagnostic::{Diagnostic, Faults, Source};
use crate::policy::number::{Kind, Number};
use crate::policy::numbering::Numbering;

const HEADING: &str = "destination,setup,per_minute,first_pulse,next_pulse,currency";
const BANDS: &str =
    "destination,setup,per_minute,first_pulse,next_pulse,currency,from,to,days,setup_on,bill_from";

fn compiled(text: &str) -> Result<Tariff, Vec<Diagnostic>> {
    let source = Source {
        name: "x/t.csv".to_owned(),
        text: text.to_owned(),
    };
    let mut faults = Faults::new(vec![&source], false);
    let tariff = read(0, "t", Numbering::builtin(), &mut faults);
    let found = faults.finish();
    if found.is_empty() {
        Ok(tariff)
    } else {
        Err(found)
    }
}

fn tariff(heading: &str, rows: &[&str]) -> Tariff {
    let text = format!("{heading}\n{}\n", rows.join("\n"));
    compiled(&text).unwrap_or_else(|it| panic!("{it:#?}"))
}

/// The faults, each "line:column title | help".
fn faults(heading: &str, rows: &str) -> Vec<String> {
    let found = compiled(&format!("{heading}\n{rows}\n"))
        .err()
        .unwrap_or_default();
    let show = |it: Diagnostic| {
        let help = it.help.unwrap_or_default();
        format!("{}:{} {} | {help}", it.line, it.column, it.title)
    };
    found.into_iter().map(show).collect()
}

fn destination(digits: &str) -> Destination {
    let number = Number::parse_international(digits).unwrap();
    let range = Numbering::builtin().lookup(number.international_digits().unwrap());
    let kind = Kind::International {
        country: range.country,
        class: range.class,
    };
    Destination::new(&number, kind).unwrap()
}

/// What a minute costs there, to a phone system in Japan.
fn minute(tariff: &Tariff, digits: &str) -> Option<String> {
    let price = tariff.price(&destination(digits), Country::parse("jp"));
    price.map(|it| it.dearest(60).to_string())
}

#[test]
fn the_most_specific_row_is_found_as_among_rules() {
    let it = tariff(
        HEADING,
        &[
            "any,0,7,1,1,JPY",
            "international,0,6,1,1,JPY",
            "mobile,0,5,1,1,JPY",
            "gb,0,4,1,1,JPY",
            "gb.mobile,0,3,1,1,JPY",
            "+44 20,0,2,1,1,JPY",
            "+44 20 7,0,1,1,1,JPY",
            "satellite,0,900,1,1,JPY",
        ],
    );
    for (digits, costs) in [
        ("+442071838750", Some("1")),
        ("+442081234567", Some("2")),
        ("+447400123456", Some("3")),
        ("+441612345678", Some("4")),
        ("+819012345678", Some("5")),
        ("+12125551234", Some("6")),
        ("+81335571234", Some("7")),
        ("+881612345678", Some("900")),
        // Only what is named has a price, where it is not of an ordinary class.
        ("+448712345678", None),
        ("+19005551234", None),
        ("+81570123456", None),
        ("+819001234567", None),
    ] {
        assert_eq!(minute(&it, digits).as_deref(), costs, "{digits}");
    }
}

#[test]
fn short_codes_have_the_price_of_their_class() {
    let it = tariff(HEADING, &["service.paid,60,0,1,1,JPY", "any,0,1,1,1,JPY"]);
    let of = |class| {
        let number = Number::short(b"104").unwrap();
        let to = Destination::new(&number, Kind::Service(class)).unwrap();
        it.price(&to, None).map(|it| it.dearest(60).to_string())
    };
    use crate::policy::numbering::Class;
    assert_eq!(of(Class::ServicePaid).as_deref(), Some("60"));
    assert_eq!(of(Class::ServiceForwarding), None);
}

#[test]
fn what_is_begun_is_rounded_up() {
    let it = tariff(HEADING, &["us,5,8,30,6,USD", "jp.fixed,0,2.67,180,180,USD"]);
    let costs = |digits: &str, seconds| {
        let price = it.price(&destination(digits), None).unwrap();
        price.dearest(seconds).to_string()
    };
    for (seconds, money) in [
        (0, "9"),
        (1, "9"),
        (30, "9"),
        (31, "9.8"),
        (36, "9.8"),
        (37, "10.6"),
    ] {
        assert_eq!(costs("+12125551234", seconds), money, "{seconds}");
    }
    for (seconds, money) in [(1, "8.01"), (180, "8.01"), (181, "16.02")] {
        assert_eq!(costs("+81335571234", seconds), money, "{seconds}");
    }
    assert_eq!(costs("+12125551234", u32::MAX).len(), "572662312.6".len());
}

#[test]
fn an_attempt_costs_only_where_the_tariff_says_so() {
    let it = tariff(
        BANDS,
        &[
            "us,5,60,1,1,USD,,,,,",
            "gb,5,60,1,1,USD,,,,attempt,answer",
            "fr,5,60,1,1,USD,,,,answer,invite",
        ],
    );
    let zone = zone("UTC");
    let attempt = |digits: &str| {
        let price = it.price(&destination(digits), None).unwrap();
        let at = Wall::default();
        (
            price.attempt(&zone, at, at, 10).to_string(),
            price.bills_ringing(),
        )
    };
    assert_eq!(attempt("+12125551234"), ("0".to_owned(), false));
    assert_eq!(attempt("+442071838750"), ("5".to_owned(), false));
    assert_eq!(attempt("+33142685300"), ("10".to_owned(), true));
}

fn zone(name: &str) -> Zone {
    Zone::new(TimeZoneDatabase::bundled().get(name).unwrap())
}

#[test]
fn a_band_is_the_tenants_time_of_day() {
    let it = tariff(
        BANDS,
        &[
            "us,0,60,1,1,JPY,22:00,06:00,mon-fri,,",
            "us,0,600,1,1,JPY,,,,,",
        ],
    );
    let price = it.price(&destination("+12125551234"), None).unwrap();
    let tokyo = zone("Asia/Tokyo");
    let costs = |text: &str| {
        let at: jiff::Timestamp = text.parse().unwrap();
        let at = Wall::from_micros(at.as_microsecond());
        price.at_most(&tokyo, at, at, 1).to_string()
    };
    // Thursday 1 January 2026.
    assert_eq!(costs("2026-01-01T21:59:00+09:00"), "10");
    assert_eq!(costs("2026-01-01T22:00:00+09:00"), "1");
    assert_eq!(costs("2026-01-03T05:59:59+09:00"), "1", "Friday's night");
    assert_eq!(costs("2026-01-03T06:00:00+09:00"), "10");
    assert_eq!(costs("2026-01-03T23:00:00+09:00"), "10", "Saturday");
    assert_eq!(costs("2026-01-05T05:00:00+09:00"), "10", "Sunday's night");
    assert_eq!(costs("2026-01-05T22:30:00+09:00"), "1");
    assert_eq!(price.dearest(1).to_string(), "10");
}

#[test]
fn rows_that_contradict_each_other_are_shown() {
    let one = |heading, rows: &str| {
        let mut found = faults(heading, rows);
        assert_eq!(found.len(), 1, "{found:#?}");
        found.remove(0)
    };
    let twice = "us,0,1,1,1,JPY\n+44 20,0,1,1,1,JPY\n+4420,0,2,1,1,JPY";
    assert_eq!(
        one(HEADING, twice),
        "4:1 this destination has a price already | the other is at x/t.csv:3"
    );
    let overlap =
        "us,0,9,1,1,JPY,,,,,\nus,0,1,1,1,JPY,08:00,18:00,,,\nus,0,1,1,1,JPY,22:00,08:01,fri,,";
    assert_eq!(
        one(BANDS, overlap),
        "4:1 this time has a price already | the other is at x/t.csv:3"
    );
    let gap = one(
        BANDS,
        "us,0,1,1,1,JPY,08:00,24:00,,,\nus,0,1,1,1,JPY,00:00,07:59,,,",
    );
    assert!(gap.contains("from mon 07:59 to mon 08:00"), "{gap}");
    let gap = one(BANDS, "us,0,1,1,1,JPY,,,mon-sat,,");
    assert!(gap.contains("from sun 00:00 to mon 00:00"), "{gap}");
    let foreign = one(HEADING, "us,0,1,1,1,JPY\ngb,0,1,1,1,GBP");
    assert_eq!(
        foreign,
        "3:12 `GBP` in a tariff in JPY | x/t.csv:2 says JPY; write one tariff for each currency"
    );
    let whole = "us,0,1,1,1,JPY,08:00,18:00,mon-fri,,\nus,0,2,1,1,JPY,18:00,08:00,mon-fri,,\n\
                 us,0,2,1,1,JPY,,,sat,,\nus,0,2,1,1,JPY,08:00,24:00,sun,,\nus,0,3,1,1,JPY,,,,,";
    let found = one(BANDS, whole);
    assert!(
        found.contains("5:1") || found.contains("4:1"),
        "Friday's night is Saturday's: {found}"
    );
}

#[test]
fn every_cell_is_checked_where_it_stands() {
    let found = faults(
        BANDS,
        " uk , -1 ,1e3,0,3601, yen ,8,9,weekend,never,always\nus,0,1,1,1,JPY",
    );
    let starts: Vec<&str> = found
        .iter()
        .filter_map(|it| it.split(" | ").next())
        .collect();
    assert_eq!(
        starts,
        [
            "2:2 `uk` names no destination",
            "2:7 `-1` is no `setup`",
            "2:11 `1e3` is no `per_minute`",
            "2:15 `0` is no `first_pulse`",
            "2:17 `3601` is no `next_pulse`",
            "2:23 `yen` is no `currency`",
            "2:32 `weekend` is no `days`",
            "2:40 `never` is no `setup_on`",
            "2:46 `always` is no `bill_from`",
            "3:1 6 cells, where the heading has 11",
        ]
    );
    assert!(faults(HEADING, "\"us\",0,1,1,1,JPY")[0].contains("no quotes"));
    assert!(faults(HEADING, "")[0].contains("no rows"));
    assert!(faults("destination,setup", "us,0")[0].contains("`per_minute` is missing"));
}

#[test]
fn files_from_spreadsheets_are_read() {
    let text = format!("\u{FEFF}{HEADING}\r\nus, 0 ,9,6,6,JPY\r\n\r\n# gone\r\n");
    assert_eq!(
        minute(&compiled(&text).unwrap(), "+12125551234").as_deref(),
        Some("9")
    );
}

#[test]
fn the_faults_of_a_tariff_and_its_size_are_bounded() {
    let rows = "us,x,1,1,1,JPY\n".repeat(5_000);
    let found = faults(HEADING, &rows);
    assert_eq!(found.len(), 101);
    assert!(
        found[100].contains("102:1 too many faults"),
        "{}",
        found[100]
    );
    let found = faults(HEADING, &"#".repeat(crate::base::limits::TARIFF_BYTES));
    assert!(found[0].contains("keep the rows"), "{}", found[0]);
}

/// A call as a carrier bills it, second by second.
struct Biller<'t> {
    price: &'t Price<'t>,
    zone: &'t Zone,
    start: i64,
    seconds: u32,
}

impl Biller<'_> {
    /// The rate in force so many seconds into the call.
    fn rate(&self, second: u32) -> &Rate {
        let at = self.start + i64::from(second);
        let local = at + self.zone.offset(Wall::from_micros(at * 1_000_000));
        let minute = (local.div_euclid(60) + 3 * 1_440).rem_euclid(10_080);
        let turns = self.price.turns;
        let turn = turns.iter().rfind(|turn| i64::from(turn.minute) <= minute);
        &self.price.tariff.rates[turn.or(turns.last()).unwrap().rate as usize]
    }

    /// The rate at the start is for all of it.
    fn by_start(&self) -> Money {
        let rate = self.rate(0);
        total(rate.setup, sixtieths(rate, self.seconds))
    }

    /// Each pulse is of the rate at which it begins.
    fn by_pulse(&self) -> Money {
        let (mut sum, mut at) = (0, 0);
        while at < self.seconds.max(1) {
            let rate = self.rate(at);
            let pulse = if at == 0 { rate.first } else { rate.next };
            sum += u128::from(rate.per_minute.millionths()) * u128::from(pulse);
            at += pulse;
        }
        total(self.rate(0).setup, sum)
    }

    /// Billed in pieces, from one change of the rate to the next.
    fn by_piece(&self) -> Money {
        let (mut sum, mut begun) = (0, 0);
        for at in 1..=self.seconds.max(1) {
            let rate = self.rate(begun);
            if at == self.seconds.max(1) || self.rate(at) != rate {
                sum += sixtieths(rate, at - begun);
                begun = at;
            }
        }
        total(self.rate(0).setup, sum)
    }
}

/// What a call costs at one rate, pulse by pulse, times 60.
fn sixtieths(rate: &Rate, seconds: u32) -> u128 {
    let mut billed = rate.first;
    while billed < seconds {
        billed += rate.next;
    }
    u128::from(rate.per_minute.millionths()) * u128::from(billed)
}

fn total(setup: Money, sixtieths: u128) -> Money {
    let time = u64::try_from(sixtieths.div_ceil(60)).unwrap();
    Money::from_millionths(setup.millionths() + time)
}

fn any_rate() -> impl Strategy<Value = String> {
    let pulse = || prop_oneof![Just(1_u32), Just(6), Just(60), Just(180), 1_u32..90];
    (0_u32..300, 0_u32..40_000, pulse(), pulse(), any::<bool>()).prop_map(
        |(setup, minute, first, next, same)| {
            let first = if same { next } else { first };
            let (whole, part) = (minute / 100, minute % 100);
            format!("us,{setup},{whole}.{part:02},{first},{next},JPY")
        },
    )
}

fn any_tariff() -> impl Strategy<Value = Tariff> {
    let rates = || proptest::collection::vec(any_rate(), 4);
    let times = proptest::collection::btree_set(0_u32..1_440, 2..4);
    let days = prop_oneof![Just(""), Just("mon-fri"), Just("sun"), Just("fri-sun")];
    (rates(), times, days, any::<bool>()).prop_map(|(rates, times, days, banded)| {
        let times: Vec<u32> = times.into_iter().collect();
        let shown = |at: u32| format!("{:02}:{:02}", at / 60, at % 60);
        let mut rows = vec![format!("{},,,,,", rates[0])];
        if banded {
            // The last may cross midnight; with one time only it would be a day.
            let ends = times.iter().skip(1).chain(times.first());
            let of_day = times.iter().zip(ends).zip(&rates[1..]);
            // On some days only, what crosses midnight would lie over the next day.
            let count = if days.is_empty() {
                times.len()
            } else {
                times.len() - 1
            };
            rows.extend(of_day.take(count).map(|((from, to), rate)| {
                format!("{rate},{},{},{days},,", shown(*from), shown(*to))
            }));
        }
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        tariff(BANDS, &rows)
    })
}

proptest! {
    #[test]
    fn no_carrier_bills_more_than_the_most(
        tariff in any_tariff(),
        zone_name in prop_oneof![Just("Asia/Tokyo"), Just("Europe/Paris"), Just("America/St_Johns")],
        // Among them the nights in which clocks are changed.
        start in prop_oneof![
            1_700_000_000_i64..1_800_000_000,
            1_774_700_000_i64..1_774_800_000,
            1_792_850_000_i64..1_792_950_000,
        ],
        early in 0_u32..300,
        late in 0_u32..300,
        seconds in prop_oneof![0_u32..200, 0_u32..20_000],
    ) {
        let zone = zone(zone_name);
        let price = tariff.price(&destination("+12125551234"), None).unwrap();
        let biller = Biller { price: &price, zone: &zone, start, seconds };
        let wall = |at: i64| Wall::from_micros(at * 1_000_000);
        let (from, until) = (start - i64::from(early), start + i64::from(seconds) + i64::from(late));
        let most = price.at_most(&zone, wall(from), wall(until), seconds);
        for bill in [biller.by_start(), biller.by_pulse(), biller.by_piece()] {
            prop_assert!(bill <= most, "{bill} of {most}");
        }
        prop_assert!(most <= price.dearest(seconds));
        prop_assert!(price.attempt(&zone, wall(from), wall(until), seconds) == Money::ZERO);
        if price.turns.len() == 1 {
            prop_assert_eq!(most, biller.by_start());
        }
        // A longer call, or more room for it, never costs less.
        prop_assert!(most <= price.at_most(&zone, wall(from), wall(until), seconds + 1));
        prop_assert!(most <= price.at_most(&zone, wall(from - 60), wall(until + 60), seconds));
    }
}
