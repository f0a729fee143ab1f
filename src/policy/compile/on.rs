//! What a cap is on: `on = "international"`, `on = ["caller", "premium"]`.

use super::build::Build;
use super::hours::{Named, OUTSIDE};
use crate::policy::counters::{Scope, Who};
use crate::policy::diagnostic::{At, Fault, Faults};
use crate::policy::hours::{Hours, When};
use crate::policy::model::CapTable;
use crate::policy::target::Target;

/// What a cap is on: the calls of which all of this is true.
#[derive(Clone, Copy, Debug)]
pub(super) struct On {
    /// Calls from carriers, not to them.
    pub inbound: bool,
    /// Each number by itself.
    each: Option<Who>,
    /// Where they go: the target under which the cap is found.
    pub to: Option<Target>,
    /// And where else they go.
    pub also_to: Option<Target>,
    /// When they were let in.
    pub when: Option<When>,
}

/// Sorts caps: those that are on no target in front, behind them those of
/// `[inbound]`, then those on one target side by side.
pub(super) type Order = (u64, bool, u64, Option<Who>, Option<When>);

impl On {
    /// All calls.
    pub(super) const ALL: Self = Self {
        inbound: false,
        each: None,
        to: None,
        also_to: None,
        when: None,
    };

    /// All calls from carriers.
    pub(super) const INBOUND: Self = Self {
        inbound: true,
        ..Self::ALL
    };

    fn words(&self) -> [u64; 2] {
        [self.to, self.also_to].map(|it| it.map_or(0, Target::word))
    }

    /// Where it stands among a tenant's caps. No two scopes have the same place.
    pub(super) fn order(&self) -> Order {
        let [to, also_to] = self.words();
        (to, self.inbound, also_to, self.each, self.when)
    }

    /// What its counter counts.
    pub(super) fn scope(&self, hours: &[Hours]) -> Scope {
        let when = self.when.and_then(|when| {
            let hours = hours.get(when.hours as usize)?;
            Some((Box::from(&*hours.name), when.outside))
        });
        Scope {
            inbound: self.inbound,
            each: self.each,
            to: self.words(),
            when,
        }
    }

    /// The heading of the table, and what it is on.
    pub(super) fn heading(&self, hours: &[Hours]) -> String {
        let when = self.scope(hours).when.map_or(String::new(), |when| {
            let outside = if when.1 { OUTSIDE } else { "" };
            format!(" when \"{outside}{}\"", when.0)
        });
        let table = match self.inbound {
            true => "[[inbound.cap]]",
            false => "[[cap]]",
        };
        match self.names().as_slice() {
            [] if when.is_empty() && self.inbound => "[inbound]".to_owned(),
            [] if when.is_empty() => "[caps]".to_owned(),
            [] => format!("{table}{when}"),
            [one] => format!("{table} on {one}{when}"),
            all => format!("{table} on [{}]{when}", all.join(", ")),
        }
    }

    /// What it is on, each in quotes.
    fn names(&self) -> Vec<String> {
        let each: &[&str] = match self.each {
            None => &[],
            Some(Who::Caller) => &["caller"],
            Some(Who::Called) => &["called"],
            Some(Who::Pair) => &["caller", "called"],
        };
        let targets = [self.to, self.also_to].into_iter().flatten();
        let mut names: Vec<String> = each.iter().map(|name| format!("\"{name}\"")).collect();
        names.extend(targets.map(|target| format!("\"{target}\"")));
        names
    }
}

/// Reads what a `[[cap]]` is on, of the calls that `all` is; nothing if there is a
/// fault in it.
pub(super) fn read(
    build: &Build<'_>,
    hours: &Named<'_>,
    all: On,
    table: &CapTable<'_>,
    faults: &mut Faults<'_>,
) -> Option<On> {
    let mut on = all;
    let mut sound = !table.on.is_empty() || table.when.is_some();
    if let Some(when) = table.when {
        on.when = hours.when(when, faults);
        sound &= on.when.is_some();
    }
    for &name in &table.on {
        // With hours it is narrower than all calls.
        if name.value == "any" && table.on.len() == 1 && table.when.is_some() {
            continue;
        }
        let fault = match one(build, &mut on, name) {
            Ok(()) => continue,
            Err(fault) => fault,
        };
        faults.add(name.place, fault);
        sound = false;
    }
    sound.then_some(on)
}

/// Adds one of the names to what a cap is on.
fn one(build: &Build<'_>, on: &mut On, name: At<&str>) -> Result<(), Fault> {
    let twice = || Fault::error(format!("`{}` is there twice", name.value)).help("name it once");
    let each = match name.value {
        "caller" => Some(Who::Caller),
        "called" => Some(Who::Called),
        _ => None,
    };
    if let Some(each) = each {
        on.each = match on.each {
            None => Some(each),
            Some(other) if other == each || other == Who::Pair => return Err(twice()),
            Some(_) => Some(Who::Pair),
        };
        return Ok(());
    }
    if on.inbound {
        let fault = Fault::error(format!("no cap on inbound calls is on `{}`", name.value));
        return Err(fault.help("write \"caller\", \"called\" or both"));
    }
    let target = Target::parse(name.value, &build.numbering).map_err(|fault| {
        let help = format!("{}; or \"caller\" or \"called\"", fault.help);
        Fault::error(fault.title).help(help)
    })?;
    if target == Target::Any {
        let fault = Fault::error("a cap on every call is no narrower cap");
        return Err(fault.help("write it under [caps]; beside other names leave it out"));
    }
    (on.to, on.also_to) = match (on.to, on.also_to) {
        (None, _) => (Some(target), None),
        (Some(first), _) if first == target => return Err(twice()),
        (Some(first), None) => both(first, target)?,
        (Some(_), Some(_)) => {
            let fault = Fault::error("a cap can be on two destinations at most");
            return Err(fault.help("all that `on` names must be true of a call"));
        }
    };
    Ok(())
}

/// Two targets that calls go to at once, the one to find the cap by in front.
fn both(first: Target, second: Target) -> Result<(Option<Target>, Option<Target>), Fault> {
    use Target::{Class, Country, International, Prefix};
    match (first, second) {
        (class @ Class(_), wide @ International) | (wide @ International, class @ Class(_)) => {
            Ok((Some(class), Some(wide)))
        }
        (prefix @ Prefix(_), class @ Class(_)) | (class @ Class(_), prefix @ Prefix(_)) => {
            Ok((Some(prefix), Some(class)))
        }
        (Country(country), Class(class)) | (Class(class), Country(country)) => {
            let fault = Fault::error(format!("this is `{country}.{class}`"));
            Err(fault.help(format!("write \"{country}.{class}\"")))
        }
        _ => {
            let title = format!("`{first}` and `{second}` are nothing together");
            let help = "all that `on` names must be true of a call: write a [[cap]] for each";
            Err(Fault::error(title).help(help))
        }
    }
}
