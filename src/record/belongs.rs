//! When a record is of, and which call it belongs to.

use crate::base::time::Wall;

use super::model::Record;
use super::parts::{Beside, Bound, CallRef, Carried, Led, Settled};

impl Record<'_> {
    /// When it happened; `None` for those that take their call's time.
    #[must_use]
    pub const fn wall(&self) -> Option<Wall> {
        match self {
            Self::Started { wall, .. }
            | Self::RulesLoaded { wall, .. }
            | Self::Verdict { wall, .. }
            | Self::Setup { wall, .. }
            | Self::Answered { wall, .. }
            | Self::Ended { wall, .. }
            | Self::Note { wall, .. }
            | Self::Stopped { wall, .. }
            | Self::Lease { wall, .. }
            | Self::Booked { wall, .. }
            | Self::Ordered { wall, .. }
            | Self::Refusals { wall, .. }
            | Self::Session { wall, .. }
            | Self::Ending { wall, .. }
            | Self::Restored { wall, .. }
            | Self::Resumed { wall, .. }
            | Self::Counted { wall, .. }
            | Self::Agreed { wall, .. }
            | Self::Led(Led { wall, .. })
            | Self::Bound(Bound { wall, .. })
            | Self::Settled(Settled { wall, .. })
            | Self::Beside(Beside { wall, .. })
            | Self::Reset { wall, .. } => Some(*wall),
            Self::Target { .. }
            | Self::CSeq { .. }
            | Self::Invite { .. }
            | Self::Acked { .. }
            | Self::Description { .. }
            | Self::Retried { .. }
            | Self::Parted { .. }
            | Self::Scope { .. }
            | Self::Drawn { .. }
            | Self::Carried(_)
            | Self::Account { .. } => None,
        }
    }

    /// The call it belongs to.
    #[must_use]
    pub const fn call(&self) -> Option<CallRef> {
        match self {
            Self::Verdict { call, .. }
            | Self::Setup { call, .. }
            | Self::Answered { call, .. }
            | Self::Target { call, .. }
            | Self::CSeq { call, .. }
            | Self::Ended { call, .. }
            | Self::Lease { call, .. }
            | Self::Booked { call, .. }
            | Self::Invite { call, .. }
            | Self::Acked { call }
            | Self::Session { call, .. }
            | Self::Description { call, .. }
            | Self::Retried { call, .. }
            | Self::Parted { call, .. }
            | Self::Ending { call, .. }
            | Self::Restored { call, .. }
            | Self::Counted { call, .. }
            | Self::Led(Led { call, .. })
            | Self::Carried(Carried { call, .. })
            | Self::Settled(Settled { call, .. })
            | Self::Beside(Beside { call, .. })
            | Self::Account { call, .. } => Some(*call),
            Self::Started { .. }
            | Self::RulesLoaded { .. }
            | Self::Note { .. }
            | Self::Refusals { .. }
            | Self::Stopped { .. }
            | Self::Ordered { .. }
            | Self::Resumed { .. }
            | Self::Scope { .. }
            | Self::Drawn { .. }
            | Self::Agreed { .. }
            | Self::Bound(_)
            | Self::Reset { .. } => None,
        }
    }
}
