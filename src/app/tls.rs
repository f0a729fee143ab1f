//! TLS: the files of certificates and keys that the rules name, read and checked.

use std::path::{Path, PathBuf};

use crate::base::limits::CA_BYTES;
use crate::base::time::Wall;
use crate::net::{Expiry, Tls, TlsFault, clock};
use crate::policy::Diagnostic;

use super::render::count;
use super::rules::{Broken, Files, Rules};
use super::sources::{beside, read_whole};

/// Days before its end from which on a certificate is spoken of.
pub(super) const SOON_DAYS: i64 = 30;

const DAY: i64 = 86_400_000_000;

/// The certificates that the system trusts: in the file that SSL_CERT_FILE names, or
/// where systems keep them.
///
/// # Errors
/// There is no file of them: one line.
pub(super) fn of_the_system() -> Result<Vec<u8>, String> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    match named.or_else(|| openssl_probe::probe().cert_file) {
        Some(path) => read_whole(&path, CA_BYTES),
        None => Err(
            "this system has no file of certificates that it trusts, and SSL_CERT_FILE \
                     names none"
                .to_owned(),
        ),
    }
}

/// How many days of a certificate are left, begun ones included; none or fewer, and it
/// has expired.
pub(super) fn days_left(until: Wall, now: Wall) -> i64 {
    let micros = until.as_micros().saturating_sub(now.as_micros());
    micros.div_euclid(DAY) + i64::from(micros.rem_euclid(DAY) > 0)
}

/// What happens to a file's certificates, in words.
pub(super) fn sentence(expiry: &Expiry, now: Wall) -> String {
    let path = &expiry.file.path;
    match days_left(expiry.until, now) {
        ..=0 => format!("the certificate in `{path}` has expired"),
        days => format!(
            "the certificate in `{path}` expires within {}",
            count(usize::try_from(days).unwrap_or(0), "day", "days")
        ),
    }
}

/// What is to be done about it.
pub(super) const RENEW: &str = "put a new one in its place, then `tollgate reload`";

fn read(rules: &Rules, config: &Path, now: Wall) -> (Tls, Vec<TlsFault>) {
    let read = |path: Option<&str>| match path {
        Some(path) => read_whole(&beside(config, path), CA_BYTES),
        None => of_the_system(),
    };
    Tls::load(&rules.set, &read, now)
}

fn shown(rules: &Rules, fault: &TlsFault, usable: bool) -> Option<Diagnostic> {
    let TlsFault {
        file, title, help, ..
    } = fault;
    file.fault(&rules.sources, title, help, usable)
}

/// For `check`: every fault, among them what expires soon.
///
/// # Errors
/// Something cannot be used, or no more: all of it.
pub(super) fn check(rules: &Rules, config: &Path) -> Result<Vec<Diagnostic>, Broken> {
    let now = clock::now().wall;
    let (tls, faults) = read(rules, config, now);
    let mut found: Vec<_> = faults
        .iter()
        .filter_map(|it| shown(rules, it, false))
        .collect();
    let broken = !found.is_empty();
    let soon = tls.expiries().iter().filter(|it| {
        let days = days_left(it.until, now);
        (1..=SOON_DAYS).contains(&days)
    });
    found.extend(soon.filter_map(|it| {
        let title = sentence(it, now);
        it.file.fault(&rules.sources, &title, RENEW, true)
    }));
    match broken {
        true => Err(Broken::Faults(found, Box::new(rules.sources.clone()))),
        false => Ok(found),
    }
}

/// For a start: whatever can be used is, and the rest said in the log. No telephone is to
/// be dead for a certificate that it does not need.
pub(super) fn at_start(rules: &Rules, config: &Path, files: &Files) -> Tls {
    let (tls, faults) = read(rules, config, clock::now().wall);
    for fault in faults.iter().filter_map(|it| shown(rules, it, it.expired)) {
        tracing::error!("{fault}");
    }
    if faults.iter().any(|it| !it.expired) {
        files.note(true);
    }
    files.show(tls.expiries());
    tls
}

/// For a reload: all of it, or nothing. What has expired is taken only where it was so
/// before.
///
/// # Errors
/// What cannot be used: what is in force stays.
pub(super) fn again(rules: &Rules, config: &Path, files: &Files) -> Result<Tls, Broken> {
    let now = clock::now().wall;
    let (tls, faults) = read(rules, config, now);
    let (known, new): (Vec<_>, Vec<_>) = faults
        .iter()
        .partition(|it| it.expired && files.has_expired(&it.file.path, now));
    let broken: Vec<_> = new
        .iter()
        .filter_map(|it| shown(rules, it, false))
        .collect();
    if !broken.is_empty() {
        return Err(Broken::Faults(broken, Box::new(rules.sources.clone())));
    }
    for fault in known.iter().filter_map(|it| shown(rules, it, true)) {
        tracing::warn!("{fault}");
    }
    Ok(tls)
}
