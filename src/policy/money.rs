//! Money, in whole millionths, and what it is counted in.

use std::fmt;

/// An amount of some currency, in millionths of its unit. Arithmetic never wraps;
/// where it must round, it rounds up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(u64);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// More than any amount that can be written: where arithmetic stops.
    pub const MAX: Self = Self(u64::MAX);

    const UNIT: u64 = 1_000_000;

    /// So many millionths of the currency's unit.
    #[must_use]
    pub const fn from_millionths(millionths: u64) -> Self {
        Self(millionths)
    }

    /// How many millionths of the currency's unit.
    #[must_use]
    pub const fn millionths(self) -> u64 {
        self.0
    }

    /// The sum; [`Money::MAX`] where it is larger than that.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference; nothing where `other` is larger.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// So many times as much; [`Money::MAX`] where that is larger than it.
    #[must_use]
    pub const fn saturating_mul(self, times: u64) -> Self {
        Self(self.0.saturating_mul(times))
    }

    /// The sum, if it can be written.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, if `other` is not larger.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// What `seconds` cost where a minute costs this, rounded up.
    #[must_use]
    pub fn of_seconds(self, seconds: u64) -> Self {
        let sum = (u128::from(self.0) * u128::from(seconds)).div_ceil(60);
        Self(u64::try_from(sum).unwrap_or(u64::MAX))
    }

    /// Reads "2.67": at most 12 digits, and 6 behind the point.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || whole.len() > 12 || decimals.len() > 6 {
            return None;
        }
        let whole: u64 = whole.parse().ok()?;
        let decimals: u64 = format!("{decimals:0<6}").parse().ok()?;
        Some(Self(whole * Self::UNIT + decimals))
    }

    /// Writes it with `least` decimals, and more where there are more.
    fn write(self, least: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0 / Self::UNIT)?;
        let decimals = format!("{:06}", self.0 % Self::UNIT);
        let needed = decimals.trim_end_matches('0').len().max(least);
        match decimals.get(..needed) {
            Some(shown) if needed > 0 => write!(f, ".{shown}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(0, f)
    }
}

/// The currencies of ISO 4217 that money goes round in.
const IN_USE: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL \
                      BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD \
                      EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR \
                      ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP \
                      LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD \
                      NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR \
                      SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP \
                      TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XCG XOF XPF YER \
                      ZAR ZMW ZWG";

/// A currency: its three letters in ISO 4217 ("JPY").
///
/// Well-formed; whether it exists is for `is_in_use` to say.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// No currency, by ISO 4217.
    pub const NONE: Self = Self(*b"XXX");

    /// Whether money of it goes round: ISO 4217 lists it.
    pub(super) fn is_in_use(self) -> bool {
        IN_USE.split(' ').any(|known| known.as_bytes() == self.0)
    }

    /// The one in use that may have been meant.
    pub(super) fn nearest(text: &str) -> Option<&'static str> {
        let slips = [
            ("YEN", "JPY"),
            ("EURO", "EUR"),
            ("STG", "GBP"),
            ("RMB", "CNY"),
        ];
        let upper = text.to_ascii_uppercase();
        let slip = slips.iter().find(|(wrong, _)| *wrong == upper);
        let known = || IN_USE.split(' ').find(|known| *known == upper);
        slip.map(|(_, meant)| *meant).or_else(known)
    }

    /// Three upper-case ASCII letters, or `None`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let letters: [u8; 3] = text.as_bytes().try_into().ok()?;
        letters
            .iter()
            .all(u8::is_ascii_uppercase)
            .then_some(Self(letters))
    }

    /// The letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }

    /// How many decimals an amount is shown with (ISO 4217's minor unit).
    #[must_use]
    pub const fn decimals(self) -> usize {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"ISK" | b"JPY" | b"KMF" | b"KRW" | b"PYG"
            | b"RWF" | b"UGX" | b"UYI" | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            b"CLF" | b"UYW" => 4,
            _ => 2,
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Money of a named currency: "JPY 10000".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Amount {
    /// What it is counted in.
    pub currency: Currency,
    /// How much.
    pub money: Money,
}

impl Amount {
    /// Reads "JPY 10000" or "EUR 12.50".
    ///
    /// # Errors
    ///
    /// What is expected instead.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "write the currency's three letters and the amount: \"JPY 10000\", \
                                \"EUR 12.50\"";
        let (currency, money) = text.split_once(' ').ok_or(EXPECTED)?;
        Ok(Self {
            currency: Currency::parse(currency).ok_or(EXPECTED)?,
            money: Money::parse(money).ok_or(EXPECTED)?,
        })
    }
}

