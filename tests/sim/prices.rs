//! What the carriers charge: the same figures as a tariff's rows for the core,
//! and as a naive reckoning for the carriers' own bills.

use crate::dial::Group;
use crate::rng::Rng;

/// Groups that have a price, and how rows name them.
pub const PRICED: [(Group, &str); 4] = [
    (Group::JpFixed, "jp.fixed"),
    (Group::JpMobile, "jp.mobile"),
    (Group::Us, "us"),
    (Group::London, "+44 20"),
];

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Millionths of a yen.
    pub setup: u64,
    pub minute: u64,
    /// Seconds.
    pub first: u64,
    pub next: u64,
}

/// What calls of a group cost.
#[derive(Clone, Copy, Debug)]
pub struct Price {
    pub usual: Rate,
    /// Another rate from one hour and minute of the day to another, in minutes.
    pub band: Option<(u64, u64, Rate)>,
    pub setup_on_attempt: bool,
    pub from_invite: bool,
}

/// All of a carrier's prices, and what calls to a tenant's own numbers cost it, if they
/// cost anything.
#[derive(Clone, Copy, Debug)]
pub struct Prices(pub [Price; PRICED.len()], pub Option<Price>);

/// The columns of a tariff.
const COLUMNS: &str = "destination,setup,per_minute,first_pulse,next_pulse,currency,from,to,days,setup_on,bill_from\n";

impl Rate {
    fn draw(rng: &mut Rng) -> Self {
        let yen = [0, 267, 900, 1_600, 3_500, 11_200, 35_000];
        let first = *rng.pick(&[1, 6, 30, 60, 180]);
        Self {
            setup: *rng.pick(&[0, 0, 0, 1_000_000, 8_333_333]),
            minute: *rng.pick(&yen) * 10_000 + rng.below(2) * rng.below(1_000_000),
            first,
            next: *rng.pick(&[1, 6, first]),
        }
    }

    fn max(self, other: Self) -> Self {
        Self {
            setup: self.setup.max(other.setup),
            minute: self.minute.max(other.minute),
            ..self
        }
    }

    fn raised(self, percent: u64) -> Self {
        Self {
            setup: self.setup * percent / 100,
            minute: self.minute * percent / 100,
            ..self
        }
    }
}

impl Price {
    fn draw(rng: &mut Rng) -> Self {
        let usual = Rate::draw(rng);
        // Both begin while calls are up: at midnight, or soon after noon.
        let bands = [(0, 360), (12 * 60 + 4, 18 * 60)];
        let band = rng.permille(400).then(|| {
            let (from, to) = *rng.pick(&bands);
            (from, to, Rate::draw(rng))
        });
        Self {
            usual,
            band,
            setup_on_attempt: rng.permille(150),
            from_invite: rng.permille(150),
        }
    }

    /// The rate at a second of civil time in Tokyo.
    fn at(&self, second: i64) -> Rate {
        let minute = second.div_euclid(60).rem_euclid(24 * 60) as u64;
        match self.band {
            Some((from, to, rate)) if (from..to).contains(&minute) => rate,
            _ => self.usual,
        }
    }

    /// What a carrier writes on its bill for a call from this second of civil time
    /// that lasts so long: by the rate at its start, or at each pulse's.
    pub fn charge(&self, start: i64, seconds: u64, by_pulse: bool) -> u64 {
        let first = self.at(start);
        let mut sixtieths = u128::from(first.minute) * u128::from(first.first);
        let mut billed = first.first;
        while billed < seconds {
            let rate = if by_pulse {
                self.at(start + billed as i64)
            } else {
                first
            };
            sixtieths += u128::from(rate.minute) * u128::from(rate.next);
            billed += rate.next;
        }
        first.setup + (sixtieths / 60) as u64
    }

    /// What it writes for an attempt that nobody answered.
    pub fn attempt(&self, start: i64, seconds: u64, by_pulse: bool) -> u64 {
        let setup = self.at(start).setup;
        let ringing = match self.from_invite {
            true => self.charge(start, seconds, by_pulse) - setup,
            false => 0,
        };
        ringing + if self.setup_on_attempt { setup } else { 0 }
    }

