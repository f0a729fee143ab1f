//! What is blocked: kept with the ledger, put in force in every shard, lifted.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::sleep;

use crate::admin::By;
use crate::admin::protocol::{
    self, Block, Blocked, Blocks as Told, Fault, FaultKind, Reply, Scope, Unblock,
};
use crate::base::limits::{BLOCKS, WHY_BYTES};
use crate::base::time::Wall;
use crate::ledger::Ledger;
use crate::net::{Silent, clock};
use crate::policy::{self, RuleSet, Switch};
use crate::shard::Command;

use super::control::Desk;

/// The file in the ledger's folder.
const NAME: &str = "blocks.json";

/// The longest that a block is ordered for: ten years. Who means for good says no
/// time.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 86_400);

/// How long after a failure they are tried to be kept again.
const RETRY: Duration = Duration::from_secs(2);

/// Orders about blocks.
#[derive(Debug, Default)]
pub(super) struct Blocking {
    /// Held by the one that is under way.
    alone: Mutex<()>,
    /// Why what is in force is not kept; nothing as long as it is.
    unkept: RefCell<Option<String>>,
}

impl Blocking {
    /// Why the next start would not know what is blocked, if it would not.
    pub(super) fn unkept(&self) -> Option<String> {
        self.unkept.borrow().clone()
    }
}

/// Every block that was ordered, and where they are kept.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    ledger: Ledger,
    list: Vec<Kept>,
}

/// A block as it is kept. Times are microseconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    tenant: Option<String>,
    scope: Scope,
    since: i64,
    until: Option<i64>,
    uid: u32,
    by: String,
    why: String,
}

impl Kept {
    fn block(&self) -> policy::Block {
        policy::Block {
            tenant: self.tenant.as_deref().map(Arc::from),
            scope: match self.scope {
                Scope::Everything => policy::Scope::Everything,
                Scope::International => policy::Scope::International,
            },
            until: self.until.map(Wall::from_micros),
        }
    }

    fn shown(&self) -> Blocked {
        Blocked {
            tenant: self.tenant.clone(),
            scope: self.scope,
            since: Wall::from_micros(self.since).to_string(),
            until: self.until.map(|it| Wall::from_micros(it).to_string()),
            by: self.by.clone(),
            uid: self.uid,
            why: self.why.clone(),
        }
    }

    fn is_of(&self, tenant: Option<&str>, scope: Option<Scope>) -> bool {
        self.tenant.as_deref() == tenant && scope.is_none_or(|it| it == self.scope)
    }
}

impl Blocks {
    /// What an earlier run left in force. Where the file cannot be read, everything
    /// is blocked: what somebody stopped must not begin again by a damaged file.
    pub(super) fn kept(ledger: &Ledger) -> Self {
        let list = match read(ledger) {
            Ok(list) => list,
            Err(fault) => {
                tracing::error!(
                    "{fault}: nobody knows what was blocked, so every call but emergency calls \
                     is: look at tollgate status, then lift it with tollgate unblock --all"
                );
                vec![Kept {
                    tenant: None,
                    scope: Scope::Everything,
                    since: clock::now().wall.as_micros(),
                    until: None,
                    uid: 0,
                    by: "tollgate".into(),
                    why: format!("{NAME} in the ledger's folder cannot be read"),
                }]
            }
        };
        let blocks = Self {
            ledger: ledger.clone(),
            list,
        };
        for block in blocks.shown(clock::now().wall) {
            let whose = block.tenant.as_deref().unwrap_or("every tenant");
            tracing::warn!(tenant = whose, scope = ?block.scope, by = %block.by, "blocked");
        }
        blocks
    }

    /// What the shards are to know.
    pub(super) fn in_force(&self) -> policy::Blocks {
        self.list.iter().map(Kept::block).collect()
    }

    /// What is in force at this time.
    pub(super) fn shown(&self, now: Wall) -> Vec<Blocked> {
        let holds = self.list.iter().filter(|it| it.block().holds(now));
        holds.map(Kept::shown).collect()
    }

    /// Keeps what is in force. It takes as long as the disk.
    async fn keep(&self) -> Result<(), String> {
        let (ledger, bytes) = (self.ledger.clone(), serde_json::to_vec(&self.list));
        let written = tokio::task::spawn_blocking(move || {
            let bytes = bytes.map_err(|error| error.to_string())?;
            ledger.keep(NAME, &bytes).map_err(|fault| fault.plainly())
        });
        written.await.map_err(|error| error.to_string())?
    }
}

fn read(ledger: &Ledger) -> Result<Vec<Kept>, String> {
    match ledger.kept(NAME).map_err(|fault| fault.to_string())? {
        None => Ok(Vec::new()),
        Some(bytes) => {
            serde_json::from_slice(&bytes).map_err(|error| format!("{NAME} is damaged: {error}"))
        }
    }
}

