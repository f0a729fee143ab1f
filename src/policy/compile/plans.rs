//! Plans: how digits are read.

use super::build::{Build, name_is_good, named_twice};
use crate::policy::diagnostic::{At, Fault, Faults};
use crate::policy::lane::Home;
use crate::policy::model::PlanFile;
use crate::policy::plan::Plan;

/// Takes a plan into the set.
pub(super) fn plan(build: &mut Build<'_>, file: PlanFile, faults: &mut Faults<'_>) {
    let name = file
        .name
        .map(|place| At::new(file.spec.name.clone(), place));
    let prefix = file.spec.national_prefix.as_deref();
    let prefix = prefix.map(|it| it.as_bytes().into());
    let plan = match Plan::new(file.spec.clone(), &build.numbering) {
        Ok(plan) => Some(plan),
        Err(found) => {
            for fault in found {
                let place = file.place_of(fault.field, &fault.value);
                faults.add(place, Fault::error(fault.message).help(fault.help));
            }
            None
        }
    };
    let Some(name) = name else {
        build.unread = true;
        return;
    };
    let name = name.with(name.value.as_str());
    if !name_is_good(name, faults) {
        build.unread = true;
        return;
    }
    if let Some(&(first, _)) = build.plan_names.get(name.value) {
        return named_twice(name, "plan", first, faults);
    }
    let id = plan.and_then(|plan| {
        let country = plan.country();
        let code = country.and_then(|it| build.numbering.calling_code(it));
        let home = Home {
            country,
            code: code.unwrap_or_default().as_bytes().into(),
            prefix,
        };
        let id = u16::try_from(build.plans.len()).ok()?;
        build.plans.push(plan);
        build.homes.push(home);
        Some(id)
    });
    build
        .plan_names
        .insert(name.value.to_owned(), (name.place, id));
}
