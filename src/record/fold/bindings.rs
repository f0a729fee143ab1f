//! What phone systems have registered, as the records of one series say.
//!
//! An account that is registered no more is kept for as long as it could have been: what
//! another series says of it may be older.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::counters::Time;
use crate::base::flow::Flow;
use crate::base::limits::REGISTERED_S;
use crate::base::time::{Mono, Now, Wall};
use crate::record::{Bound, Record, encode};

/// What an account's phone system registered last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is what it is in `record::Bound`")]
pub struct Binding {
    pub account: Box<str>,
    pub tenant: Box<str>,
    /// When, by the monotonic clock of the life that takes it over.
    pub at: Mono,
    pub lasts_s: u32,
    #[serde(with = "encode::wall")]
    pub since: Wall,
    #[serde(with = "encode::flow")]
    pub flow: Flow,
    #[serde(serialize_with = "encode::bytes")]
    pub contact: Box<[u8]>,
    pub bulk: bool,
    #[serde(serialize_with = "encode::bytes")]
    pub path: Box<[u8]>,
    #[serde(serialize_with = "encode::bytes")]
    pub call_id: Box<[u8]>,
    pub cseq: u32,
}

impl Binding {
    /// When it is over.
    #[must_use]
    pub fn until(&self) -> Mono {
        self.at + Duration::from_secs(self.lasts_s.into())
    }
}

/// Those of one series.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bindings {
    by_account: BTreeMap<Box<str>, (Time, Binding)>,
    /// How many there were when they were last searched for what is over.
    searched: usize,
}

/// Accounts that are kept before they are searched for what is over.
const ACCOUNTS: usize = 1 << 10;

impl Bindings {
    /// Takes the next record of the series into account, in this boot of the host.
    pub(super) fn apply(&mut self, record: &Record<'_>, boot: u32) {
        let Record::Bound(bound) = record else {
            return;
        };
        let Bound {
            wall,
            mono,
            account,
            tenant,
            lasts_s,
            since,
            flow,
            contact,
            bulk,
            path,
            call_id,
            cseq,
        } = *bound;
        let time = Time { boot, mono, wall };
        let binding = Binding {
            account: account.into(),
            tenant: tenant.into(),
            at: mono,
            lasts_s,
            since,
            flow,
            contact: contact.into(),
            bulk,
            path: path.into(),
            call_id: call_id.into(),
            cseq,
        };
        self.by_account.insert(account.into(), (time, binding));
        self.make_room(time);
    }

    /// Forgets what is long over, when there is twice as much as the last time.
    fn make_room(&mut self, latest: Time) {
        if self.by_account.len() < ACCOUNTS.max(2 * self.searched) {
            return;
        }
        let (_, most) = REGISTERED_S;
        let most = Duration::from_secs(most.into());
        self.by_account
            .retain(|_, (time, _)| match time.boot == latest.boot {
                true => latest.mono.saturating_since(time.mono) <= most,
                false => latest.wall.saturating_since(time.wall) <= most,
            });
        self.searched = self.by_account.len();
    }

    /// All of them, for a life that begins `now`.
    pub(super) fn taken_over(&self, now: Now, clock: impl Fn(Time) -> Mono) -> Vec<Binding> {
        let all = self.by_account.values();
        let all = all.map(|(time, binding)| Binding {
            // A clock that was set back makes nothing last longer than it was to.
            at: clock(*time).min(now.mono),
            ..binding.clone()
        });
        all.collect()
    }
}
