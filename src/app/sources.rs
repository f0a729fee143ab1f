//! Reads the configuration and every rule file, and says plainly what cannot be read.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::base::limits::{RULE_FILE_BYTES, TARIFF_BYTES};
use crate::policy::{Diagnostic, Severity, Source, Sources, outline};

/// What was read.
pub(super) struct Found {
    /// Every file of rules.
    pub(super) sources: Sources,
    /// A warning for each file in their folders that is none by its name.
    pub(super) passed_over: Vec<Diagnostic>,
}

/// Reads `config` and every file in the policies folder that it names.
///
/// # Errors
/// One line: what cannot be read, and what to do.
pub(super) fn load(config: &Path) -> Result<Found, String> {
    let main = main_file(config)?;
    let folder = beside(config, &outline(&main).policies);
    let mut found = Found {
        sources: Sources {
            main,
            ..Sources::default()
        },
        passed_over: Vec::new(),
    };
    if let Err(fault) = policies(config, &folder, &mut found) {
        // A main file that breaks off may not have come to say where the folder
        // is. Compiling it says where it breaks off, which matters more.
        if found.sources.main.text.parse::<toml::Table>().is_ok() {
            return Err(fault);
        }
    }
    Ok(found)
}

/// Where the ledger of this configuration is.
///
/// # Errors
/// One line: what cannot be read, and what to do.
pub(super) fn ledger_of(config: &Path) -> Result<PathBuf, String> {
    main_file(config).map(|main| beside(config, &outline(&main).ledger))
}

/// Where the control socket of this configuration is.
///
/// # Errors
/// One line: what cannot be read, and what to do.
pub(super) fn socket_of(config: &Path) -> Result<PathBuf, String> {
    main_file(config).map(|main| beside(config, &outline(&main).socket))
}

fn policies(config: &Path, folder: &Path, found: &mut Found) -> Result<(), String> {
    if !folder.is_dir() {
        let what = match folder.exists() {
            true => "a file, and no folder",
            false => "no such folder",
        };
        return Err(format!(
            "{}: {what}: create it with tenants/ and plans/ in it, or correct \
             [policies] directory in {}",
            folder.display(),
            config.display()
        ));
    }
    let Found {
        sources,
        passed_over: odd,
    } = found;
    sources.tenants = files(&folder.join("tenants"), &TOML, Missing::Fault, odd)?;
    sources.numbering = numbering(&folder.join("numbering/table.tsv"))?;
    sources.plans = files(&folder.join("plans"), &TOML, Missing::Fault, odd)?;
    sources.tariffs = files(&folder.join("tariffs"), &CSV, Missing::Empty, odd)?;
    Ok(())
}

fn main_file(config: &Path) -> Result<Source, String> {
    if config.is_dir() {
        let inside = config.join("tollgate.toml");
        return Err(format!(
            "{} is a folder: name the file in it, such as -c {}",
            config.display(),
            inside.display()
        ));
    }
    read(config, &TOML).map_err(|fault| match fault {
        Unread::Missing => format!(
            "{}: no such file: name the configuration with -c FILE",
            config.display()
        ),
        Unread::Because(text) => text,
    })
}

/// A path of the configuration, which is relative to its folder.
pub(super) fn beside(config: &Path, path: &str) -> PathBuf {
    match config.parent() {
        // Without a `.` in the middle, for the eye.
        Some(folder) => folder.join(path).components().collect(),
        None => PathBuf::from(path),
    }
}

/// A whole file of up to `most` bytes.
///
/// # Errors
/// One line: it cannot be read, or is something else.
pub(super) fn read_whole(path: &Path, most: usize) -> Result<Vec<u8>, String> {
    let fault = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    let long = |length: u64| length > u64::try_from(most).unwrap_or(u64::MAX);
    let there = path.metadata().map_err(|error| fault(&error))?;
    if !there.is_file() || long(there.len()) {
        return Err(fault(&format!("it is no file of up to {most} bytes")));
    }
    std::fs::read(path).map_err(|error| fault(&error))
}

/// A kind of file.
struct Form {
    /// How its name ends.
    extension: &'static str,
    /// How many bytes it may have.
    most: usize,
    /// What to do about one that has more.
    help: &'static str,
}

const TOML: Form = Form {
    extension: "toml",
    most: RULE_FILE_BYTES,
    help: "which is no rule file: split it, or take it out",
};

const CSV: Form = Form {
    extension: "csv",
    most: TARIFF_BYTES,
    help: "which is no tariff: keep the rows of destinations that the rules allow, and write one \
           row for a country where its numbers cost the same",
};

const TSV: Form = Form {
    extension: "tsv",
    most: RULE_FILE_BYTES,
    help: "which is no numbering table: take one as it was generated, or delete the file",
};

