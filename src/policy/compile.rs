//! Rule files compiled to one [`RuleSet`], or every fault in them.

use std::sync::Arc;

use jiff::tz::TimeZoneDatabase;

use super::counters::Counters;
use super::diagnostic::{At, Diagnostic, Fault, Faults, LineIndex, Place, Source};
use super::lane::NO_TARIFF;
use super::model::{self, MainFile};
use super::names::Answers;
use super::numbering::Numbering;
use super::reader::read_file;
use super::ruleset::RuleSet;
use super::tariff;
use build::Build;

mod alerts;
mod bans;
mod budget;
mod build;
mod caps;
mod carrier;
mod choices;
mod claims;
mod destinations;
mod hours;
mod main;
mod on;
mod patterns;
mod plans;
mod registration;
mod secret;
mod tenant;
mod tls;

/// Every file of rules.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The main file, `tollgate.toml`.
    pub main: Source,
    /// `policies/tenants/*.toml`.
    pub tenants: Vec<Source>,
    /// `policies/numbering/table.tsv`; none for the table that is compiled in.
    pub numbering: Option<Source>,
    /// `policies/plans/*.toml`.
    pub plans: Vec<Source>,
    /// `policies/tariffs/*.csv`.
    pub tariffs: Vec<Source>,
}

impl Sources {
    /// All of them, in the order in which they are numbered.
    pub(super) fn all(&self) -> Vec<&Source> {
        let main = std::iter::once(&self.main);
        main.chain(&self.numbering)
            .chain(&self.plans)
            .chain(&self.tariffs)
            .chain(&self.tenants)
            .collect()
    }

    /// BLAKE3 of what is in the files, each kind in the order of the names. The
    /// names themselves are not in it: where the files lie changes no rule.
    fn hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
            hasher.update(bytes);
        };
        let numbering = self.numbering.as_ref();
        part(numbering.map_or(Numbering::TEXT, |it| &it.text).as_bytes());
        part(self.main.text.as_bytes());
        for (kind, sources) in [
            ("plans", &self.plans),
            ("tariffs", &self.tariffs),
            ("tenants", &self.tenants),
        ] {
            part(kind.as_bytes());
            let mut sources: Vec<&Source> = sources.iter().collect();
            sources.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            for source in sources {
                part(source.text.as_bytes());
            }
        }
        hasher.finalize().into()
    }
}

/// How to compile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Accept what is understood but not enforced yet, with a warning.
    pub preview: bool,
}

/// What must be known before the other files can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// The directory of the rule files, relative to the main file.
    pub policies: String,
    /// The journal's directory, relative to the main file.
    pub ledger: String,
    /// The control socket, relative to the main file.
    pub socket: String,
}

/// Where the main file says that the others are; where it does not say, or
/// cannot be read, the usual places. Its faults are for [`compile`] to find.
#[must_use]
pub fn outline(main: &Source) -> Outline {
    let mut faults = Faults::new(vec![main], true);
    let mut outline = Outline {
        policies: main::POLICIES.to_owned(),
        ledger: main::LEDGER.to_owned(),
        socket: String::new(),
    };
    read_file(0, &mut faults, |root, faults| {
        let file = model::main_file(root, faults);
        let set = |text: &mut String, value: Option<At<&str>>| {
            if let Some(value) = value {
                value.value.clone_into(text);
            }
        };
        set(&mut outline.policies, file.policies);
        set(&mut outline.ledger, file.ledger);
        set(&mut outline.socket, file.socket);
        Some(())
    });
    if outline.socket.is_empty() {
        outline.socket = format!("{}/{}", outline.ledger, main::SOCKET);
    }
    outline
}

/// Compiles rules.
///
/// Counters are found again in `counters` by what they count, or opened there.
/// Compiling changes no count, whether it succeeds or not.
///
/// # Errors
///
/// Every fault in every file, in the order of the files, warnings among them. At
/// least one is an error.
pub fn compile(
    sources: &Sources,
    options: Options,
    zones: &TimeZoneDatabase,
    counters: &Counters,
) -> Result<RuleSet, Vec<Diagnostic>> {
    compile_with(sources, options, zones, (counters, &Answers::default()))
}

