//! `tollgate ledger verify`.

use std::fmt::Write;
use std::process::ExitCode;

use crate::ledger::{Expected, Report, public_key, verify};

use super::render::count;
use super::{cli, print, sources};

/// Findings shown at most: the first ones tell the most.
const SHOWN: usize = 100;

/// Verifies, and says what was found.
///
/// # Errors
/// One line: what is wrong, and what to do.
pub(super) fn run(wanted: &cli::Verify) -> Result<ExitCode, String> {
    let directory = match (&wanted.dir, &wanted.config) {
        (Some(directory), _) => directory.clone(),
        (None, Some(config)) => sources::ledger_of(config)?,
        (None, None) => return Err("give the ledger's folder, or -c FILE".to_owned()),
    };
    if !directory.is_dir() {
        return Err(format!("{}: there is no such folder", directory.display()));
    }
    let fault = |fault: crate::ledger::Fault| fault.to_string();
    let key = public_key(wanted.key.as_ref().unwrap_or(&directory)).map_err(fault)?;
    let expected = wanted.expect.as_deref().map(Expected::read).transpose();
    let expected = expected.map_err(fault)?;
    let report = verify(&directory, &key, expected.as_ref()).map_err(fault)?;
    print(&shown(&report))?;
    match report.findings.len() {
        0 if report.late.is_empty() => Ok(ExitCode::SUCCESS),
        0 => Err(format!(
            "{}: {} signed only long after they were written: who removes checkpoints leaves \
             that, or a disk that was full for hours; compare with a backup, or with checkpoints kept elsewhere (--expect)",
            directory.display(),
            match report.late.len() {
                1 => "records at 1 place were".to_owned(),
                count => format!("records at {count} places were"),
            }
        )),
        count => Err(format!(
            "{}: {}: compare with a backup",
            directory.display(),
            match count {
                1 => "1 place is not as it was signed".to_owned(),
                _ => format!("{count} places are not as they were signed"),
            }
        )),
    }
}

fn shown(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let found = report.findings.iter().chain(&report.late);
    for finding in found.take(SHOWN) {
        let _ = writeln!(text, "{finding}");
    }
    let found = report.findings.len() + report.late.len();
    if let Some(more @ 1..) = found.checked_sub(SHOWN) {
        let _ = writeln!(text, "and {more} more");
    }
    for remark in &report.remarks {
        let _ = writeln!(text, "{remark}");
    }
    let amount = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let records = count(amount(report.records), "record", "records");
    let checkpoints = count(amount(report.checkpoints), "checkpoint", "checkpoints");
    let _ = write!(text, "{records}, {checkpoints}");
    if let Some((number, wall)) = report.last {
        let _ = write!(text, ", the last one {number} of {}", wall);
    }
    match report.unsigned {
        0 => text.push('\n'),
        later => {
            let records = count(amount(later), "record", "records");
            let behind = match (report.last, later) {
                (None, _) => "not signed",
                (Some(_), 1) => "came after it and is not signed yet",
                (Some(_), _) => "came after it and are not signed yet",
            };
            let _ = writeln!(text, "; {records} {behind}");
        }
    }
    if found == 0 && report.last.is_some() {
        text.push_str("intact: all of it is as it was signed\n");
    }
    text
}
