//! `policies/plans/*.toml`: how a trunk's digits are read.

use std::collections::BTreeMap;

use crate::policy::diagnostic::{At, Faults, Place};
use crate::policy::plan::{BeforeSpec, PlanSpec};
use crate::policy::reader::Fields;

/// A plan's file, and where each of its values stands.
#[derive(Debug)]
pub(in crate::policy) struct PlanFile {
    /// Where the file begins.
    pub place: Place,
    /// Where its name stands.
    pub name: Option<Place>,
    /// The plan.
    pub spec: PlanSpec,
    places: Places,
}

impl PlanFile {
    /// Where `value` of `field` stands ("before.carrier_codes"), or else the field,
    /// or else the file.
    pub(in crate::policy) fn place_of(&self, field: &str, value: &str) -> Place {
        let exactly = self
            .places
            .0
            .iter()
            .find(|(f, v, _)| *f == field && v == value);
        let about = || self.places.0.iter().find(|(f, _, _)| *f == field);
        exactly
            .or_else(about)
            .map_or(self.place, |(_, _, place)| *place)
    }
}

/// Where the values of fields stand.
#[derive(Debug, Default)]
struct Places(Vec<(&'static str, String, Place)>);

impl Places {
    fn text(&mut self, field: &'static str, text: At<&str>) -> String {
        self.0.push((field, text.value.to_owned(), text.place));
        text.value.to_owned()
    }

    fn texts(&mut self, field: &'static str, texts: Vec<At<&str>>) -> Vec<String> {
        texts
            .into_iter()
            .map(|text| self.text(field, text))
            .collect()
    }

    /// Names and texts; a fault may be about either.
    fn named(
        &mut self,
        field: &'static str,
        named: Vec<(At<&str>, At<&str>)>,
    ) -> BTreeMap<String, String> {
        let pairs = named.into_iter();
        pairs
            .map(|(name, text)| (self.text(field, name), self.text(field, text)))
            .collect()
    }
}

/// Reads a plan's file.
pub(in crate::policy) fn plan_file(mut root: Fields<'_>, faults: &mut Faults<'_>) -> PlanFile {
    let mut places = Places::default();
    let name = root.text("name", faults);
    root.required("name", name, "\"jp\"", faults);
    let country = root.text("country", faults);
    let mut spec = PlanSpec {
        name: name.map(|it| it.value.to_owned()).unwrap_or_default(),
        country: country
            .map(|it| places.text("country", it))
            .unwrap_or_default(),
        ..PlanSpec::default()
    };
    if let Some(mut fields) = root.table("before", "[before]", faults) {
        let mut list = |field, key| places.texts(field, fields.texts(key, faults));
        spec.before = BeforeSpec {
            withhold_caller: list("before.withhold_caller", "withhold_caller"),
            show_caller: list("before.show_caller", "show_caller"),
            carrier_codes: list("before.carrier_codes", "carrier_codes"),
            ignored: list("before.ignored", "ignored"),
        };
        fields.close(faults);
    }
    if let Some(mut fields) = root.table("international", "[international]", faults) {
        let prefixes = fields.texts("prefixes", faults);
        spec.international_prefixes = places.texts("international.prefixes", prefixes);
        fields.close(faults);
    }
    if let Some(mut fields) = root.table("national", "[national]", faults) {
        let prefix = fields.text("prefix", faults);
        spec.national_prefix = prefix.map(|it| places.text("national.prefix", it));
        let optional = fields.flag("optional", faults);
        spec.national_optional = optional.is_some_and(|it| it.value);
        fields.close(faults);
    }
    emergency_and_services(&mut root, &mut spec, &mut places, faults);
    if let Some(mut fields) = root.table("parameters", "[parameters]", faults) {
        let allowed = fields.texts("allowed", faults);
        spec.parameters = places.texts("parameters.allowed", allowed);
        fields.close(faults);
    }
    let place = root.place;
    root.close(faults);
    PlanFile {
        place,
        name: name.map(|it| it.place),
        spec,
        places,
    }
}

fn emergency_and_services(
    root: &mut Fields<'_>,
    spec: &mut PlanSpec,
    places: &mut Places,
    faults: &mut Faults<'_>,
) {
    if let Some(mut fields) = root.table("emergency", "[emergency]", faults) {
        let numbers = fields.texts("numbers", faults);
        if let (true, Some(place)) = (numbers.is_empty(), fields.place_of("numbers")) {
            places.text("emergency.numbers", At::new("", place));
        }
        spec.emergency_numbers = places.texts("emergency.numbers", numbers);
        if let Some(urns) = fields.table("urn", "[emergency.urn]", faults) {
            spec.emergency_urns = places.named("emergency.urn", urns.named_texts(faults));
        }
        fields.close(faults);
    }
    if let Some(services) = root.table("services", "[services]", faults) {
        spec.services = places.named("services", services.named_texts(faults));
    }
}
