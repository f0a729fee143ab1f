//! What users dial, made from the number that is meant: so the simulation
//! knows the canonical number without reading any.

use crate::rng::Rng;

/// A kind of destination, as the rules of a tenant name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    JpFixed,
    JpMobile,
    Us,
    /// London, `+44 20`.
    London,
    /// Great Britain outside London.
    British,
    SierraLeone,
    Premium,
    Forwarding,
    Emergency,
    /// Digits without a single meaning.
    Nothing,
    /// A tenant's own number, which a carrier's caller dials.
    Own,
}

impl Group {
    /// This group in a set of groups.
    pub fn bit(self) -> u32 {
        1 << (self as u32)
    }

    /// Whether a cap on `international` covers it.
    pub fn is_international(self) -> bool {
        matches!(
            self,
            Self::Us | Self::London | Self::British | Self::SierraLeone | Self::Premium
        )
    }
}

/// What goes into the Request-URI, and what it means.
#[derive(Clone, Debug)]
pub struct Dialled {
    pub uri: String,
    /// `+81…`, a short code, or empty where there is no single meaning.
    pub canonical: String,
    pub group: Group,
    /// 184 was dialled: the caller is withheld.
    pub withheld: bool,
}

/// A number of this group, without `+`.
fn number(rng: &mut Rng, group: Group) -> String {
    let four = rng.below(10_000);
    match group {
        Group::JpFixed => format!("8133557{four:04}"),
        Group::JpMobile => format!("8190{}{:03}{four:04}", rng.range(1, 10), rng.below(1000)),
        Group::Us => format!("1212555{four:04}"),
        Group::London => format!("44207183{four:04}"),
        Group::British => format!("44161496{four:04}"),
        Group::SierraLeone => format!("23276{:02}{four:04}", rng.below(100)),
        Group::Premium => format!("1900555{four:04}"),
        Group::Forwarding => "142".into(),
        Group::Emergency | Group::Nothing | Group::Own => {
            (*rng.pick(&["110", "118", "119"])).into()
        }
    }
}

/// One dialling of a number of `group`; `host` is Tollgate's.
pub fn dial(rng: &mut Rng, group: Group, host: &str) -> Dialled {
    let digits = number(rng, group);
    let withheld;
    let uri = match group {
        Group::Nothing => return nonsense(rng, host),
        Group::Emergency | Group::Forwarding => {
            let style = rng.below(4);
            withheld = style == 1;
            match style {
                1 => format!("sip:184{digits}@{host}"),
                2 if group == Group::Emergency => format!("tel:{digits}"),
                3 if group == Group::Emergency => {
                    format!("sip:{digits};phone-context=+81@{host};user=phone")
                }
                _ => format!("sip:{digits}@{host}"),
            }
        }
        _ => {
            withheld = rng.permille(100);
            let before = if withheld { "184" } else { "" };
            spell(rng, &digits, before, host)
        }
    };
    let plus = !matches!(group, Group::Emergency | Group::Forwarding);
    Dialled {
        uri,
        canonical: if plus { format!("+{digits}") } else { digits },
        group,
        withheld,
    }
}

/// One of the ways to write a number that the plan reads alike.
fn spell(rng: &mut Rng, digits: &str, before: &str, host: &str) -> String {
    let national = digits.strip_prefix("81").map(|rest| format!("0{rest}"));
    let local = national.unwrap_or_else(|| format!("010{digits}"));
    if !before.is_empty() {
        return format!("sip:{before}{local}@{host}");
    }
    match rng.below(7) {
        0 | 1 => format!("sip:{local}@{host}"),
        2 => format!("sip:010{digits}@{host}"),
        3 => {
            let escaped: String = local.bytes().map(|b| format!("%{b:02x}")).collect();
            format!("sip:{escaped}@{host}")
        }
        4 => format!("tel:+{}-{}", &digits[..3], &digits[3..]),
        5 => format!("sip:+{}-{}@{host};user=phone", &digits[..4], &digits[4..]),
        _ => format!("sip:+{digits}@{host}"),
    }
}

/// Digits that must be refused for having no single meaning.
fn nonsense(rng: &mut Rng, host: &str) -> Dialled {
    let group = *rng.pick(&[Group::London, Group::JpFixed, Group::SierraLeone]);
    let digits = number(rng, group);
    let uri = match rng.below(14) {
        0 => format!("sip:*010{digits}@{host}"),
        1 => format!("sip:%2A010{digits}@{host}"),
        2 => format!("sip:%23010{digits}@{host}"),
        3 => format!("sip:%2530{digits}@{host}"),
        4 => format!("sip:0033010{digits}@{host}"),
        5 => format!("sip:00{digits}@{host}"),
        6 => format!("sip:+{digits}123456@{host}"),
        7 => format!("sip:+{digits};rn=+23276123456@{host}"),
        8 => format!("sip:+{digits}:x@{host}"),
        9 => format!("sip:+{digits}@{host}?Route=%3Csip:10.0.0.1%3E"),
        10 => format!("sip:+{digits}o@{host}"),
        11 => format!("sip:１１０@{host}"),
        12 => format!("sip:186184010{digits}@{host}"),
        _ => "tel:7042;phone-context=+8133557".into(),
    };
    Dialled {
        uri,
        canonical: String::new(),
        group: Group::Nothing,
        withheld: false,
    }
}
