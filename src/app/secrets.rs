//! Secrets that the rules name: in files and in the environment, and in no log.

use std::path::Path;

use crate::base::limits::SECRET_BYTES;
use crate::policy::SecretIn;

use super::rules::{Broken, Files, Rules};
use super::sources::{beside, read_whole};

/// The secret itself, without the line's end that editors leave.
///
/// # Errors
/// It is not there, or empty: one line, without it.
pub(super) fn secret_in(place: &SecretIn, config: &Path) -> Result<Vec<u8>, String> {
    let mut secret = match place {
        SecretIn::File(path) => read_whole(&beside(config, path), SECRET_BYTES)?,
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

/// Puts in the passwords of the carriers' accounts. What is wrong comes back, one line
/// each: nothing can be registered there.
pub(super) fn read(rules: &mut Rules, config: &Path) -> Vec<String> {
    rules.set.read_secrets(|place| secret_in(place, config))
}

/// For a start: no telephone is to be dead for a password that it does not need.
pub(super) fn at_start(rules: &mut Rules, config: &Path, files: &Files) {
    for fault in read(rules, config) {
        tracing::error!("{fault}");
        files.note(true);
    }
}

/// For a reload: all of them, or what was in force stays.
///
/// # Errors
/// One line of all that is wrong.
pub(super) fn again(rules: &mut Rules, config: &Path) -> Result<(), Broken> {
    let faults = read(rules, config);
    match faults.is_empty() {
        true => Ok(()),
        false => Err(Broken::Unread(faults.join("; "))),
    }
}
