//! How a tenant's calls are dealt with, in one byte of its lane.

/// What a tenant shows when the caller's number is not its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Otherwise {
    /// A number of its own.
    #[default]
    Replace,
    /// None: the call is refused.
    Refuse,
}

/// What becomes of a stranger's call that one of the tenant's numbers forwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Forwarded {
    /// What becomes of any other whose caller is not the tenant's.
    #[default]
    AsOthers,
    /// It is refused.
    Refuse,
    /// It shows the number that forwards it.
    Replace,
    /// It shows the stranger's number.
    Keep,
}

/// All of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traits(u8);

impl Traits {
    const REFUSE: u8 = 1;
    const WATCHED: u8 = 2;
    const FORWARDED: u8 = 2;

    pub(super) fn new(otherwise: Otherwise, forwarded: Forwarded, watched: bool) -> Self {
        let refuse = match otherwise {
            Otherwise::Replace => 0,
            Otherwise::Refuse => Self::REFUSE,
        };
        let watched = if watched { Self::WATCHED } else { 0 };
        Self(refuse | watched | (forwarded as u8) << Self::FORWARDED)
    }

    pub(super) fn otherwise(self) -> Otherwise {
        match self.0 & Self::REFUSE {
            0 => Otherwise::Replace,
            _ => Otherwise::Refuse,
        }
    }

    pub(super) fn forwarded(self) -> Forwarded {
        match self.0 >> Self::FORWARDED {
            0 => Forwarded::AsOthers,
            1 => Forwarded::Refuse,
            2 => Forwarded::Replace,
            _ => Forwarded::Keep,
        }
    }

    /// Whether the tenant has patterns.
    pub(super) fn is_watched(self) -> bool {
        self.0 & Self::WATCHED != 0
    }
}
