//! When somebody was there, as the records of one series say.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::limits::{ABSENCE_S, REPEATED_S};
use crate::base::time::Wall;
use crate::record::{Record, encode};

/// The lives of one series, as far as they tell what none of them can have heard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Presence {
    /// The latest time that a record told.
    #[serde(with = "encode::wall")]
    latest: Wall,
    /// When the life began that writes now.
    #[serde(with = "encode::wall")]
    began: Wall,
    /// The end of the last life before it that was long enough to hear what is repeated.
    #[serde(with = "encode::wall")]
    heard: Wall,
}

impl Presence {
    /// Takes the next record of the series into account.
    pub(super) fn apply(&mut self, record: &Record<'_>) {
        if let Record::Started { wall, .. } = *record {
            self.heard = self.heard();
            self.began = wall;
        }
        if let Some(wall) = record.wall() {
            self.latest = self.latest.max(wall);
        }
    }

    /// The latest time that a record told.
    pub(super) const fn latest(&self) -> Wall {
        self.latest
    }

    /// Until when every 2xx was heard, even if its first copies were lost.
    fn heard(&self) -> Wall {
        let lived = self.latest.saturating_since(self.began);
        match lived >= Duration::from_secs(REPEATED_S.into()) {
            true => self.latest,
            false => self.heard,
        }
    }

    /// Whether a 2xx may never be heard that was sent since somebody was there to hear it:
    /// otherwise it is still repeated (RFC 3261 §13.3.1.4) to who is there from `now` on.
    pub(super) fn may_have_missed(&self, now: Wall) -> bool {
        let (heard, absence) = (self.heard(), Duration::from_secs(ABSENCE_S.into()));
        heard > now || now.saturating_since(heard) > absence
    }
}
