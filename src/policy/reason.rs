//! Why a call is refused: the names that the log, the ledger and the Reason
//! header use.

use std::fmt;

use super::counters::{Quantity, Sign};

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// What was dialled has no single meaning, or no such number exists.
    NoSingleMeaning,
    /// No rule allows the destination.
    DestinationNotAllowed,
    /// A rule denies the destination.
    DestinationDenied,
    /// The caller's number is not the tenant's.
    CallerNotOwn,
    /// The tenant's tariff has no price for the destination.
    NoPrice,
    /// As many calls as allowed live already.
    CallsAtOnce,
    /// As many calls as allowed were let in within a second.
    CallsPerSecond,
    /// As many calls as allowed were let in within a minute.
    CallsPerMinute,
    /// As many calls as allowed were let in within an hour.
    CallsPerHour,
    /// As many calls as allowed were let in today.
    CallsPerDay,
    /// The call might cost more than is left of a budget.
    BudgetSpent,
    /// As many different numbers as allowed were called today.
    NumbersPerDay,
    /// It is a stranger's call that the phone system forwards.
    CallForwarded,
    /// The same last digits were called under as many prefixes.
    PrefixWalk,
    /// As many short calls went to one range of numbers.
    ShortCalls,
    /// As many calls went to a country since the first, which was lately.
    NewCountry,
    /// As many calls were asked for in a short time.
    Burst,
    /// As much of what one source asked for was refused.
    ManyRefusals,
    /// Inbound: the called number is no tenant's that takes calls.
    CalledNotServed,
    /// The rules have no such tenant.
    NoTenant,
    /// Tollgate is being stopped, and lets no new call in.
    Stopping,
    /// The journal cannot be written, and what cannot be recorded is not let in.
    JournalFault,
    /// The INVITE is larger than one that a ringing call may keep copies of.
    TooLarge,
    /// An operator has blocked such calls.
    Blocked,
    /// A `sips:` URI was called, and one of the two ways is not TLS.
    NotSecure,
    /// Every carrier has as many calls as it takes.
    CarriersFull,
    /// Every carrier is reached by a name that has led nowhere yet.
    CarriersNotFound,
    /// The call is redirected or transferred to an emergency number, to where it has been, or
    /// to too many places.
    NotFollowed,
    /// A transfer (REFER) by a carrier, outside a call, or to what is no call; a redirection
    /// of a phone system's that cannot be followed.
    NoTransfers,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 29] = [
        Self::NoSingleMeaning,
        Self::DestinationNotAllowed,
        Self::DestinationDenied,
        Self::CallerNotOwn,
        Self::NoPrice,
        Self::CallsAtOnce,
        Self::CallsPerSecond,
        Self::CallsPerMinute,
        Self::CallsPerHour,
        Self::CallsPerDay,
        Self::BudgetSpent,
        Self::NumbersPerDay,
        Self::CallForwarded,
        Self::PrefixWalk,
        Self::ShortCalls,
        Self::NewCountry,
        Self::Burst,
        Self::ManyRefusals,
        Self::CalledNotServed,
        Self::NoTenant,
        Self::Stopping,
        Self::JournalFault,
        Self::TooLarge,
        Self::Blocked,
        Self::NotSecure,
        Self::CarriersFull,
        Self::CarriersNotFound,
        Self::NotFollowed,
        Self::NoTransfers,
    ];

    /// Those that patterns of fraud give.
    pub const PATTERNS: [Self; 5] = [
        Self::PrefixWalk,
        Self::ShortCalls,
        Self::NewCountry,
        Self::Burst,
        Self::ManyRefusals,
    ];

    /// The name for the log and the ledger, which stays the same for good.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoSingleMeaning => "no-single-meaning",
            Self::DestinationNotAllowed => "destination-not-allowed",
            Self::DestinationDenied => "destination-denied",
            Self::CallerNotOwn => "caller-not-own",
            Self::NoPrice => "no-price",
            Self::CallsAtOnce => "calls-at-once",
            Self::CallsPerSecond => "calls-per-second",
            Self::CallsPerMinute => "calls-per-minute",
            Self::CallsPerHour => "calls-per-hour",
            Self::CallsPerDay => "calls-per-day",
            Self::BudgetSpent => "budget-spent",
            Self::NumbersPerDay => "distinct-numbers-per-day",
            Self::CallForwarded => "call-forwarded",
            Self::PrefixWalk => "prefix-walk",
            Self::ShortCalls => "short-calls",
            Self::NewCountry => "new-country",
            Self::Burst => "burst",
            Self::ManyRefusals => "many-refusals",
            Self::CalledNotServed => "called-not-served",
            Self::NoTenant => "no-tenant",
            Self::Stopping => "stopping",
            Self::JournalFault => "journal-fault",
            Self::TooLarge => "too-large",
            Self::Blocked => "blocked",
            Self::NotSecure => "sips-without-tls",
            Self::CarriersFull => "carriers-full",
            Self::CarriersNotFound => "carriers-not-found",
            Self::NotFollowed => "redirect-not-followed",
            Self::NoTransfers => "no-transfers",
        }
    }

    /// A sentence for people.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NoSingleMeaning => "what was dialled has no single meaning",
            Self::DestinationNotAllowed => "no rule allows this destination",
            Self::DestinationDenied => "a rule denies this destination",
            Self::CallerNotOwn => "the caller's number is not the tenant's",
            Self::NoPrice => "the tariff has no price for this destination",
            Self::CallsAtOnce => "too many calls live at once",
            Self::CallsPerSecond => "too many calls within a second",
            Self::CallsPerMinute => "too many calls within a minute",
            Self::CallsPerHour => "too many calls within an hour",
            Self::CallsPerDay => "too many calls today",
            Self::BudgetSpent => "too little is left of a budget",
            Self::NumbersPerDay => "too many different numbers called today",
            Self::CallForwarded => "the phone system forwards a call that is not the tenant's",
            Self::PrefixWalk => "the same last digits under changing prefixes",
            Self::ShortCalls => "too many short calls to one range",
            Self::NewCountry => "calls to a country that was never called before",
            Self::Burst => "too many calls in a short time",
            Self::ManyRefusals => "one source was refused too often",
            Self::CalledNotServed => "the called number is nobody's here",
            Self::NoTenant => "the rules have no such tenant",
            Self::Stopping => "Tollgate is being stopped",
            Self::JournalFault => "the journal cannot be written",
            Self::TooLarge => "the INVITE is too large",
            Self::Blocked => "an operator has blocked such calls",
            Self::NotSecure => "a sips: URI goes over TLS on both sides, or not at all",
            Self::CarriersFull => "every carrier has as many calls as it takes",
            Self::CarriersNotFound => "no carrier's name has led to an address yet",
            Self::NotFollowed => {
                "led to an emergency number, to where the call has been, or to too many places"
            }
            Self::NoTransfers => {
                "a carrier transfers no call, nobody makes one by REFER, and no call goes there"
            }
        }
    }

    pub(super) const fn of_sign(sign: Sign) -> Self {
        match sign {
            Sign::PrefixWalk { .. } => Self::PrefixWalk,
            Sign::ShortCalls { .. } => Self::ShortCalls,
            Sign::NewCountry => Self::NewCountry,
            Sign::Burst => Self::Burst,
            Sign::Refusals => Self::ManyRefusals,
        }
    }

    pub(super) const fn used_up(quantity: Quantity) -> Self {
        match quantity {
            Quantity::AtOnce => Self::CallsAtOnce,
            Quantity::PerSecond => Self::CallsPerSecond,
            Quantity::PerMinute => Self::CallsPerMinute,
            Quantity::PerHour => Self::CallsPerHour,
            Quantity::PerDay => Self::CallsPerDay,
            Quantity::MoneyPerDay | Quantity::MoneyPerMonth => Self::BudgetSpent,
            Quantity::NumbersPerDay => Self::NumbersPerDay,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
