//! Alerts: what is worth one in the journal and in the figures, and where they go.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::admin::alert::{
    Collector, Destination, Mailbox, Outbox, Sending, Webhook,
};
use crate::ledger::{Ledger, Sink};
use crate::net::{Reins, clock};
use crate::policy::{Alerting, SecretIn, Syslog};

use super::sources::beside;
use super::watch::{Kept, Watch};

/// How long the end waits for what is still to be sent.
const PATIENCE: Duration = Duration::from_secs(3);

/// The longest secret, and the largest file of certificates.
const SECRET_BYTES: usize = 4_096;
const CA_BYTES: usize = 4 << 20;

/// Where systems keep the certificates that they trust.
const SYSTEM_CA: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// Alerts while the program runs.
pub(super) struct Alerts {
    /// To be given the reins as soon as there are some.
    pub(super) reins: Arc<OnceLock<Reins>>,
    sending: Option<Sending>,
}

impl Alerts {
    /// Begins to send what waits, and says who is to follow the journal: nobody if
    /// no place is configured.
    pub(super) fn start(
        alerting: &Alerting,
        config: &Path,
        ledger: &Ledger,
    ) -> (Self, Option<Box<dyn Sink>>) {
        let reins = Arc::new(OnceLock::new());
        if alerting.is_empty() {
            let sending = None;
            return (Self { reins, sending }, None);
        }
        let destinations = destinations(alerting, config);
        let names: Vec<String> = destinations.iter().map(|it| it.name()).collect();
        let mut kept = Kept::read(ledger);
        let outbox = Outbox::new(&names, std::mem::take(&mut kept.waiting));
        let sending = Some(outbox.start(destinations));
        let watch = Watch::new(config, ledger, kept, outbox, Arc::clone(&reins));
        (Self { reins, sending }, Some(Box::new(watch)))
    }

    /// Ends: what still waits has a few seconds to be taken.
    pub(super) fn finish(self) {
        if let Some(sending) = self.sending {
            sending.finish(PATIENCE);
        }
    }
}

/// Every place that can be made. One that lacks its secret is said, and the others
/// are told all the same: no telephone is to be dead for that.
fn destinations(alerting: &Alerting, config: &Path) -> Vec<Box<dyn Destination>> {
    let mut all: Vec<Box<dyn Destination>> = Vec::new();
    for webhook in &alerting.webhooks {
        match web_server(webhook, config) {
            Ok(webhook) => all.push(Box::new(webhook)),
            Err(fault) => tracing::error!("no alerts go to a webhook of [alerts]: {fault}"),
        }
    }
    for syslog in &alerting.syslogs {
        all.push(Box::new(match syslog {
            Syslog::Udp(address) => Collector::Udp(*address),
            Syslog::Unix(path) => Collector::Unix(beside(config, path)),
        }));
    }
    for mail in &alerting.mails {
        all.push(Box::new(Mailbox {
            relay: mail.relay,
            from: mail.from.clone(),
            to: mail.to.clone(),
        }));
    }
    all
}

fn web_server(webhook: &crate::policy::Webhook, config: &Path) -> Result<Webhook, String> {
    let secret = webhook.secret.as_ref();
    let secret = secret.map(|it| secret_in(it, config)).transpose()?;
    let ca = match &webhook.ca {
        Some(path) => read(&beside(config, path), CA_BYTES)?,
        None => SYSTEM_CA
            .iter()
            .find_map(|path| read(Path::new(path), CA_BYTES).ok())
            .unwrap_or_default(),
    };
    Webhook::new(&webhook.url, secret.as_deref(), &ca, seconds).map_err(|fault| {
        format!("{fault}: name a file of certificates with `ca` in [[alerts.webhook]]")
    })
}

/// The secret itself, without the line's end that editors leave.
fn secret_in(place: &SecretIn, config: &Path) -> Result<Vec<u8>, String> {
    let mut secret = match place {
        SecretIn::File(path) => read(&beside(config, path), SECRET_BYTES)?,
        SecretIn::Env(name) => match std::env::var(name) {
            Ok(secret) => secret.into_bytes(),
            Err(_) => return Err(format!("the environment has no text {name}")),
        },
    };
    while matches!(secret.last(), Some(b'\n' | b'\r')) {
        secret.pop();
    }
    match secret.is_empty() {
        true => Err("its secret is empty".to_owned()),
        false => Ok(secret),
    }
}

fn read(path: &Path, most: usize) -> Result<Vec<u8>, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    match bytes.len() <= most {
        true => Ok(bytes),
        false => Err(format!("{}: it has over {most} bytes", path.display())),
    }
}

/// Seconds since the epoch.
fn seconds() -> u64 {
    u64::try_from(clock::now().wall.as_micros() / 1_000_000).unwrap_or(0)
}