/// The numbering table, if there is one beside the other files.
fn numbering(path: &Path) -> Result<Option<Source>, String> {
    match read(path, &TSV) {
        Ok(source) => Ok(Some(source)),
        Err(Unread::Missing) => Ok(None),
        Err(Unread::Because(text)) => Err(text),
    }
}

/// What a missing folder means.
#[derive(Clone, Copy)]
enum Missing {
    Fault,
    Empty,
}

/// Every file of this form in a folder, by name. Others are passed over, with a
/// warning unless it is plain that they are meant to be.
fn files(
    path: &Path,
    form: &Form,
    missing: Missing,
    passed_over: &mut Vec<Diagnostic>,
) -> Result<Vec<Source>, String> {
    let (shown, extension) = (path.display(), form.extension);
    let listing = match (std::fs::read_dir(path), missing) {
        (Ok(listing), _) => listing,
        (Err(error), Missing::Empty) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Vec::new());
        }
        (Err(error), _) if error.kind() == io::ErrorKind::NotFound => {
            return Err(format!(
                "{shown}: no such folder: create it and put .{extension} files in it"
            ));
        }
        (Err(error), _) => return Err(format!("{shown}: {}", because(&error))),
    };
    let mut paths = Vec::new();
    for entry in listing {
        let path = entry
            .map_err(|error| format!("{shown}: {}", because(&error)))?
            .path();
        if path.extension().is_some_and(|found| found == extension) && !is_put_away(&path) {
            paths.push(path);
        } else if path.is_file() && !is_put_away(&path) {
            passed_over.push(is_no_rule_file(&path, extension));
        }
    }
    paths.sort_unstable();
    passed_over.sort_by(|a, b| a.file.cmp(&b.file));
    let each = paths.iter().map(|path| {
        read(path, form).map_err(|fault| match fault {
            Unread::Missing if path.is_symlink() => format!(
                "{}: a link to what is not there: correct it, or take it out",
                path.display()
            ),
            Unread::Missing => format!("{}: it went while it was read; try again", path.display()),
            Unread::Because(text) => text,
        })
    });
    each.collect()
}

/// Endings of files that are kept, but are not to be read.
const PUT_AWAY: [&str; 7] = ["bak", "old", "orig", "save", "disabled", "off", "md"];

/// Whether it is plain from the name that this is not to be read: a hidden file, as
/// editors leave, or one that was put away.
fn is_put_away(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let extension = path.extension().and_then(|it| it.to_str());
    name.starts_with(b".")
        || name.ends_with(b"~")
        || extension.is_some_and(|it| PUT_AWAY.contains(&it) || it.starts_with("dpkg-"))
}

fn is_no_rule_file(path: &Path, extension: &str) -> Diagnostic {
    Diagnostic {
        file: path.display().to_string(),
        span: 0..0,
        line: 1,
        column: 1,
        title: "this file is passed over".to_owned(),
        label: String::new(),
        help: Some(format!(
            "files here are read if they end in .{extension}: rename it, or take it out"
        )),
        severity: Severity::Warning,
    }
}

enum Unread {
    Missing,
    Because(String),
}

fn read(path: &Path, form: &Form) -> Result<Source, Unread> {
    let shown = path.display();
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Unread::Missing,
        _ => Unread::Because(format!("{shown}: {}", because(&error))),
    };
    // A named pipe would otherwise be waited for until someone writes to it.
    let mut open = File::options();
    open.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
    let file = open.open(path).map_err(failed)?;
    let kind = file.metadata().map_err(failed)?.file_type();
    if !kind.is_file() {
        let what = match kind.is_dir() {
            true => "a folder",
            false => "a pipe, socket or device",
        };
        return Err(Unread::Because(format!(
            "{shown}: {what}, and no file: rename it, or take it out"
        )));
    }
    let mut bytes = Vec::new();
    let most = u64::try_from(form.most).unwrap_or(u64::MAX);
    file.take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() > form.most {
        let (megabytes, help) = (form.most / 1_000_000, form.help);
        return Err(Unread::Because(format!(
            "{shown}: larger than {megabytes} MB, {help}"
        )));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = 1 + error
            .as_bytes()
            .iter()
            .take(at)
            .filter(|&&byte| byte == b'\n')
            .count();
        Unread::Because(format!(
            "{shown}:{line}: not UTF-8 text: save the file as UTF-8"
        ))
    })?;
    Ok(Source {
        name: shown.to_string(),
        text,
    })
}

fn because(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("{error}: give the user that Tollgate runs as the right to read it")
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_beside_the_configuration() {
        let path = |config: &str, path| beside(Path::new(config), path);
        assert_eq!(
            path("/etc/t/tollgate.toml", "rules"),
            Path::new("/etc/t/rules")
        );
        assert_eq!(path("/etc/t/tollgate.toml", "/var/l"), Path::new("/var/l"));
        assert_eq!(path("tollgate.toml", "var/ledger"), Path::new("var/ledger"));
    }
}
