//! What `tollgate run` does when it is spoken to over the control socket.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::admin::alert::{Fares, Outbox};
use crate::admin::protocol::{
    Budget, Carrier, Clock, Count, Fault, FaultKind, Journal, Order, Place, Reply, Rules, Status,
    Tenant,
};
use crate::admin::{By, Operator, Replies, Socket, SocketFault, serve};
use crate::base::limits::STATUS_TENANTS;
use crate::base::time::Now;
use crate::ledger::Ledger;
use crate::net::{Beside, Reins, clock};
use crate::policy::{Amount, Counters, Gateway, Quantity, RuleSet, Service, Spent, Standing};
use crate::shard::{Command, Confirmed, Reset};

use super::bans;
use super::blocks::{Blocking, Blocks, plain};
use super::kept_bans::Told;
use super::names::Names;
use super::registered;
use super::rules::Files;

/// What the operator of a program that runs needs to know of it.
pub(super) struct Running {
    /// The configuration.
    pub(super) configuration: PathBuf,
    /// The ledger's folder.
    pub(super) ledger: PathBuf,
    /// What is written there.
    pub(super) journal: Ledger,
    /// When it started.
    pub(super) start: Now,
    /// The files of rules.
    pub(super) files: Arc<Files>,
    /// What is blocked.
    pub(super) blocks: RefCell<Blocks>,
    /// What the rules count in.
    pub(super) counters: Arc<Counters>,
    /// What waits to be told to its owner.
    pub(super) alerts: Outbox,
    /// What carriers are called.
    pub(super) names: Names,
}

pub(super) struct Desk {
    pub(super) running: Running,
    pub(super) reins: Reins,
    pub(super) blocking: Blocking,
    /// Which bans are kept for a later start.
    pub(super) bans_kept: RefCell<Told>,
}

/// How long after a failure the socket is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// Where orders are taken.
pub(super) enum Ear {
    /// Here.
    Open(Socket),
    /// There, as soon as the disk has room for it.
    Later(PathBuf),
}

impl Ear {
    /// Opens the socket at `path`. That the disk is full keeps nobody from telephoning.
    ///
    /// # Errors
    /// [`SocketFault`]: it cannot be opened for another reason.
    pub(super) fn open(path: PathBuf) -> Result<Self, SocketFault> {
        match Socket::open(&path) {
            Ok(socket) => Ok(Self::Open(socket)),
            Err(fault) if fault.is_lack_of_room() => {
                tracing::error!("{fault}: no orders are taken before there is room");
                Ok(Self::Later(path))
            }
            Err(fault) => Err(fault),
        }
    }

    async fn opened(self) -> Socket {
        let path = match self {
            Self::Open(socket) => return socket,
            Self::Later(path) => path,
        };
        loop {
            sleep(RETRY).await;
            if let Ok(socket) = Socket::open(&path) {
                tracing::warn!("orders are taken at {}", path.display());
                return socket;
            }
        }
    }
}

/// Answers there for as long as the program runs.
pub(super) fn answer_on(ear: Ear, running: Running) -> Beside {
    Box::new(move |reins| {
        let desk = Rc::new(Desk {
            running,
            reins,
            blocking: Blocking::default(),
            bans_kept: RefCell::default(),
        });
        desk.take_up_bans();
        Box::pin(async move {
            let serving = async {
                if let Err(error) = serve(ear.opened().await, Rc::clone(&desk)).await {
                    tracing::error!(%error, "the control socket cannot be served: no orders are taken");
                }
            };
            tokio::join!(serving, desk.go_on_keeping());
        })
    })
}

impl Operator for Desk {
    async fn obey(&self, by: By, order: Order, replies: &mut Replies<'_>) -> Reply {
        match order {
            Order::Status => Reply::Status(Box::new(self.status(clock::now()))),
            Order::Reload => self.reload(&by).await,
            Order::Block(block) => self.block(&by, block).await,
            Order::Unblock(unblock) => self.unblock(&by, unblock).await,
            Order::HandOver => self.hand_over(&by, replies).await,
            Order::Reset { tenant, why } => self.reset(&by, tenant, &why).await,
            Order::Bans => Reply::Bans(self.bans()),
            Order::LiftBans { source, why } => self.lift_bans(&by, source, &why).await,
            Order::Clock { confirm, why } => self.clock(&by, confirm, &why).await,
        }
    }
}

impl Desk {
    async fn reload(&self, by: &By) -> Reply {
        tracing::info!(by = %by.name, "reading the rules again");
        match self.reins.reload().await {
            Ok(rules) => Reply::Reloaded(summary(&rules)),
            Err(text) => {
                let mut lines = text.lines().map(str::to_owned);
                let first = lines.next().unwrap_or_default();
                Reply::Fault(Fault {
                    kind: FaultKind::Rules,
                    text: format!("the rules stay as they were: {first}"),
                    details: lines.collect(),
                })
            }
        }
    }

