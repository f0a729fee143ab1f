//! `[[alerts.mail]]`: mailboxes, and the relay that brings the mail.

use super::super::secret::secret;
use super::super::tls::is_name;
use super::{is_local, is_plain};
use crate::policy::alerting::{Mail, Relay, SecretIn, Security};
use crate::policy::diagnostic::{At, Fault, Faults};
use crate::policy::model::MailTable;
use crate::policy::values;

/// The port of relays, and the one where TLS is spoken from the first byte on.
const PORT: u16 = 25;
const TLS_PORT: u16 = 465;

/// Reads one.
pub(super) fn mail(table: &MailTable<'_>, faults: &mut Faults<'_>) -> Option<Mail> {
    if table.to.is_empty() {
        let fault = Fault::error("the mail has no recipient");
        faults.add(table.place, fault.help("add to = [\"owner@example.net\"]"));
    }
    let to = table.to.iter();
    let to: Vec<String> = to.filter_map(|it| address(*it, faults)).collect();
    let from = table.from.and_then(|it| address(it, faults));
    let asked = table.tls.map(|it| (it, security(it, faults)));
    let at = table.relay?;
    let relay = relay(at, asked.and_then(|(_, security)| security), faults);
    let account = account(table, faults);
    let (relay, asked) = match asked {
        Some((_, None)) => return None,
        Some((_, asked)) => (relay?, asked),
        None => (relay?, None),
    };
    let security = asked.unwrap_or(match relay.port {
        TLS_PORT => Security::Implicit,
        _ if is_local(&relay.host) => Security::None,
        _ => Security::StartTls,
    });
    let mail = Mail {
        security,
        tls_name: name(table, faults),
        ca: table.ca.map(|it| it.value.to_owned()),
        account: account?,
        from: from?,
        to,
        relay,
    };
    clear(table, &mail, at, faults);
    Some(mail)
}

/// An address that goes into a command and into a header.
fn address(text: At<&str>, faults: &mut Faults<'_>) -> Option<String> {
    let parts = text.value.rsplit_once('@');
    let plain = is_plain(text.value) && !text.value.contains(['<', '>', '"', '\\']);
    let good = plain && parts.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
    if !good {
        let fault = Fault::error(format!("`{}` is no mail address", text.value));
        faults.add(text.place, fault.help("write, say, \"owner@example.net\""));
    }
    good.then(|| text.value.to_owned())
}

fn security(text: At<&str>, faults: &mut Faults<'_>) -> Option<Security> {
    match text.value {
        "none" => Some(Security::None),
        "starttls" => Some(Security::StartTls),
        "implicit" => Some(Security::Implicit),
        other => {
            let fault = Fault::error(format!("`{other}` is no way to speak to a relay"));
            let help = "write tls = \"starttls\", \"implicit\" (from the first byte on, port 465) or \
                        \"none\"";
            faults.add(text.place, fault.help(help));
            None
        }
    }
}

fn relay(text: At<&str>, asked: Option<Security>, faults: &mut Faults<'_>) -> Option<Relay> {
    let usual = match asked {
        Some(Security::Implicit) => TLS_PORT,
        _ => PORT,
    };
    let fault = match values::host_and_port(text.value, usual) {
        Ok(address) => {
            let (host, port) = (address.ip().to_string(), address.port());
            return Some(Relay { host, port });
        }
        Err(help) => match values::name_and_port(text.value) {
            Ok(Some((name, port))) if is_name(name) => {
                let (host, port) = (name.to_ascii_lowercase(), port.unwrap_or(usual));
                return Some(Relay { host, port });
            }
            Ok(_) => help,
            Err(help) => help,
        },
    };
    let what = Fault::error(format!("`{}` is no address", text.value));
    faults.add(text.place, what.help(fault));
    None
}

/// Whom the relay's certificate must be for.
fn name(table: &MailTable<'_>, faults: &mut Faults<'_>) -> Option<String> {
    let name = table.tls_name?;
    if !is_name(name.value) {
        let fault = Fault::error(format!("no certificate can be for `{}`", name.value));
        let help = "write the domain name that its certificate is for: \"mail.example.net\"";
        faults.add(name.place, fault.help(help));
        return None;
    }
    Some(name.value.to_owned())
}

/// The account; nothing if what is said of it makes no sense.
fn account(table: &MailTable<'_>, faults: &mut Faults<'_>) -> Option<Option<(String, SecretIn)>> {
    let places = (table.secret_file, table.secret_env);
    let Some(username) = table.username else {
        let Some(secret) = places.0.or(places.1) else {
            return Some(None);
        };
        let fault = Fault::error("there is a password, and no account that it is of");
        faults.add(secret.place, fault.help("add username"));
        return None;
    };
    if !is_plain(username.value) {
        let fault = Fault::error(format!("`{}` is no name of an account", username.value));
        faults.add(username.place, fault.help("write it without spaces"));
        return None;
    }
    let missing = Fault::error("the account has no password");
    let help = "add secret_file or secret_env, the name of a variable of the environment";
    let missing = (missing.help(help), username.place);
    let secret = secret(places, "password", missing, faults)?;
    Some(Some((username.value.to_owned(), secret)))
}

/// What goes through the network as it is.
fn clear(table: &MailTable<'_>, mail: &Mail, relay: At<&str>, faults: &mut Faults<'_>) {
    if mail.security != Security::None {
        return;
    }
    for key in [table.tls_name, table.ca].into_iter().flatten() {
        let fault = Fault::error("the relay shows no certificate: it is spoken to in the clear");
        let help = "add tls = \"starttls\" or \"implicit\", or leave this out";
        faults.add(key.place, fault.help(help));
    }
    if is_local(&mail.relay.host) {
        return;
    }
    let place = table.tls.map_or(relay.place, |it| it.place);
    let fault = match mail.account {
        Some(_) => Fault::error("the password would go through the network as it is"),
        None => Fault::warning("these alerts can be read on their way")
            .label("numbers and names go through the network as they are"),
    };
    faults.add(
        place,
        fault.help("write tls = \"starttls\" or \"implicit\""),
    );
}