/// The same, with what the names in the rules lead to. A carrier whose name leads nowhere
/// yet has no gateways.
///
/// # Errors
///
/// As [`compile`]. No answer makes rules unusable.
pub fn compile_with(
    sources: &Sources,
    options: Options,
    zones: &TimeZoneDatabase,
    (counters, answers): (&Counters, &Answers),
) -> Result<RuleSet, Vec<Diagnostic>> {
    let mut faults = Faults::new(sources.all(), options.preview);
    let mut file = 0..u32::MAX;
    let mut next = || file.next().unwrap_or(u32::MAX);
    let main_place = Place::new(next(), &(0..0));
    let numbering = match &sources.numbering {
        None => Some(Numbering::shared_builtin()),
        Some(source) => table(next(), source, &mut faults),
    };
    let Some(numbering) = numbering else {
        // Without it every destination would be at fault.
        return Err(faults.finish());
    };
    let mut build = Build::new(numbering, zones, counters, answers);
    build.main_place = main_place;
    read_file(0, &mut faults, |root, faults| {
        let main: MainFile<'_> = model::main_file(root, faults);
        main::main(&mut build, &main, faults);
        Some(())
    });
    for _ in &sources.plans {
        let file = next();
        let spec = read_file(file, &mut faults, |root, faults| {
            Some(model::plan_file(root, faults))
        });
        match spec {
            Some(spec) => plans::plan(&mut build, spec, &mut faults),
            None => build.unread = true,
        }
    }
    tariffs(&mut build, &sources.tariffs, &mut next, &mut faults);
    let mut lines = LineIndex::default();
    for source in &sources.tenants {
        let file = next();
        lines.index(&source.text);
        read_file(file, &mut faults, |root, faults| {
            let tenant = model::tenant_file(root, faults);
            tenant::tenant(&mut build, &tenant, &lines, faults);
            Some(())
        });
    }
    if sources.tenants.is_empty() {
        let fault = Fault::warning("there are no tenants").label("nobody can call");
        faults.add(
            build.main_place,
            fault.help("add a file for each, ending in .toml, to the folder tenants/"),
        );
    }
    build.settle_owners(&mut faults);
    let peers = claims::settle(&mut build, &mut faults);
    if faults.any_errors() {
        return Err(faults.finish());
    }
    let mut set = build.finish(counters.next_version(), peers);
    set.hash = sources.hash();
    set.rules.files = faults
        .sources()
        .iter()
        .map(|it| it.name.as_str().into())
        .collect();
    set.warnings = faults.finish();
    Ok(set)
}

/// Reads a numbering table.
fn table(file: u32, source: &Source, faults: &mut Faults<'_>) -> Option<Arc<Numbering>> {
    let fault = match Numbering::parse(&source.text) {
        Ok(table) => return Some(Arc::new(table)),
        Err(fault) => fault,
    };
    let lines = source.text.split_inclusive('\n');
    let start = lines.clone().take(fault.line.saturating_sub(1));
    let start: usize = start.map(str::len).sum();
    let line = lines.clone().nth(fault.line.saturating_sub(1));
    let end = start + line.map_or(0, |line| line.trim_end().len());
    let help = "the table is generated: take one from policies/numbering/ as it is, or delete the \
                file for the one that is compiled in";
    let title = format!("no numbering table: {}", fault.kind.sentence());
    faults.add(
        Place::new(file, &(start..end)),
        Fault::error(title).help(help),
    );
    None
}

/// Reads tariffs, each by the name of its file.
fn tariffs(
    build: &mut Build<'_>,
    sources: &[Source],
    mut next: impl FnMut() -> u32,
    faults: &mut Faults<'_>,
) {
    for source in sources {
        let name = stem(&source.name);
        let tariff = tariff::read(next(), name, &build.numbering, faults);
        let at = u16::try_from(build.tariffs.len()).ok();
        let Some(at) = at.filter(|at| *at < NO_TARIFF) else {
            let fault = Fault::error("there are too many tariffs");
            let help = "take out those that no tenant names";
            return faults.add(build.main_place, fault.help(help));
        };
        build.tariffs.push(tariff);
        build.tariff_names.insert(name.to_owned(), at);
    }
}

/// The name of a file without its folders and its ending.
fn stem(path: &str) -> &str {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

#[cfg(test)]
mod tests;