    async fn hand_over(&self, by: &By, replies: &mut Replies<'_>) -> Reply {
        if let Err(fault) = self.keep_blocks().await {
            let text = format!(
                "the Tollgate that runs goes on: what it blocks cannot be kept, and its successor \
                 would not know of it: {fault}"
            );
            return Reply::Fault(Fault::new(FaultKind::Held, text));
        }
        tracing::info!(by = %by.name, "a successor takes over");
        let handed = match self.reins.hand_over().await {
            Ok(handed) => handed,
            Err(why) => {
                let text = format!("the Tollgate that runs goes on: {why}");
                return Reply::Fault(Fault::new(FaultKind::Held, text));
            }
        };
        let given = replies.hand(Reply::HandedOver, &handed.descriptors()).await;
        if let Err(error) = given {
            tracing::error!(%error, "the sockets did not reach the successor: start Tollgate again");
        }
        Reply::HandedOver
    }

    async fn reset(&self, by: &By, tenant: String, why: &str) -> Reply {
        if let Err(fault) = plain(why) {
            return Reply::Fault(fault);
        }
        let Some(times) = self.running.counters.reset(&tenant) else {
            let text = format!("no tenant is called \"{tenant}\": see tollgate check");
            return Reply::Fault(Fault::new(FaultKind::Unknown, text));
        };
        tracing::warn!(by = %by.name, %tenant, why, "the tenant's counters begin anew");
        let reset = Arc::new(Reset {
            tenant: tenant.as_str().into(),
            times,
            by: by.name.as_str().into(),
            why: why.into(),
        });
        match self.reins.tell(|| Command::Reset(Arc::clone(&reset))).await {
            Ok(obeyed) => Reply::Reset {
                tenant,
                times,
                recorded: obeyed.recorded,
            },
            Err(silent) => Reply::Fault(Fault::new(FaultKind::Silent, silent.to_string())),
        }
    }

    /// Says whether the clock is believed, after it was confirmed if so asked.
    async fn clock(&self, by: &By, confirm: bool, why: &str) -> Reply {
        if let Err(fault) = plain(why) {
            return Reply::Fault(fault);
        }
        let (counters, now) = (&self.running.counters, clock::now());
        let ahead_s = counters.clock_ahead_s(now);
        let mut said = Clock {
            shows: now.wall.to_string(),
            ahead_s,
            confirmed_s: confirm.then_some(ahead_s),
            recorded: true,
        };
        if !confirm || ahead_s == 0 {
            return Reply::Clock(said);
        }
        counters.confirm_clock();
        tracing::warn!(by = %by.name, ahead_s, why, "the clock is believed again");
        let confirmed = Arc::new(Confirmed {
            ahead_s,
            uid: by.uid,
            by: by.name.as_str().into(),
            why: why.into(),
        });
        let told = || Command::Confirmed(Arc::clone(&confirmed));
        match self.reins.tell(told).await {
            Ok(obeyed) => {
                (said.ahead_s, said.recorded) = (0, obeyed.recorded);
                Reply::Clock(said)
            }
            Err(silent) => Reply::Fault(Fault::new(FaultKind::Silent, silent.to_string())),
        }
    }

    fn status(&self, now: Now) -> Status {
        let blocks = self.running.blocks.borrow().shown(now.wall);
        let (rules, tally) = (self.reins.rules(), self.reins.tally());
        let (tenants, tenants_left_out) = tenants(&rules, now);
        let (phones, phones_left_out) = registered::phones(&rules, now);
        let up = now.mono.saturating_since(self.running.start.mono);
        let counts = tally.each().into_iter().filter(|(_, value, _)| *value > 0);
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            since: self.running.start.wall.to_string(),
            seconds: up.as_secs(),
            configuration: self.running.configuration.display().to_string(),
            ledger: self.running.ledger.display().to_string(),
            rules: summary(&rules),
            files_broken: self.running.files.are_broken(),
            shards: self.reins.shards(),
            stopping: tally.draining > 0,
            calls: tally.up,
            emergency_calls: tally.emergencies,
            clock_ahead_s: self.running.counters.clock_ahead_s(now),
            blocks,
            blocks_unkept: self.blocking.unkept(),
            shed: self.reins.sheds().into_iter().map(bans::shed).collect(),
            banned: self.reins.bans().len(),
            journal: Journal {
                shards_without: tally.journal_faults,
                misplaced: self.running.journal.misplaced().len(),
                bytes: tally.journal_bytes,
                lost: tally.journal_lost,
            },
            phones,
            phones_left_out,
            carriers: rules
                .carriers()
                .iter()
                .map(|it| carrier(it, &self.running.names, now))
                .collect(),
            tenants,
            tenants_left_out,
            alerts: self.running.alerts.fares().into_iter().map(place).collect(),
            quarantined: self.reins.quarantined(),
            counts: counts
                .map(|(name, value, what)| Count {
                    name: name.to_owned(),
                    value,
                    what: what.to_owned(),
                })
                .collect(),
        }
    }
}

