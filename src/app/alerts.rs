//! Alerts: what is worth one in the journal and in the figures, and where they go.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::admin::alert::{
    Account, Anchors, Collector, Destination, Mailbox, Outbox, RelayTls, Sending, Unsent, Voice,
    Webhook,
};
use crate::base::limits::CA_BYTES;
use crate::ledger::{Ledger, Sink};
use crate::net::{Reins, WeakNames, clock};
use crate::policy::{self, Alerting, Counters, Security, Syslog};

use super::rules::{self, Broken, Files};
use super::secrets::secret_in;
use super::sources::{beside, read_whole};
use super::watch::{Kept, Watch};
use super::{cli, tls};

/// How long the end waits for what is still to be sent.
const PATIENCE: Duration = Duration::from_secs(3);

/// Alerts while the program runs.
pub(super) struct Alerts {
    /// What waits.
    pub(super) outbox: Outbox,
    /// To be given the reins as soon as there are some.
    pub(super) reins: Arc<OnceLock<Reins>>,
    /// To be given what carriers are called.
    pub(super) names: Arc<OnceLock<WeakNames>>,
    sending: Option<Sending>,
}

impl Alerts {
    /// Begins to send what waits, and says who is to follow the journal: nobody if
    /// no place is configured. Where the clock shows another time than `counters` believe,
    /// by the reckoning of earlier runs, the owner is told.
    pub(super) fn start(
        alerting: &Alerting,
        config: &Path,
        ledger: &Ledger,
        files: &Arc<Files>,
        counters: &Counters,
    ) -> (Self, Option<Box<dyn Sink>>) {
        let (reins, names) = (Arc::new(OnceLock::new()), Arc::new(OnceLock::new()));
        if alerting.is_empty() {
            let alerts = Self {
                outbox: Outbox::default(),
                reins,
                names,
                sending: None,
            };
            return (alerts, None);
        }
        let places = places(alerting, config);
        let named: Vec<String> = places.iter().map(|it| it.name.clone()).collect();
        let mut kept = Kept::read(ledger);
        let outbox = Outbox::new(&named, std::mem::take(&mut kept.waiting));
        let mut destinations = Vec::new();
        for Place { name, made } in places {
            match made {
                Ok(destination) => destinations.push(destination),
                // The others are told all the same: no telephone is to be dead for that.
                Err(fault) => {
                    tracing::error!("no alerts go to {name}, until a restart: {fault}");
                    outbox.give_up(&name, &fault);
                }
            }
        }
        let sending = Some(outbox.start(destinations));
        let watch = Watch::new(
            config,
            ledger,
            kept,
            outbox.clone(),
            (Arc::clone(&reins), Arc::clone(&names)),
            Arc::clone(files),
            counters.believed(clock::now()),
        );
        let alerts = Self {
            outbox,
            reins,
            names,
            sending,
        };
        (alerts, Some(Box::new(watch)))
    }

    /// Ends: what still waits has a few seconds to be taken.
    pub(super) fn finish(self, ledger: &Ledger) {
        if let Some(sending) = self.sending {
            sending.finish(PATIENCE);
            Kept::keep_waiting(ledger, self.outbox.waiting());
        }
    }
}

/// `tollgate alert test`: brings a trial to every place, and says what became of it.
///
/// # Errors
/// One line: what is wrong, and what to do.
pub(super) fn test(wanted: &cli::Configuration) -> Result<(), String> {
    let rules = rules::load(wanted, &Counters::new()).map_err(Broken::show)?;
    let places = places(&rules.set.run().alerts, &wanted.config);
    if places.is_empty() {
        return Err(format!(
            "{} names no place for alerts: add [[alerts.webhook]], [[alerts.syslog]] or \
             [[alerts.mail]]",
            wanted.config.display()
        ));
    }
    let now = clock::now().wall;
    let mut voice = Voice {
        configuration: from_anywhere(&wanted.config),
        run: format!("{:x}", now.as_micros()),
        count: 0,
    };
    let (count, mut failed) = (places.len(), 0);
    for Place { name, made } in places {
        let sent = made.and_then(|mut it| {
            let sent = it.send(&voice.trial(now), "");
            sent.map(|()| it.answers()).map_err(|Unsent(why)| why)
        });
        let line = match sent {
            Ok(true) => format!("{name}: taken\n"),
            Ok(false) => format!("{name}: sent; whether it arrived nobody says over UDP\n"),
            Err(why) => {
                failed += 1;
                format!("{name}: NOT TAKEN: {why}\n")
            }
        };
        super::print(&line)?;
    }
    match failed {
        0 => Ok(()),
        _ => Err(format!("{failed} of {count} places took no alert")),
    }
}