impl Amount {
    /// The same, or a little more: with the currency's own decimals only.
    #[must_use]
    pub fn rounded_up(self) -> Self {
        let places = u32::try_from(self.currency.decimals()).unwrap_or(0);
        let step = 10_u64.pow(6_u32.saturating_sub(places));
        let steps = self.money.0.div_ceil(step);
        Self {
            money: Money(steps.saturating_mul(step)),
            ..self
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.currency)?;
        self.money.write(self.currency.decimals(), f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_amount_is_read_as_it_is_written(millionths in 0..1_000_000_000_000_000_000_u64) {
            for letters in ["JPY", "USD", "KWD"] {
                let amount = Amount {
                    currency: Currency::parse(letters).unwrap(),
                    money: Money::from_millionths(millionths),
                };
                prop_assert_eq!(Amount::parse(&amount.to_string()), Ok(amount));
            }
            let money = Money::from_millionths(millionths);
            prop_assert_eq!(Money::parse(&money.to_string()), Some(money));
        }

        #[test]
        fn a_part_of_a_minute_is_rounded_up(minute in any::<u64>(), seconds in any::<u64>()) {
            let money = Money::from_millionths(minute).of_seconds(seconds);
            let exact = u128::from(minute) * u128::from(seconds);
            let sixty = u128::from(money.millionths()) * 60;
            prop_assert!(money == Money::MAX || (sixty >= exact && sixty < exact + 60));
        }
    }

    #[test]
    fn amounts_have_the_decimals_of_their_currency() {
        for (text, shown) in [
            ("JPY 30000", "JPY 30000"),
            ("JPY 2.67", "JPY 2.67"),
            ("USD 9", "USD 9.00"),
            ("USD 0.125", "USD 0.125"),
            ("KWD 1.5", "KWD 1.500"),
            ("JPY 999999999999.999999", "JPY 999999999999.999999"),
        ] {
            assert_eq!(Amount::parse(text).unwrap().to_string(), shown);
        }
        for (text, shown) in [
            ("JPY 2.000001", "JPY 3"),
            ("JPY 2", "JPY 2"),
            ("EUR 0.011", "EUR 0.02"),
            ("KWD 1.0001", "KWD 1.001"),
        ] {
            let rounded = Amount::parse(text).unwrap().rounded_up();
            assert_eq!(rounded.to_string(), shown);
        }
        for text in [
            "",
            "JPY",
            "10000",
            "JPY  1",
            "JPY -1",
            "jpy 1",
            "JPY 1,000",
            "JPY .5",
            "JPY 1.",
            "JPY 1.2345678",
            "JPY 1000000000000",
            "YEN1 1",
            "JPY +1",
            "JPY 1e3",
        ] {
            assert!(Amount::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn arithmetic_does_not_wrap() {
        let one = Money::from_millionths(1);
        assert_eq!(Money::MAX.saturating_add(one), Money::MAX);
        assert_eq!(Money::ZERO.saturating_sub(one), Money::ZERO);
        assert_eq!(Money::MAX.saturating_mul(2), Money::MAX);
        assert_eq!(Money::MAX.checked_add(one), None);
        assert_eq!(Money::ZERO.checked_sub(one), None);
        assert_eq!(Money::MAX.of_seconds(61), Money::MAX);
    }
}