fn summary(rules: &RuleSet) -> Rules {
    Rules {
        hash: rules
            .hash()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
        version: rules.version(),
        tenants: rules.tenants().len(),
        rules: rules.rule_count(),
    }
}

fn carrier(carrier: &crate::policy::Carrier, names: &Names, now: Now) -> Carrier {
    let registration = carrier.registration.as_ref().filter(|it| it.registers);
    Carrier {
        name: carrier.name.to_string(),
        address: match &carrier.looked_up {
            Some(text) => text.to_string(),
            None => carrier.gateways.first().map(address).unwrap_or_default(),
        },
        registration: registration.map(|it| registered::stands(it, now)),
        registered: registration.and_then(|it| registered::with(&carrier.name, it, now)),
        state: state(carrier.fares(now.mono)),
        calls: carrier.trunk.calls(),
        calls_at_once: carrier.calls_at_once,
        leads_to: names.shown(carrier, now),
    }
}

/// `udp:192.0.2.1:5060`.
pub(super) fn address(gateway: &Gateway) -> String {
    format!("{}:{}", gateway.transport.scheme(), gateway.address)
}

pub(super) fn state(service: Service) -> String {
    match service {
        Service::Up => "up",
        Service::Rests => "rests",
        Service::Down => "down",
    }
    .to_owned()
}

fn place(fares: Fares) -> Place {
    Place {
        to: fares.name,
        waiting: fares.waiting,
        taken: fares.taken,
        failed: fares.failed,
        left_out: fares.left_out,
        fault: fares.fault,
    }
}

/// The tenants that something is to be told of, the busiest first, and how many
/// of them are left out.
fn tenants(rules: &RuleSet, now: Now) -> (Vec<Tenant>, usize) {
    let count = u32::try_from(rules.tenants().len()).unwrap_or(u32::MAX);
    let ids = (0..count).map(crate::policy::TenantId);
    let standings = ids.filter_map(|id| rules.standing(id, now));
    let mut busy: Vec<Standing> = standings.filter(|it| !it.is_idle()).collect();
    let share = |it: &Standing| it.spent.iter().map(permille).max().unwrap_or(0);
    busy.sort_by_key(|it| std::cmp::Reverse((share(it), it.calls)));
    let left_out = busy.len().saturating_sub(STATUS_TENANTS);
    let shown = busy.iter().take(STATUS_TENANTS);
    let tenants = shown.map(|it| Tenant {
        name: it.tenant.to_string(),
        calls: it.calls,
        budgets: it.spent.iter().map(|it| budget(rules, it)).collect(),
    });
    (tenants.collect(), left_out)
}

/// How much of a budget is used, of a thousand.
pub(super) fn permille(spent: &Spent) -> u64 {
    let used = spent.used.booked.saturating_add(spent.used.held);
    let limit = spent.limit.millionths().max(1);
    let share = u128::from(used.millionths()) * 1_000 / u128::from(limit);
    u64::try_from(share).unwrap_or(u64::MAX)
}

fn budget(rules: &RuleSet, spent: &Spent) -> Budget {
    let period = match spent.quantity {
        Quantity::MoneyPerMonth => "month",
        _ => "day",
    };
    let number = |money| {
        let currency = spent.currency;
        let text = Amount { currency, money }.to_string();
        let digits = text.split_once(' ').map(|(_, digits)| digits.to_owned());
        digits.unwrap_or(text)
    };
    let text = rules.rule(spent.rule).text;
    Budget {
        cap: (!spent.own).then(|| text.to_owned()),
        period: period.to_owned(),
        currency: spent.currency.to_string(),
        limit: number(spent.limit),
        spent: number(spent.used.booked),
        held: number(spent.used.held),
        used_permille: permille(spent),
    }
}

/// A span of time for people: its two largest units.
pub(super) fn span(seconds: u64) -> String {
    let time = Duration::from_secs(seconds).as_secs();
    let units = [
        (time / 86_400, "d"),
        (time / 3_600 % 24, "h"),
        (time / 60 % 60, "min"),
        (time % 60, "s"),
    ];
    let shown = units.iter().skip_while(|(count, _)| *count == 0).take(2);
    let parts: Vec<String> = shown
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    match parts.is_empty() {
        true => "0 s".to_owned(),
        false => parts.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn spans_are_short() {
        let shown = [0, 59, 60, 61, 7_200, 93_784, 86_403].map(span);
        assert_eq!(
            shown,
            ["0 s", "59 s", "1 min", "1 min 1 s", "2 h", "1 d 2 h", "1 d"]
        );
    }
}