impl Desk {
    /// The time that blocks go by: a clock that jumped ends none.
    fn believed(&self) -> Wall {
        self.running.counters.believed(clock::now()).wall
    }

    /// Blocks calls. They are stopped first and kept then; it is confirmed when both
    /// are done.
    pub(super) async fn block(&self, by: &By, wanted: Block) -> Reply {
        let _alone = self.blocking.alone.lock().await;
        let mut blocks = self.running.blocks.borrow().clone();
        let wall = self.believed();
        if let Err(fault) = sound(&wanted, &self.reins.rules()) {
            return Reply::Fault(fault);
        }
        let mut list = blocks.list.clone();
        list.retain(|it| {
            let replaced = it.is_of(wanted.tenant.as_deref(), Some(wanted.scope));
            it.block().holds(wall) && !replaced
        });
        if list.len() >= BLOCKS {
            let text = format!("{BLOCKS} blocks are in force already: lift some, or block --all");
            return Reply::Fault(Fault::new(FaultKind::Bounds, text));
        }
        let lasts = wanted.seconds.map(Duration::from_secs);
        let new = Kept {
            tenant: wanted.tenant.clone(),
            scope: wanted.scope,
            since: wall.as_micros(),
            until: lasts.map(|lasts| (wall + lasts).as_micros()),
            uid: by.uid,
            by: by.name.clone(),
            why: wanted.why.clone(),
        };
        list.push(new.clone());
        blocks.list = list;
        let order = policy::Order {
            block: new.block(),
            lifts: false,
            hang_up: wanted.hang_up,
            lasts,
            uid: by.uid,
            by: new.by.as_str().into(),
            why: new.why.as_str().into(),
        };
        let tenant = wanted.tenant.as_deref().unwrap_or("every tenant");
        let (scope, hang_up) = (new.scope, wanted.hang_up);
        tracing::warn!(by = %by.name, tenant, ?scope, hang_up, why = %new.why, "blocked");
        self.put_in_force(blocks, &[order], vec![new.shown()]).await
    }

    /// Lifts blocks.
    pub(super) async fn unblock(&self, by: &By, wanted: Unblock) -> Reply {
        let _alone = self.blocking.alone.lock().await;
        let mut blocks = self.running.blocks.borrow().clone();
        let wall = self.believed();
        if let Err(fault) = plain(&wanted.why) {
            return Reply::Fault(fault);
        }
        let tenant = wanted.tenant.as_deref();
        let list = std::mem::take(&mut blocks.list).into_iter();
        let list = list.filter(|it| it.block().holds(wall));
        let (lifted, list): (Vec<Kept>, Vec<Kept>) =
            list.partition(|it| it.is_of(tenant, wanted.scope));
        blocks.list = list;
        if lifted.is_empty() {
            return Reply::Fault(nothing_lifted(&wanted, &blocks.shown(wall)));
        }
        let order = |it: &Kept| policy::Order {
            block: it.block(),
            lifts: true,
            hang_up: false,
            lasts: None,
            uid: by.uid,
            by: by.name.as_str().into(),
            why: wanted.why.as_str().into(),
        };
        let orders: Vec<policy::Order> = lifted.iter().map(order).collect();
        let tenant = tenant.unwrap_or("every tenant");
        tracing::warn!(by = %by.name, tenant, why = %wanted.why, "no longer blocked");
        let lifted = lifted.iter().map(Kept::shown).collect();
        self.put_in_force(blocks, &orders, lifted).await
    }

    /// Has every shard obey, keeps it, and says so.
    async fn put_in_force(
        &self,
        blocks: Blocks,
        orders: &[policy::Order],
        changed: Vec<Blocked>,
    ) -> Reply {
        self.running.blocks.replace(blocks.clone());
        let mut told = Told {
            changed,
            in_force: blocks.shown(self.believed()),
            recorded: true,
            ..Told::default()
        };
        let mut silent: Option<Silent> = None;
        for order in orders {
            let switch = Arc::new(Switch {
                blocks: blocks.in_force(),
                order: Some(order.clone()),
            });
            match self
                .reins
                .tell(|| Command::Block(Arc::clone(&switch)))
                .await
            {
                Ok(obeyed) => {
                    told.shards = obeyed.shards;
                    told.recorded &= obeyed.recorded;
                }
                Err(fault) => silent = Some(fault),
            }
        }
        let kept = self.keep(&blocks).await;
        match (silent, kept) {
            (None, Ok(())) => Reply::Blocks(told),
            (silent, Ok(())) => {
                let text = silent.map_or_else(String::new, |it| it.to_string());
                Reply::Fault(Fault::new(FaultKind::Silent, text))
            }
            (silent, Err(fault)) => {
                let done = match silent {
                    Some(silent) => silent.to_string(),
                    None if told.recorded => "it is in force, and in the journal".to_owned(),
                    None => "it is in force, but not in the journal, which cannot be written now"
                        .to_owned(),
                };
                let text = format!(
                    "{done}; and it is not kept: {fault}. Until it is, the next start would block \
                     what was kept last; it is tried again by itself, and tollgate status tells"
                );
                Reply::Fault(Fault::new(FaultKind::Unkept, text))
            }
        }
    }

