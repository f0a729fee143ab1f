//! Time bands: hours of some days of the week, in the tenant's time zone.

use super::WEEK;

const DAY: u32 = 24 * 60;
const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// From one time of the day to another on some days. Where the end is not behind
/// the start, it is that of the next day, whatever day that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Band {
    /// In minutes from midnight.
    from: u32,
    to: u32,
    /// One bit a day, the lowest Monday's.
    days: u8,
}

/// A part of the week, in minutes from Monday, 00:00; the end is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stretch {
    pub start: u32,
    pub end: u32,
}

/// Which cell of a row is at fault, and what it should be.
pub(super) struct BandFault {
    pub column: &'static str,
    pub help: &'static str,
}

const TIME: &str = "a time is written \"08:30\", on the tenant's clock; \"24:00\" can end a band";
const DAYS: &str = "days are mon tue wed thu fri sat sun, with blanks between them or with a dash \
                    from the first to the last: \"mon-fri\", \"sat sun\"";

impl Band {
    /// Reads the cells `from`, `to` and `days`; nothing if all are empty.
    pub(super) fn parse(from: &str, to: &str, days: &str) -> Result<Option<Self>, BandFault> {
        if from.is_empty() && to.is_empty() && days.is_empty() {
            return Ok(None);
        }
        let fault = |column, help| BandFault { column, help };
        let days = if days.is_empty() {
            0x7F
        } else {
            self::days(days).ok_or(fault("days", DAYS))?
        };
        let (from, to) = match (from, to) {
            ("", "") => (0, DAY),
            (from, to) => (
                time(from)
                    .filter(|it| *it < DAY)
                    .ok_or(fault("from", TIME))?,
                time(to).ok_or(fault("to", TIME))?,
            ),
        };
        if from == to {
            let help = "a band ends after it starts; for whole days leave both out";
            return Err(fault("to", help));
        }
        Ok(Some(Self { from, to, days }))
    }

    /// The parts of the week that it is.
    pub(super) fn stretches(self) -> impl Iterator<Item = Stretch> {
        let days = (0..7).filter(move |day| self.days & 1 << day != 0);
        days.flat_map(move |day| {
            let midnight = day * DAY;
            let length = match self.to.checked_sub(self.from) {
                Some(same_day @ 1..) => same_day,
                _ => self.to + DAY - self.from,
            };
            let start = midnight + self.from;
            let end = start + length;
            // Sunday's night ends on Monday.
            let head = Stretch {
                start,
                end: end.min(WEEK),
            };
            let tail = Stretch {
                start: 0,
                end: end.saturating_sub(WEEK),
            };
            [head, tail].into_iter().filter(|it| it.start < it.end)
        })
    }
}

/// "mon 08:30".
pub(super) fn shown(minute: u32) -> String {
    let day = NAMES.get((minute / DAY % 7) as usize).unwrap_or(&"");
    let minute = minute % DAY;
    format!("{day} {:02}:{:02}", minute / 60, minute % 60)
}

fn time(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| {
        let good = (1..=2).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_digit());
        text.parse::<u32>().ok().filter(|_| good)
    };
    let at = number(hours)? * 60 + number(minutes).filter(|it| *it < 60 && minutes.len() == 2)?;
    (at <= DAY).then_some(at)
}

fn days(text: &str) -> Option<u8> {
    let day = |name: &str| NAMES.iter().position(|it| *it == name);
    let mut all = 0;
    for word in text.split_ascii_whitespace() {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let (first, last) = (day(first)?, day(last)?);
        // "fri-mon" goes over the end of the week.
        let length = (last + 7 - first) % 7;
        for at in first..=first + length {
            all |= 1 << (at % 7);
        }
    }
    (all != 0).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretches(from: &str, to: &str, days: &str) -> Vec<String> {
        let band = Band::parse(from, to, days).ok().flatten().unwrap();
        let show = |it: Stretch| format!("{} to {}", shown(it.start), shown(it.end));
        band.stretches().map(show).collect()
    }

    #[test]
    fn a_band_may_cross_midnight_and_the_week() {
        assert_eq!(
            stretches("08:00", "19:30", "wed"),
            ["wed 08:00 to wed 19:30"]
        );
        assert_eq!(
            stretches("22:00", "6:00", "fri"),
            ["fri 22:00 to sat 06:00"]
        );
        assert_eq!(
            stretches("22:00", "06:00", "sun"),
            ["sun 22:00 to mon 00:00", "mon 00:00 to mon 06:00"]
        );
        assert_eq!(stretches("00:00", "24:00", "sat sun").len(), 2);
        assert_eq!(stretches("", "", "fri-mon").len(), 4);
        assert_eq!(
            stretches("12:00", "00:00", "mon"),
            ["mon 12:00 to tue 00:00"]
        );
        assert_eq!(stretches("00:00", "08:00", "").len(), 7);
    }

    #[test]
    fn what_is_no_band_is_refused() {
        for (from, to, days, column) in [
            ("8", "10:00", "", "from"),
            ("24:00", "08:00", "", "from"),
            ("08:00", "24:01", "", "to"),
            ("08:00", "", "", "to"),
            ("", "08:00", "mon", "from"),
            ("08:00", "08:00", "", "to"),
            ("08:5", "09:00", "", "from"),
            ("08:60", "09:00", "", "from"),
            ("", "", "Mon", "days"),
            ("", "", "mon,tue", "days"),
            ("", "", "mon-", "days"),
        ] {
            let fault = Band::parse(from, to, days).err().map(|it| it.column);
            assert_eq!(fault, Some(column), "{from} {to} {days}");
        }
        assert_eq!(Band::parse("", "", "").ok(), Some(None));
    }
}