/// A path as a shell takes it, in whichever folder it is typed.
pub(super) fn from_anywhere(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+@%:,=".contains(c);
    match text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// What is wrong with places beside their tables: a secret that is not there, no
/// certificates. One line each.
pub(super) fn faults(alerting: &Alerting, config: &Path) -> Vec<String> {
    let places = places(alerting, config).into_iter();
    let fault = |it: Place| {
        Some(format!(
            "no alerts can go to {}: {}",
            it.name,
            it.made.err()?
        ))
    };
    places.filter_map(fault).collect()
}

/// A place, and what brings alerts there, or why nothing can.
struct Place {
    name: String,
    made: Result<Box<dyn Destination>, String>,
}

fn places(alerting: &Alerting, config: &Path) -> Vec<Place> {
    let webhooks = alerting.webhooks.iter().map(|it| Place {
        name: Webhook::name_of(&it.url),
        made: web_server(it, config).map(|it| Box::new(it) as _),
    });
    let syslogs = alerting.syslogs.iter().map(|it| match it {
        Syslog::Udp(address) => Collector::Udp(*address),
        Syslog::Unix(path) => Collector::Unix(beside(config, path)),
    });
    let mails = alerting.mails.iter().map(|it| mailbox(it, config));
    webhooks.chain(syslogs.map(place)).chain(mails).collect()
}

fn place(destination: impl Destination + 'static) -> Place {
    Place {
        name: destination.name(),
        made: Ok(Box::new(destination)),
    }
}

fn web_server(webhook: &policy::Webhook, config: &Path) -> Result<Webhook, String> {
    let secret = webhook.secret.as_ref();
    let secret = secret.map(|it| secret_in(it, config)).transpose()?;
    let anchors = match webhook.url.starts_with("https:") {
        true => anchors(webhook.ca.as_deref(), config)?,
        false => Anchors::default(),
    };
    Webhook::new(&webhook.url, secret.as_deref(), &anchors, seconds)
        .map_err(|fault| format!("{fault}: {NAME_SOME}"))
}

/// A mailbox, if all of its relay's TLS and account is there.
fn mailbox(mail: &policy::Mail, config: &Path) -> Place {
    let mut mailbox = Mailbox {
        relay: mail.relay.clone(),
        tls: None,
        account: None,
        from: mail.from.clone(),
        to: mail.to.clone(),
    };
    let name = mailbox.name();
    let made = relay_tls(mail, config).and_then(|tls| {
        mailbox.tls = tls;
        mailbox.account = account(mail, config)?;
        Ok(Box::new(mailbox) as _)
    });
    Place { name, made }
}

fn relay_tls(mail: &policy::Mail, config: &Path) -> Result<Option<RelayTls>, String> {
    if mail.security == Security::None {
        return Ok(None);
    }
    let anchors = anchors(mail.ca.as_deref(), config)?;
    let name = mail.tls_name.as_ref().unwrap_or(&mail.relay.host);
    RelayTls::new(name, mail.security == Security::Implicit, &anchors)
        .map(Some)
        .map_err(|fault| format!("{fault}: {NAME_SOME}"))
}

fn account(mail: &policy::Mail, config: &Path) -> Result<Option<Account>, String> {
    let Some((username, secret)) = &mail.account else {
        return Ok(None);
    };
    let password = String::from_utf8(secret_in(secret, config)?)
        .map_err(|_| "its password is no text".to_owned())?;
    Ok(Some(Account {
        username: username.clone(),
        password,
    }))
}

const NAME_SOME: &str = "name a file of certificates (PEM) with `ca`";

/// Who vouches for a place: the certificates in this file, or those that the system
/// trusts.
fn anchors(ca: Option<&str>, config: &Path) -> Result<Anchors, String> {
    match ca {
        Some(path) => Anchors::read(&read_whole(&beside(config, path), CA_BYTES)?)
            .map_err(|fault| format!("`{path}` vouches for nobody: {fault}")),
        None => tls::of_the_system()
            .and_then(|pem| Anchors::read(&pem).map_err(|fault| fault.to_string()))
            .map_err(|why| format!("nobody vouches for it: {why}: {NAME_SOME}")),
    }
}

/// Seconds since the epoch.
fn seconds() -> u64 {
    u64::try_from(clock::now().wall.as_micros() / 1_000_000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_can_be_typed_as_it_is_told() {
        let told = |path: &str| from_anywhere(Path::new(path));
        assert_eq!(
            told("/etc/tollgate/tollgate.toml"),
            "/etc/tollgate/tollgate.toml"
        );
        assert_eq!(
            told("/srv/it's a gate/t.toml"),
            r"'/srv/it'\''s a gate/t.toml'"
        );
        assert_eq!(told("/srv/$(date)"), "'/srv/$(date)'");
        let here = std::env::current_dir().unwrap().join("t.toml");
        assert_eq!(told("t.toml"), told(&here.display().to_string()));
    }
}