    /// More than any way of billing comes to.
    pub fn dearest(&self, seconds: u64) -> u64 {
        let rates = || {
            [Some(self.usual), self.band.map(|band| band.2)]
                .into_iter()
                .flatten()
        };
        let most = |of: fn(Rate) -> u64| rates().map(of).max().unwrap_or(0);
        let pulse = most(|rate| rate.first).max(most(|rate| rate.next));
        let time = most(|rate| rate.minute) * (seconds + 4 * pulse + 4) / 60;
        most(|rate| rate.setup) + time + 1
    }

    fn max(self, other: Self) -> Self {
        let bands = self.band.zip(other.band);
        Self {
            usual: self.usual.max(other.usual),
            band: bands.map(|((from, to, rate), other)| (from, to, rate.max(other.2))),
            ..self
        }
    }

    fn raised(self, percent: u64) -> Self {
        Self {
            usual: self.usual.raised(percent),
            band: self
                .band
                .map(|(from, to, rate)| (from, to, rate.raised(percent))),
            ..self
        }
    }
}

impl Prices {
    /// What the carriers charge in this run.
    pub fn draw(rng: &mut Rng) -> Self {
        let all: [Price; PRICED.len()] = std::array::from_fn(|_| Price::draw(rng));
        // Drawn by itself: all else in a run is what it would be without.
        let of = all.map(|it| it.usual.minute + it.usual.first);
        let mut rng = Rng::new(!of.into_iter().fold(0, |sum, it| sum * 31 + it));
        let own = Price {
            setup_on_attempt: false,
            from_invite: false,
            ..Price::draw(&mut rng)
        };
        Self(all, rng.permille(700).then_some(own))
    }

    /// A tariff that states more than is charged.
    pub fn raised(self, rng: &mut Rng) -> Self {
        let percent = rng.range(100, 140);
        let raised = |price: Price| price.raised(percent);
        Self(self.0.map(raised), self.1.map(raised))
    }

    /// The dearer of both, which differ in nothing but sums.
    pub fn max(self, other: Self) -> Self {
        let own = self.1.zip(other.1).map(|(one, other)| one.max(other));
        Self(std::array::from_fn(|at| self.0[at].max(other.0[at])), own)
    }

    /// A group's price.
    pub fn of(&self, group: Group) -> Option<&Price> {
        if group == Group::Own {
            return self.1.as_ref();
        }
        let at = PRICED.iter().position(|(it, _)| *it == group)?;
        Some(&self.0[at])
    }

    /// `policies/tariffs/carrier.csv`.
    pub fn text(&self) -> String {
        let mut text = String::from(COLUMNS);
        for ((_, name), price) in PRICED.iter().zip(&self.0) {
            price.rows(name, &mut text);
        }
        text
    }

    /// `policies/tariffs/inbound.csv`.
    pub fn inbound_text(&self) -> Option<String> {
        let mut text = String::from(COLUMNS);
        self.1?.rows("jp.fixed", &mut text);
        Some(text)
    }
}

impl Price {
    /// Its rows in a tariff.
    fn rows(&self, name: &str, text: &mut String) {
        let on = if self.setup_on_attempt {
            "attempt"
        } else {
            "answer"
        };
        let from = if self.from_invite { "invite" } else { "answer" };
        let mut row = |rate: Rate, band: &str| {
            let (setup, minute) = (yen(rate.setup), yen(rate.minute));
            text.push_str(&format!(
                "{name},{setup},{minute},{},{},JPY,{band},,{on},{from}\n",
                rate.first, rate.next
            ));
        };
        row(self.usual, ",");
        if let Some((start, end, rate)) = self.band {
            let time = |minutes: u64| format!("{:02}:{:02}", minutes / 60, minutes % 60);
            row(rate, &format!("{},{}", time(start), time(end)));
        }
    }
}

/// Millionths as they are written in files.
pub fn yen(millionths: u64) -> String {
    format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000)
}