    /// Keeps what is blocked, and notes why that cannot be.
    async fn keep(&self, blocks: &Blocks) -> Result<(), String> {
        let kept = blocks.keep().await;
        let before = self.blocking.unkept.replace(kept.clone().err());
        match (&kept, before) {
            (Err(fault), None) => {
                tracing::error!("what is blocked cannot be kept for the next start: {fault}");
            }
            (Ok(()), Some(_)) => tracing::warn!("what is blocked is kept for the next start"),
            _ => {}
        }
        kept
    }

    /// Keeps what is blocked, if that could not be done when it was ordered.
    ///
    /// # Errors
    /// Why it still cannot be.
    pub(super) async fn keep_blocks(&self) -> Result<(), String> {
        let _alone = self.blocking.alone.lock().await;
        if self.blocking.unkept().is_none() {
            return Ok(());
        }
        let blocks = self.running.blocks.borrow().clone();
        self.keep(&blocks).await
    }

    /// Tries to keep what is blocked, and the rules in force, until they are, for as long as
    /// the program runs.
    pub(super) async fn go_on_keeping(&self) {
        loop {
            sleep(RETRY).await;
            self.running.files.keep_again(&self.running.journal);
            self.keep_bans();
            // It was said, and is tried again.
            let _kept = self.keep_blocks().await;
        }
    }
}

/// Whether a block can be ordered.
fn sound(wanted: &Block, rules: &RuleSet) -> Result<(), Fault> {
    plain(&wanted.why)?;
    if let Some(name) = &wanted.tenant
        && rules.tenant_named(name).is_none()
    {
        let near = match rules.tenant_nearest(name) {
            Some(near) => format!("did you mean {near}?"),
            None => {
                let names = rules.tenants().iter().take(20);
                let names: Vec<&str> = names.map(|it| &*it.name).collect();
                format!("it has {}", names.join(", "))
            }
        };
        let text = format!("the configuration has no tenant {name:?}: {near}");
        return Err(Fault::new(FaultKind::Unknown, text));
    }
    let bounds = 1..=LONGEST.as_secs();
    if wanted.seconds.is_some_and(|it| !bounds.contains(&it)) {
        let text = "a block holds for a second at least, and for ten years at most: leave the \
                    time out to block until it is lifted";
        return Err(Fault::new(FaultKind::Bounds, text));
    }
    Ok(())
}

/// Whether an operator's words can be kept and shown.
pub(super) fn plain(why: &str) -> Result<(), Fault> {
    if why.len() > WHY_BYTES || why.chars().any(char::is_control) {
        let text = format!("the reason is one line of {WHY_BYTES} bytes at most");
        return Err(Fault::new(FaultKind::Bounds, text));
    }
    Ok(())
}

fn nothing_lifted(wanted: &Unblock, in_force: &[Blocked]) -> Fault {
    let another = in_force.iter().any(|it| it.tenant == wanted.tenant);
    let whose = match (&wanted.tenant, another) {
        (Some(tenant), false) => format!("{tenant:?} is not blocked"),
        (Some(tenant), true) => format!("{tenant:?} has no such block"),
        (None, false) => "no block is of every tenant".to_owned(),
        (None, true) => "no such block is of every tenant".to_owned(),
    };
    let names = in_force.iter().map(|it| {
        let whose = it.tenant.as_deref().unwrap_or("every tenant (--all)");
        match it.scope {
            Scope::Everything => whose.to_owned(),
            Scope::International => format!("{whose} (--international)"),
        }
    });
    let names: Vec<String> = names.take(20).collect();
    let rest = match names.is_empty() {
        true => "nobody is".to_owned(),
        false => format!("blocked are {}", names.join(", ")),
    };
    Fault::new(FaultKind::Unknown, format!("{whose}: {rest}"))
}

/// A block in words.
pub(super) fn words(scope: protocol::Scope) -> &'static str {
    match scope {
        Scope::Everything => "every call but emergency calls",
        Scope::International => "every call abroad",
    }
}
