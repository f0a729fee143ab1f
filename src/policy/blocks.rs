//! What an operator has blocked: asked before every rule, and after emergencies.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::facts::Facts;
use super::number::Number;
use super::reason::Reason;
use super::ruleset::{RuleSet, TenantId};
use super::target::Destination;
use super::verdict::{Decision, Refused};
use crate::base::time::{Now, Wall};

/// Which calls a block is about. None is about an emergency call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Every call, from the tenant and to it.
    Everything,
    /// Calls of the tenant to every country but its plan's own, to no country's
    /// numbers, and to codes that set up forwarding: what these bring goes where
    /// nobody sees it.
    International,
}

impl Scope {
    /// The name for the journal and for programs, which stays the same for good.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::International => "international",
        }
    }

    /// The scope of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let all = [Self::Everything, Self::International];
        all.into_iter().find(|scope| scope.as_str() == name)
    }
}

/// Calls that an operator lets nobody make for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Whose; none for every tenant's. The rules need not have the tenant.
    pub tenant: Option<Arc<str>>,
    /// Which of them.
    pub scope: Scope,
    /// Until when; none for as long as nobody lifts it.
    pub until: Option<Wall>,
}

impl Block {
    /// Whether it is in force at this time.
    #[must_use]
    pub fn holds(&self, wall: Wall) -> bool {
        self.until.is_none_or(|until| wall < until)
    }
}

/// All that is blocked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocks {
    all: Ends,
    tenants: BTreeMap<Arc<str>, Ends>,
}

/// When the blocks of one tenant, or of all, are over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ends {
    everything: Option<Wall>,
    international: Option<Wall>,
}

/// The end of what only an order lifts.
const NEVER: Wall = Wall::from_micros(i64::MAX);

impl Ends {
    fn cover(self, abroad: bool, wall: Wall) -> bool {
        let holds = |end: Option<Wall>| end.is_some_and(|end| wall < end);
        holds(self.everything) || abroad && holds(self.international)
    }
}

impl FromIterator<Block> for Blocks {
    /// Of two blocks of the same calls the later one counts.
    fn from_iter<I: IntoIterator<Item = Block>>(blocks: I) -> Self {
        let mut all = Self::default();
        for block in blocks {
            let ends = match block.tenant {
                None => &mut all.all,
                Some(tenant) => all.tenants.entry(tenant).or_default(),
            };
            let end = match block.scope {
                Scope::Everything => &mut ends.everything,
                Scope::International => &mut ends.international,
            };
            *end = Some(block.until.unwrap_or(NEVER));
        }
        all
    }
}

impl Blocks {
    /// Whether nothing is blocked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a call of this tenant's is blocked: one that goes abroad as
    /// [`Scope::International`] says, or another. Not to be asked of emergency calls.
    #[must_use]
    pub fn cover(&self, tenant: &str, abroad: bool, wall: Wall) -> bool {
        let own = self.tenants.get(tenant);
        self.all.cover(abroad, wall) || own.is_some_and(|it| it.cover(abroad, wall))
    }
}

/// What an operator ordered about blocks, and what is blocked from now on.
#[derive(Clone, Debug)]
pub struct Switch {
    /// All that is blocked from now on.
    pub blocks: Blocks,
    /// The order; none at a start.
    pub order: Option<Order>,
}

/// One order about blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The block that came into force; or, where the order lifts, what was lifted.
    pub block: Block,
    /// It lifts.
    pub lifts: bool,
    /// Calls of that kind which are up are hung up.
    pub hang_up: bool,
    /// For how long it holds; none where nobody said.
    pub lasts: Option<Duration>,
    /// Who gave it: the user's number, as the kernel says.
    pub uid: u32,
    /// The user's name.
    pub by: Arc<str>,
    /// What the operator says why; may be empty.
    pub why: Arc<str>,
}

impl Order {
    /// Whether calls like this that are up are to be hung up.
    #[must_use]
    pub fn hangs_up(&self, tenant: &str, abroad: bool) -> bool {
        let its = |whose: &Arc<str>| **whose == *tenant;
        let block = &self.block;
        let kind = abroad || block.scope == Scope::Everything;
        self.hang_up && !self.lifts && kind && block.tenant.as_ref().is_none_or(its)
    }
}

impl RuleSet {
    /// Why a call that a tenant's phone system asks for does not leave, whatever the
    /// rules say: it is blocked. None for others, and for every emergency call.
    #[must_use]
    pub fn blocked(&self, blocks: &Blocks, facts: &Facts<'_>, now: Now) -> Option<Refused> {
        if blocks.is_empty() {
            return None;
        }
        let tenant = &self.tenant(facts.tenant)?.name;
        // A clock that jumped ends no block.
        let wall = self.believed(facts.tenant, now);
        if !blocks.cover(tenant, true, wall) {
            return None;
        }
        let number = match self.decide(facts) {
            Decision::Emergency(_) => return None,
            Decision::Allow(permit) | Decision::Observe(_, permit) => Some(permit.number),
            Decision::Refuse(refused, permit) => refused.number.or(permit.map(|it| it.number)),
        };
        let abroad = number.is_some_and(|number| self.is_abroad(facts.tenant, &number));
        let blocked = blocks.cover(tenant, abroad, wall);
        blocked.then(|| Refused::new(Reason::Blocked, None, number))
    }

    /// What the wall clock shows, as far as it is believed.
    pub(super) fn believed(&self, tenant: TenantId, now: Now) -> Wall {
        self.lane(tenant).map_or(now.wall, |it| it.book.wall(now))
    }

    /// Whether a tenant's call to this number goes abroad as
    /// [`Scope::International`] says. What the rules have no tenant for does.
    #[must_use]
    pub fn is_abroad(&self, tenant: TenantId, number: &Number) -> bool {
        let Some(lane) = self.lane(tenant) else {
            return true;
        };
        let to = self.destination(lane, number);
        let out_of_sight =
            |to: &Destination| to.class == super::numbering::Class::ServiceForwarding;
        to.is_some_and(|to| to.is_abroad(self.home(lane)) || out_of_sight(&to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(tenant: Option<&str>, scope: Scope, until: Option<i64>) -> Block {
        Block {
            tenant: tenant.map(Arc::from),
            scope,
            until: until.map(Wall::from_micros),
        }
    }

    #[test]
    fn a_block_is_of_its_tenant_and_its_calls_until_its_end() {
        let blocks: Blocks = [
            block(Some("acme"), Scope::International, Some(100)),
            block(Some("kiku"), Scope::Everything, None),
        ]
        .into_iter()
        .collect();
        let at = Wall::from_micros;
        assert!(blocks.cover("acme", true, at(99)));
        assert!(!blocks.cover("acme", false, at(99)), "a call at home");
        assert!(!blocks.cover("acme", true, at(100)), "it is over");
        assert!(blocks.cover("kiku", false, at(i64::MAX - 1)));
        assert!(!blocks.cover("other", true, at(0)));
    }

    #[test]
    fn a_block_of_all_is_of_each_and_the_later_order_counts() {
        let blocks: Blocks = [
            block(None, Scope::Everything, None),
            block(None, Scope::Everything, Some(7)),
        ]
        .into_iter()
        .collect();
        assert!(blocks.cover("anyone", false, Wall::from_micros(6)));
        assert!(!blocks.cover("anyone", false, Wall::from_micros(7)));
        assert!(!blocks.is_empty() && Blocks::default().is_empty());
    }

    #[test]
    fn scopes_have_names() {
        for scope in [Scope::Everything, Scope::International] {
            assert_eq!(Scope::parse(scope.as_str()), Some(scope));
        }
    }
}
