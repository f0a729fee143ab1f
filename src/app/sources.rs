//! Reads the configuration and every rule file, and says plainly what cannot be read.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::base::limits::{RULE_FILE_BYTES, TARIFF_BYTES};
use crate::policy::Source;
use crate::policy::{Sources, outline};

/// Reads `config` and every file in the policies folder that it names.
///
/// # Errors
/// One line: what cannot be read, and what to do.
pub(super) fn load(config: &Path) -> Result<Sources, String> {
    let main = main_file(config)?;
    let folder = beside(config, &outline(&main).policies);
    let mut sources = Sources {
        main,
        ..Sources::default()
    };
    if let Err(fault) = policies(config, &folder, &mut sources) {
        // A main file that breaks off may not have come to say where the folder
        // is. Compiling it says where it breaks off, which matters more.
        if sources.main.text.parse::<toml::Table>().is_ok() {
            return Err(fault);
        }
    }
    Ok(sources)
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

fn policies(config: &Path, folder: &Path, sources: &mut Sources) -> Result<(), String> {
    if !folder.is_dir() {
        return Err(format!(
            "{}: no such folder: create it with tenants/ and plans/ in it, or correct \
             [policies] directory in {}",
            folder.display(),
            config.display()
        ));
    }
    sources.tenants = files(&folder.join("tenants"), &TOML, Missing::Fault)?;
    sources.numbering = numbering(&folder.join("numbering/table.tsv"))?;
    sources.plans = files(&folder.join("plans"), &TOML, Missing::Fault)?;
    sources.tariffs = files(&folder.join("tariffs"), &CSV, Missing::Empty)?;
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
fn beside(config: &Path, path: &str) -> PathBuf {
    match config.parent() {
        // Without a `.` in the middle, for the eye.
        Some(folder) => folder.join(path).components().collect(),
        None => PathBuf::from(path),
    }
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

/// Every file of this form in a folder, by name. Hidden files, which editors leave,
/// are passed over.
fn files(path: &Path, form: &Form, missing: Missing) -> Result<Vec<Source>, String> {
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
        let hidden = path
            .file_name()
            .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|found| found == extension) {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    let each = paths.iter().map(|path| {
        read(path, form).map_err(|fault| match fault {
            Unread::Missing => format!("{}: it went while it was read; try again", path.display()),
            Unread::Because(text) => text,
        })
    });
    each.collect()
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
    let mut bytes = Vec::new();
    let most = u64::try_from(form.most).unwrap_or(u64::MAX);
    File::open(path)
        .and_then(|file| file.take(most.saturating_add(1)).read_to_end(&mut bytes))
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
