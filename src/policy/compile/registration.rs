//! `[carrier.registration]`: the account that Tollgate has with a carrier.

use std::sync::Arc;
use std::time::Duration;

use super::build::{Build, duration};
use super::secret::secret;
use crate::policy::alerting::SecretIn;
use crate::policy::diagnostic::{At, Fault, Faults, Place};
use crate::policy::door::Account;
use crate::policy::model::{AccountTable, RegistrationTable};
use crate::policy::registration::Registration;
use crate::policy::ruleset::TenantId;
use crate::sip::uri::{SipUri, Uri};

/// For how long it registers unless the file says otherwise.
const EXPIRES: Duration = Duration::from_secs(3_600);
/// The shortest time: a refresh in half a minute.
const LEAST: Duration = Duration::from_secs(60);
const MOST: Duration = Duration::from_secs(86_400);

/// The longest name of an account, and of a realm, in bytes.
const LONGEST: usize = 128;

/// Reads the account of the carrier of this name.
pub(super) fn registration(
    build: &Build<'_>,
    carrier: &str,
    table: &RegistrationTable<'_>,
    faults: &mut Faults<'_>,
) -> Option<Registration> {
    let secret = password((table.secret_file, table.secret_env), table.place, faults);
    let expires = table
        .expires
        .map_or(Some(EXPIRES), |text| duration(text, LEAST, MOST, faults));
    let aor = table.aor?;
    let Some((user, host)) = parts(aor.value) else {
        let fault = Fault::error(format!("`{}` is nobody's address", aor.value));
        let help = "write a SIP address without parameters: \"sip:0312345678@sip.example.net\"";
        faults.add(aor.place, fault.help(help));
        return None;
    };
    let registrar = table.registrar.map_or(host.as_str(), |it| it.value);
    let registrar = registrar.strip_prefix("sip:").unwrap_or(registrar);
    let uri = format!("sip:{registrar}");
    if host_of(&uri).is_none() {
        let at = table.registrar.unwrap_or(aor);
        let fault = Fault::error(format!("`{registrar}` is no registrar"));
        faults.add(at.place, fault.help("write a domain name or an address"));
        return None;
    }
    let domain = host_of(&uri).unwrap_or_default();
    let username = name(table.username, user, faults)?;
    let realm = name(table.realm, domain, faults)?;
    let mut made = Registration::new(
        [aor.value.to_owned(), uri, username, realm],
        (
            table.register.is_none_or(|it| it.value),
            u32::try_from(expires?.as_secs()).unwrap_or(u32::MAX),
        ),
        secret?,
        build.counters.registered(&Arc::from(carrier)),
    );
    made.gruu = table.gruu.is_some_and(|it| it.value);
    Some(made)
}

/// User, and host with port, of a SIP address that is nothing else.
fn parts(text: &str) -> Option<(String, String)> {
    let Ok(Uri::Sip(SipUri {
        user: Some(user),
        password: None,
        secure: false,
        params: [],
        headers: None,
        ..
    })) = Uri::parse(text.as_bytes())
    else {
        return None;
    };
    let user = std::str::from_utf8(user).ok()?;
    let host = text.rsplit('@').next().unwrap_or_default();
    (!user.contains(';')).then(|| (user.to_owned(), host.to_owned()))
}

/// The host of a SIP address without a user part.
fn host_of(uri: &str) -> Option<String> {
    let Ok(Uri::Sip(SipUri {
        user: None,
        host,
        params: [],
        headers: None,
        ..
    })) = Uri::parse(uri.as_bytes())
    else {
        return None;
    };
    Some(host.to_string())
}

/// A name as it can stand between quotes.
fn name(given: Option<At<&str>>, usual: String, faults: &mut Faults<'_>) -> Option<String> {
    let Some(text) = given else {
        return Some(usual);
    };
    let plain = |it: char| !it.is_control() && it != '"' && it != '\\';
    if text.value.is_empty() || text.value.len() > LONGEST || !text.value.chars().all(plain) {
        let fault = Fault::error("this cannot be a name");
        let help = format!("write 1 to {LONGEST} letters without quotes and backslashes");
        faults.add(text.place, fault.help(help));
        return None;
    }
    Some(text.value.to_owned())
}

/// Reads what a tenant's phone system registers with.
pub(super) fn accounts(
    build: &mut Build<'_>,
    tables: &[AccountTable<'_>],
    tenant: TenantId,
    faults: &mut Faults<'_>,
) {
    for table in tables {
        let secret = password((table.secret_file, table.secret_env), table.place, faults);
        let username = table.username.and_then(|it| {
            let text = name(Some(it), String::new(), faults)?;
            Some((it, text))
        });
        let (Some(secret), Some((at, username))) = (secret, username) else {
            continue;
        };
        if let Some((_, first)) = build.accounts.get(username.as_str()) {
            let first = faults.pointer(*first);
            let fault = Fault::error(format!("two accounts are called `{username}`"));
            faults.add(at.place, fault.help(format!("the other is at {first}")));
            continue;
        }
        let account = Account::new(username.into(), tenant, secret);
        build
            .accounts
            .insert(account.username.clone(), (account, at.place));
    }
}

/// Where the password is.
fn password(
    places: (Option<At<&str>>, Option<At<&str>>),
    place: Place,
    faults: &mut Faults<'_>,
) -> Option<SecretIn> {
    let missing = Fault::error("the account has no password").help(
        "add secret_file, the name of a file with the password alone, or secret_env, the \
         name of a variable of the environment",
    );
    secret(places, "password", (missing, place), faults)
}
