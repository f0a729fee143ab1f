//! What kind of number it is, and so who pays what.

use std::fmt;

/// The class of a number, as rules and tariffs name it. The journal knows classes by
/// their place here: a new one comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Class {
    /// A fixed line.
    Fixed,
    /// A mobile.
    Mobile,
    /// Fixed line or mobile: the digits do not tell (as in North America).
    FixedOrMobile,
    /// Internet telephony that belongs to no place.
    Ip,
    /// The called party pays.
    Freephone,
    /// The caller pays for a service on top of the call.
    Premium,
    /// Caller and called party share the cost, or the caller pays more than usual.
    SharedCost,
    /// Follows a person from line to line; often dear.
    Personal,
    /// One number for a whole company (universal access number); often dear.
    Uan,
    /// A pager, or a machine that has a number.
    Pager,
    /// Access to a mailbox.
    Voicemail,
    /// A satellite phone, or a network of no country.
    Satellite,
    /// A short code of the trunk that costs.
    ServicePaid,
    /// A short code of the trunk that costs nothing.
    ServiceFree,
    /// A short code of the trunk that sets up call forwarding at the carrier.
    ServiceForwarding,
    /// No number is assigned here.
    Unassigned,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 16] = [
        Self::Fixed,
        Self::Mobile,
        Self::FixedOrMobile,
        Self::Ip,
        Self::Freephone,
        Self::Premium,
        Self::SharedCost,
        Self::Personal,
        Self::Uan,
        Self::Pager,
        Self::Voicemail,
        Self::Satellite,
        Self::ServicePaid,
        Self::ServiceFree,
        Self::ServiceForwarding,
        Self::Unassigned,
    ];

    /// The class of this name ("freephone", "service.paid"), in exactly this spelling.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }

    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Mobile => "mobile",
            Self::FixedOrMobile => "fixed_or_mobile",
            Self::Ip => "ip",
            Self::Freephone => "freephone",
            Self::Premium => "premium",
            Self::SharedCost => "shared_cost",
            Self::Personal => "personal",
            Self::Uan => "uan",
            Self::Pager => "pager",
            Self::Voicemail => "voicemail",
            Self::Satellite => "satellite",
            Self::ServicePaid => "service.paid",
            Self::ServiceFree => "service.free",
            Self::ServiceForwarding => "service.forwarding",
            Self::Unassigned => "unassigned",
        }
    }

    /// The class at this place of [`Class::ALL`].
    pub(in crate::policy) fn at(place: u8) -> Option<Self> {
        Self::ALL.get(usize::from(place)).copied()
    }

    /// Whether a country, `international` and `any` cover it; every other class
    /// must be named by the rule that allows it.
    #[must_use]
    pub const fn is_ordinary(self) -> bool {
        matches!(
            self,
            Self::Fixed | Self::Mobile | Self::FixedOrMobile | Self::Ip | Self::Freephone
        )
    }

    /// Whether it is a short code of the trunk, of no country.
    #[must_use]
    pub const fn is_service(self) -> bool {
        matches!(
            self,
            Self::ServicePaid | Self::ServiceFree | Self::ServiceForwarding
        )
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_read_as_it_is_written() {
        for (at, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(Class::parse(class.as_str()), Some(class));
            assert_eq!(
                class as usize, at,
                "{class} is missing from ALL or out of order"
            );
        }
        assert_eq!(Class::parse("Fixed"), None);
        assert_eq!(Class::parse(""), None);
    }

    #[test]
    fn what_costs_more_is_not_ordinary() {
        let ordinary: Vec<_> = Class::ALL.into_iter().filter(|c| c.is_ordinary()).collect();
        assert_eq!(
            ordinary,
            [
                Class::Fixed,
                Class::Mobile,
                Class::FixedOrMobile,
                Class::Ip,
                Class::Freephone
            ]
        );
    }
}
