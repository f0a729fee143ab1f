//! `[alerts]`: who is told when something is stopped.

mod mail;

use std::net::{IpAddr, SocketAddr};

use super::secret::secret;
use crate::base::limits::ALERT_DESTINATIONS;
use crate::policy::alerting::{Alerting, Syslog, Webhook};
use crate::policy::diagnostic::{At, Fault, Faults};
use crate::policy::model::{AlertsTable, WebhookTable};
use crate::policy::values;

/// Reads where alerts go.
pub(super) fn alerts(table: &AlertsTable<'_>, faults: &mut Faults<'_>) -> Alerting {
    let webhooks = table.webhooks.iter();
    let syslogs = table.syslogs.iter();
    let mails = table.mails.iter();
    let alerting = Alerting {
        webhooks: webhooks.filter_map(|it| webhook(it, faults)).collect(),
        syslogs: syslogs.filter_map(|it| syslog(*it, faults)).collect(),
        mails: mails.filter_map(|it| mail::mail(it, faults)).collect(),
    };
    let places = table.webhooks.iter().map(|it| it.place);
    let places = places.chain(table.syslogs.iter().map(|it| it.place));
    let mut places = places.chain(table.mails.iter().map(|it| it.place));
    if let Some(place) = places.nth(ALERT_DESTINATIONS) {
        let fault = Fault::error(format!("alerts go to {ALERT_DESTINATIONS} places at most"));
        faults.add(place, fault.help("send them to one that passes them on"));
    }
    alerting
}

/// No text that goes into a header or a command may end it.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.len() <= 1_024 && text.bytes().all(|it| it.is_ascii_graphic())
}

/// Whether a host, with a port perhaps, is this machine by its address.
fn is_local(host: &str) -> bool {
    let address = host.parse::<SocketAddr>().map(|it| it.ip());
    let address = address.or_else(|_| host.trim_matches(['[', ']']).parse());
    let name = host.split(':').next().unwrap_or_default();
    address.is_ok_and(|it: IpAddr| it.is_loopback()) || name == "localhost"
}

fn webhook(table: &WebhookTable<'_>, faults: &mut Faults<'_>) -> Option<Webhook> {
    let url = table.url?;
    let rest = ["https://", "http://"]
        .iter()
        .find_map(|it| url.value.strip_prefix(it));
    let host = rest
        .and_then(|it| it.split(['/', '?', '#']).next())
        .unwrap_or_default();
    if host.is_empty() || host.contains('@') || !is_plain(url.value) {
        let fault = Fault::error(format!(
            "`{}` is no URL that alerts can be sent to",
            url.value
        ));
        let help = "write http:// or https://, a host and a path, and no password in it";
        faults.add(url.place, fault.help(help));
        return None;
    }
    if url.value.starts_with("http://") && !is_local(host) {
        let fault = Fault::warning("these alerts can be read on their way")
            .label("numbers and names go through the network as they are")
            .help("use https://");
        faults.add(url.place, fault);
    }
    let missing = Fault::warning("these alerts are not signed")
        .label("anybody can send such messages to that server")
        .help("add secret_file or secret_env, the name of a variable of the environment");
    let places = (table.secret_file, table.secret_env);
    let secret = secret(places, "secret", (missing, table.place), faults);
    Some(Webhook {
        url: url.value.to_owned(),
        secret,
        ca: table.ca.map(|it| it.value.to_owned()),
    })
}

fn syslog(address: At<&str>, faults: &mut Faults<'_>) -> Option<Syslog> {
    let text = address.value;
    let read = match (text.strip_prefix("udp:"), text.strip_prefix("unix:")) {
        (Some(rest), _) => values::host_and_port(rest, 514).ok().map(Syslog::Udp),
        (_, Some(path)) => (!path.is_empty()).then(|| Syslog::Unix(path.to_owned())),
        _ => None,
    };
    if read.is_none() {
        let fault = Fault::error(format!("`{text}` is no place where syslog is collected"));
        let help = "write \"udp:192.0.2.1:514\", or \"unix:/dev/log\"";
        faults.add(address.place, fault.help(help));
    }
    read
}
