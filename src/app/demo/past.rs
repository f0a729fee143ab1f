//! The attack of 2015 against the controls of 2015, and against these rules: in
//! virtual time, because it went on for four days.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::time::{Mono, Now, Wall};
use crate::policy::{Counters, Facts, TenantId, Verdict};
use crate::sip::name_addr::NameAddr;
use crate::sip::uri::Uri;

use super::gate::{self, Places};
use super::script::FORMS;

/// About so many calls one victim's telephone made.
pub(super) const CALLS: u64 = 14_000;

/// In so many days.
pub(super) const DAYS: u64 = 4;

/// What each cost: 30 s at ¥350 a minute.
pub(super) const YEN: u64 = 175;

const TALK_MS: u64 = 30_000;
const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 86_400_000;

/// When of a day the calls are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hours {
    /// All day long.
    All,
    /// In twelve hours of it, while nobody is at the office.
    Nights,
}

/// When each call begins, evenly spread, in ms.
fn times(hours: Hours) -> impl Iterator<Item = u64> {
    let per_day = CALLS / DAYS;
    let open = match hours {
        Hours::All => DAY_MS,
        Hours::Nights => DAY_MS / 2,
    };
    (0..CALLS).map(move |n| n / per_day * DAY_MS + n % per_day * open / per_day)
}

/// How many of the calls a telephone system lets through that allows so many a
/// minute (in any 60 s) and so many at once. A refused call is not tried again.
pub(super) fn capped(hours: Hours, a_minute: usize, at_once: usize) -> u64 {
    let (mut minute, mut live) = (VecDeque::new(), VecDeque::new());
    let mut through = 0;
    for now in times(hours) {
        let old = |begun: &u64| begun + MINUTE_MS <= now;
        while minute.pop_front_if(|begun| old(begun)).is_some() {}
        while live.pop_front_if(|begun| *begun + TALK_MS <= now).is_some() {}
        if minute.len() < a_minute && live.len() < at_once {
            minute.push_back(now);
            live.push_back(now);
            through += 1;
        }
    }
    through
}

/// How many of the calls get past a block on numbers that begin with 010, if
/// `front` is dialled in front of each.
pub(super) fn blocked(front: &str) -> u64 {
    let dialled = format!("{front}01023276003100");
    let passes = !dialled.starts_with("010");
    times(Hours::All)
        .filter(|_| passes)
        .count()
        .try_into()
        .unwrap_or(u64::MAX)
}

/// How many of the calls the rules of this demo let through, dialled in every
/// way that it knows, in turn.
///
/// # Errors
/// One line: a defect of the program.
pub(super) fn judged(places: &Places) -> Result<u64, String> {
    let counters = Counters::new();
    let rules = gate::rules(places, &counters)?;
    let from = NameAddr::parse(b"<sip:+81335570066@127.0.0.3>;tag=1")
        .map_err(|fault| format!("the demo's own From is broken: {fault:?}"))?;
    let (mut through, mut held) = (0, Vec::new());
    for ((n, at), form) in times(Hours::All).enumerate().zip(FORMS.iter().cycle()) {
        let (text, _) = form.uris(n);
        // What is no URI is refused before any rule is asked.
        let Ok(request_uri) = Uri::parse(text.as_bytes()) else {
            continue;
        };
        let facts = Facts {
            tenant: TenantId(0),
            request_uri,
            source: [127, 0, 0, 3].into(),
            pai: None,
            ppi: None,
            from,
            forwarded_by: &[],
            privacy: false,
        };
        let now = Now {
            mono: Mono::from_nanos(1) + Duration::from_millis(at),
            wall: Wall::from_micros(i64::try_from(at).unwrap_or(i64::MAX).saturating_mul(1_000)),
        };
        if let Verdict::Allow(allowed) | Verdict::Emergency(allowed) = rules.judge(&facts, now) {
            through += 1;
            held.push(allowed.hold);
        }
    }
    Ok(through)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caps_of_that_day_let_it_through() {
        assert_eq!(capped(Hours::All, 10, 2), CALLS);
        assert_eq!(capped(Hours::All, 10, 1), CALLS / 2);
        assert_eq!(capped(Hours::Nights, 10, 3), CALLS);
        let two_at_night = capped(Hours::Nights, 10, 2);
        assert!((CALLS / 2..CALLS).contains(&two_at_night), "{two_at_night}");
        assert_eq!(capped(Hours::All, 1, 3), CALLS / 3 + 1);
    }

    #[test]
    fn a_symbol_gets_past_a_block_on_what_it_begins_with() {
        assert_eq!((blocked(""), blocked("*")), (0, CALLS));
    }

    #[test]
    fn these_rules_let_nothing_through() {
        let at = "127.0.0.3:5060".parse().unwrap();
        let places = Places {
            pbx: at,
            tollgate: "127.0.0.1:5060".parse().unwrap(),
            carrier: "127.0.0.2:5060".parse().unwrap(),
        };
        assert_eq!(judged(&places), Ok(0));
    }
}
