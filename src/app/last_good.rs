//! The rules that compiled last, kept with the ledger: what a start falls back to
//! when the files are broken, rather than leave the telephones dead.

use serde::{Deserialize, Serialize};

use crate::ledger::{Fault, Ledger};
use crate::policy::{Source, Sources};

const NAME: &str = "rules.json";

#[derive(Serialize, Deserialize)]
struct Kept {
    main: File,
    #[serde(default)]
    numbering: Option<File>,
    tenants: Vec<File>,
    plans: Vec<File>,
    tariffs: Vec<File>,
}

#[derive(Serialize, Deserialize)]
struct File {
    name: String,
    text: String,
}

/// Keeps rules that compiled, as [`written`].
///
/// # Errors
/// [`Fault`]: they cannot be written; those kept before still are.
pub(super) fn keep(ledger: &Ledger, written: &[u8]) -> Result<(), Fault> {
    ledger.keep(NAME, written)
}

/// Rules as they are kept.
pub(super) fn written(sources: &Sources) -> Vec<u8> {
    let file = |source: &Source| File {
        name: source.name.clone(),
        text: source.text.clone(),
    };
    let files = |sources: &[Source]| sources.iter().map(file).collect();
    let kept = Kept {
        main: file(&sources.main),
        numbering: sources.numbering.as_ref().map(file),
        tenants: files(&sources.tenants),
        plans: files(&sources.plans),
        tariffs: files(&sources.tariffs),
    };
    serde_json::to_vec(&kept).unwrap_or_default()
}

/// The rules kept last, if there are any that can be read.
pub(super) fn kept(ledger: &Ledger) -> Option<Sources> {
    let bytes = ledger.kept(NAME).ok()??;
    let kept: Kept = serde_json::from_slice(&bytes).ok()?;
    let source = |file: File| Source {
        name: file.name,
        text: file.text,
    };
    let sources = |files: Vec<File>| files.into_iter().map(source).collect();
    Some(Sources {
        main: source(kept.main),
        numbering: kept.numbering.map(source),
        tenants: sources(kept.tenants),
        plans: sources(kept.plans),
        tariffs: sources(kept.tariffs),
    })
}
