//! `tollgate bans`: strangers who are not heard, because they sent too much.

use std::net::IpAddr;
use std::sync::Arc;

use crate::admin::By;
use crate::admin::protocol::{Banned, Bans, Fault, FaultKind, Order, Reply, Shed};
use crate::net::{self, Ban};
use crate::shard::{Command, Lifted};

use super::blocks::plain;
use super::cli::Bans as Wanted;
use super::control::Desk;
use super::render::count;
use super::{ask, print};

/// `tollgate bans`.
///
/// # Errors
/// One line: what is wrong, and what to do.
pub(super) fn run(wanted: Wanted) -> Result<(), String> {
    let lifts = wanted.all || wanted.lift.is_some();
    let order = match lifts {
        false => Order::Bans,
        true => Order::LiftBans {
            source: wanted.lift,
            why: wanted.why.unwrap_or_default(),
        },
    };
    let reply = ask::last(ask::order(&wanted.config, order)?)?;
    let Reply::Bans(bans) = &reply else {
        return Err(ask::unexpected(&reply));
    };
    if wanted.json {
        let json = serde_json::to_string(bans).map_err(|error| error.to_string())?;
        print(&format!("{json}\n"))?;
    } else {
        print(&text(bans))?;
    }
    match bans.recorded {
        true => Ok(()),
        false => Err("it is not in every shard's journal, which cannot be written now".to_owned()),
    }
}

fn text(bans: &Bans) -> String {
    let mut lines: Vec<String> = bans
        .lifted
        .iter()
        .map(|it| format!("no longer banned: {}", it.source))
        .collect();
    if bans.banned.is_empty() {
        lines.push("nobody is banned".to_owned());
    }
    lines.extend(bans.banned.iter().map(|it| {
        let Banned {
            source,
            since,
            until,
            dropped,
        } = it;
        let dropped = count(
            usize::try_from(*dropped).unwrap_or(usize::MAX),
            "message",
            "messages",
        );
        format!("{source} until {until}, since {since}; {dropped} dropped since")
    }));
    lines.push(String::new());
    lines.join("\n")
}

impl Desk {
    /// Which strangers are banned.
    pub(super) fn bans(&self) -> Bans {
        Bans {
            banned: self.reins.bans().into_iter().map(banned).collect(),
            lifted: Vec::new(),
            recorded: true,
        }
    }

    /// Lifts a ban, or all.
    pub(super) async fn lift_bans(&self, by: &By, source: Option<IpAddr>, why: &str) -> Reply {
        if let Err(fault) = plain(why) {
            return Reply::Fault(fault);
        }
        let lifted = self.reins.lift(source);
        if let (Some(source), true) = (source, lifted.is_empty()) {
            let text = format!("{source} is not banned: see tollgate bans");
            return Reply::Fault(Fault::new(FaultKind::Unknown, text));
        }
        let mut bans = Bans {
            lifted: lifted.into_iter().map(banned).collect(),
            ..self.bans()
        };
        if bans.lifted.is_empty() {
            return Reply::Bans(bans);
        }
        self.keep_bans();
        let detail = match source {
            Some(_) => bans.lifted.iter().map(|it| it.source.as_str()).collect(),
            None => format!("all {}", bans.lifted.len()),
        };
        tracing::warn!(by = %by.name, %detail, why, "no longer banned");
        let lifted = Arc::new(Lifted {
            detail: detail.into(),
            uid: by.uid,
            by: by.name.as_str().into(),
            why: why.into(),
        });
        let told = || Command::Lifted(Arc::clone(&lifted));
        match self.reins.tell(told).await {
            Ok(obeyed) => {
                bans.recorded = obeyed.recorded;
                Reply::Bans(bans)
            }
            Err(silent) => Reply::Fault(Fault::new(FaultKind::Silent, silent.to_string())),
        }
    }
}

fn banned(ban: Ban) -> Banned {
    Banned {
        source: ban.source(),
        since: ban.since.to_string(),
        until: ban.until.to_string(),
        dropped: ban.dropped,
    }
}

/// What was shed, for a status.
pub(super) fn shed(shed: net::Shed) -> Shed {
    let net::Shed {
        whose,
        new,
        under_way,
        emergency,
    } = shed;
    Shed {
        whose,
        new,
        under_way,
        emergency,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bans_are_shown() {
        let mut bans = Bans::default();
        assert_eq!(text(&bans), "nobody is banned\n");
        bans.banned = vec![Banned {
            source: "192.0.2.9".to_owned(),
            since: "2026-11-30T14:00:00Z".to_owned(),
            until: "2026-11-30T15:00:00Z".to_owned(),
            dropped: 1,
        }];
        bans.lifted = vec![Banned {
            source: "2001:db8::/64".to_owned(),
            ..Banned::default()
        }];
        assert_eq!(
            text(&bans),
            "no longer banned: 2001:db8::/64\n192.0.2.9 until 2026-11-30T15:00:00Z, since \
             2026-11-30T14:00:00Z; 1 message dropped since\n"
        );
    }
}
