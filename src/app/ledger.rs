//! `tollgate ledger …`: the evidence, read back.

use std::io::{self, BufWriter, Write};

use crate::ledger::{ExportError, Filter, Form, Reader, export};

use super::calls::{hint, in_order, nobody};
use super::render::count;
use super::{cli, log, sources};

/// `tollgate ledger export`.
///
/// # Errors
/// One line: what is wrong, and what to do.
pub(super) fn run(wanted: cli::Export) -> Result<(), String> {
    let cli::Json::Lines = wanted.json;
    let directory = match (wanted.place.dir, wanted.place.config) {
        (Some(directory), _) => directory,
        (None, Some(config)) => sources::ledger_of(&config)?,
        (None, None) => return Err("give -c FILE or --dir DIR".to_owned()),
    };
    let mut reader = Reader::open(&directory).map_err(|fault| fault.to_string())?;
    if reader.is_empty() {
        return Err(format!("{}: there is no journal here", directory.display()));
    }
    let which = wanted.which;
    in_order(which.since, which.until)?;
    let hint = hint(which.number.as_deref());
    let tenant = which.tenant.clone();
    let filter = Filter {
        tenant: which.tenant,
        since: which.since,
        until: which.until,
        decision: which.verdict.map(Into::into),
        number: which.number,
    };
    let form = if wanted.csv { Form::Csv } else { Form::Lines };
    let mut out = BufWriter::new(io::stdout().lock());
    let done = export(&mut reader, &filter, form, &mut out).and_then(|summary| match out.flush() {
        Ok(()) => Ok(summary),
        Err(error) => Err(ExportError::Output(error)),
    });
    match done {
        Ok(summary) if summary.damaged > 0 => Err(format!(
            "{}: {}, each with a line of its own above: compare with a backup",
            directory.display(),
            count(
                usize::try_from(summary.damaged).unwrap_or(usize::MAX),
                "damaged place",
                "damaged places"
            )
        )),
        Ok(_) if reader.missing() > 0 => Err(format!(
            "{}: {} missing between others, and with them their records: compare with a backup",
            directory.display(),
            match reader.missing() {
                1 => "1 segment is".to_owned(),
                many => format!("{many} segments are"),
            }
        )),
        Ok(summary) => {
            if summary.records == 0 {
                let unknown = tenant.filter(|it| !summary.tenants.contains(it));
                let hint = unknown.map_or(hint, |it| nobody(&it, &summary.tenants));
                log::say(&format!("tollgate: the journal has no such record{hint}"));
            }
            Ok(())
        }
        // Whoever read our output has seen enough.
        Err(ExportError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(ExportError::Output(error)) => Err(format!("cannot write the output: {error}")),
        Err(ExportError::Ledger(fault)) => Err(fault.to_string()),
    }
}
