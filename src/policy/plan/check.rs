//! Checks a plan as written, and makes it ready to read with.

use super::{Lead, Meaning, Plan, PlanFault, PlanSpec, Urn, urn};
use crate::policy::diagnostic::nearest;
use crate::policy::number::Kind;
use crate::policy::numbering::{Class, Country, Numbering};
use crate::policy::prefix::TrieBuilder;

/// The most strings that `before.ignored` may have: one bit each while reading.
const MOST_IGNORED: usize = 32;

/// Keys of the file, as faults name them.
const NAME: &str = "name";
const COUNTRY: &str = "country";
const WITHHOLD: &str = "before.withhold_caller";
const SHOW: &str = "before.show_caller";
const CARRIER: &str = "before.carrier_codes";
const IGNORED: &str = "before.ignored";
const INTERNATIONAL: &str = "international.prefixes";
const NATIONAL: &str = "national.prefix";
const OPTIONAL: &str = "national.optional";
const EMERGENCY: &str = "emergency.numbers";
const URN: &str = "emergency.urn";
const SERVICES: &str = "services";
const PARAMETERS: &str = "parameters.allowed";

/// A plan while it is checked.
struct Checking<'s> {
    spec: &'s PlanSpec,
    numbering: &'s Numbering,
    faults: Vec<PlanFault>,
    country: Option<Country>,
    code: &'s str,
    /// What stands in front of a number: key, digits, meaning.
    leads: Vec<(&'static str, &'s str, Lead)>,
    /// What is dialled as a whole.
    wholes: Vec<(&'static str, &'s str, Kind)>,
}

/// Checks and compiles a plan.
pub(super) fn compile(spec: &PlanSpec, numbering: &Numbering) -> Result<Plan, Vec<PlanFault>> {
    let mut checking = Checking {
        spec,
        numbering,
        faults: Vec::new(),
        country: None,
        code: "",
        leads: Vec::new(),
        wholes: Vec::new(),
    };
    checking.name_and_country();
    checking.leads();
    checking.national();
    checking.emergency();
    checking.services();
    checking.parameters();
    checking.overlaps();
    checking.finish()
}

impl<'s> Checking<'s> {
    fn fault(&mut self, field: &'static str, value: &str, message: &str, help: &str) {
        let (value, message, help) = (value.to_owned(), message.to_owned(), help.to_owned());
        self.faults.push(PlanFault {
            field,
            value,
            message,
            help,
        });
    }

    fn name_and_country(&mut self) {
        let spec = self.spec;
        if spec.name.is_empty() {
            self.fault(
                NAME,
                "",
                "the plan has no name",
                "name it, as tenants shall refer to it",
            );
        }
        if spec.country.is_empty() {
            return;
        }
        self.country = Country::parse(&spec.country);
        match self
            .country
            .and_then(|country| self.numbering.calling_code(country))
        {
            Some(code) => self.code = code,
            None => self.fault(
                COUNTRY,
                &spec.country,
                "no such country",
                "use its ISO 3166 code of two letters in lower case, such as \"jp\"",
            ),
        }
    }

    /// Digits that are something: not empty, digits only.
    fn digits(&mut self, field: &'static str, text: &str) -> bool {
        let message = match text.as_bytes() {
            [] => "an empty string stands in front of every number",
            bytes if !bytes.iter().all(u8::is_ascii_digit) => "only digits can be dialled here",
            bytes if bytes.len() > Numbering::MOST_DIGITS => "longer than any number",
            _ => return true,
        };
        self.fault(
            field,
            text,
            message,
            "write digits only, or take the entry out",
        );
        false
    }

    fn leads(&mut self) {
        let spec = self.spec;
        let before = &spec.before;
        let ignored = (0..)
            .zip(&before.ignored)
            .map(|(at, text)| (text, Lead::Ignored(at)));
        let lists = [
            (WITHHOLD, with(&before.withhold_caller, Lead::Withhold)),
            (SHOW, with(&before.show_caller, Lead::Show)),
            (CARRIER, with(&before.carrier_codes, Lead::CarrierCode)),
            (IGNORED, ignored.collect()),
            (
                INTERNATIONAL,
                with(&spec.international_prefixes, Lead::International),
            ),
        ];
        for (field, list) in lists {
            for (text, lead) in list {
                let plus = field == INTERNATIONAL && text == "+";
                if !plus && self.digits(field, text) {
                    self.leads.push((field, text, lead));
                }
            }
        }
        if before.ignored.len() > MOST_IGNORED {
            let help = format!("keep at most {MOST_IGNORED}");
            self.fault(IGNORED, "", "too many entries", &help);
        }
        if spec.international_prefixes.is_empty() {
            let help = "name what leads abroad, such as \"010\", or at least \"+\"";
            self.fault(
                INTERNATIONAL,
                "",
                "no international number can be dialled",
                help,
            );
        }
    }

    fn national(&mut self) {
        let spec = self.spec;
        let Some(prefix) = &spec.national_prefix else {
            if spec.national_optional {
                let help = "give national.prefix too: \"\" if numbers are dialled without";
                self.fault(
                    OPTIONAL,
                    "true",
                    "there is no national prefix to leave out",
                    help,
                );
            }
            return;
        };
        if spec.country.is_empty() {
            let help = "name the plan's country, or take the [national] table out";
            self.fault(COUNTRY, "", "national numbers belong to a country", help);
        }
        if prefix.is_empty() || !self.digits(NATIONAL, prefix) {
            return;
        }
        self.leads.push((NATIONAL, prefix, Lead::National));
        if spec.national_optional && self.is_begun(prefix) {
            let message = "numbers of the country begin with the national prefix themselves";
            self.fault(
                OPTIONAL,
                "true",
                message,
                "make the national prefix required",
            );
        }
    }

    fn emergency(&mut self) {
        let spec = self.spec;
        for number in &spec.emergency_numbers {
            if self.digits(EMERGENCY, number) {
                self.whole(EMERGENCY, number, Kind::Emergency);
            }
        }
        if spec.emergency_numbers.is_empty() {
            let help = "name the numbers that must always pass, such as \"112\"";
            self.fault(EMERGENCY, "", "emergency calls would be refused", help);
        }
        for (name, number) in &spec.emergency_urns {
            let labels: Vec<&str> = name.split('.').collect();
            let legal = labels.iter().all(|label| urn::is_label(label.as_bytes()));
            if labels.first() != Some(&"sos") || !legal || *name != name.to_ascii_lowercase() {
                let help =
                    "the names are \"sos\" and its children, such as \"sos.fire\" (RFC 5031)";
                self.fault(URN, name, "no emergency service has this name", help);
            }
            if !spec.emergency_numbers.contains(number) {
                let help = "write one of emergency.numbers, or add it there";
                let message = format!("\"{number}\" is no emergency number of the plan");
                self.fault(URN, number, &message, help);
            }
        }
        if spec.emergency_numbers.len() > 1 && !spec.emergency_urns.contains_key("sos") {
            let help = "add \"sos\" = \"…\" with the number for emergencies of any kind";
            self.fault(URN, "", "urn:service:sos has no number", help);
        }
    }

    fn services(&mut self) {
        let spec = self.spec;
        for (code, name) in &spec.services {
            match Class::parse(name).filter(|class| class.is_service()) {
                Some(class) if self.digits(SERVICES, code) => {
                    self.whole(SERVICES, code, Kind::Service(class));
                }
                Some(_) => {}
                None => {
                    let all = Class::ALL.into_iter().filter(|class| class.is_service());
                    let all: Vec<_> = all.map(Class::as_str).collect();
                    let message = format!("\"{name}\" is no class of short codes");
                    let help = match nearest(name, all.iter().copied()) {
                        Some(word) => format!("did you mean \"{word}\"?"),
                        None => format!("one of {}", all.join(", ")),
                    };
                    self.fault(SERVICES, name, &message, &help);
                }
            }
        }
    }

    /// Takes a number that is dialled as a whole, unless it is something else too.
    fn whole(&mut self, field: &'static str, number: &'s str, kind: Kind) {
        if let Some((other, ..)) = self.wholes.iter().find(|(_, known, _)| *known == number) {
            let message = format!("{number} stands in {other} already");
            self.fault(field, number, &message, "leave it in one place");
            return;
        }
        self.wholes.push((field, number, kind));
    }

    fn parameters(&mut self) {
        for name in &self.spec.parameters {
            let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'%+`".contains(&byte);
            if name.is_empty() || !name.bytes().all(token) {
                let help = "write the name alone, such as \"cpc\"";
                self.fault(PARAMETERS, name, "no parameter has this name", help);
            }
        }
    }

    /// No two strings may read the same digits in two ways.
    fn overlaps(&mut self) {
        let leads = self.leads.clone();
        for (at, &(field, text, lead)) in leads.iter().enumerate() {
            for &(other, short, meaning) in leads.iter().take(at).chain(leads.iter().skip(at + 1)) {
                let fault = match (lead, meaning) {
                    // The longer wins over the national prefix if no number is lost.
                    (_, Lead::National) if text.len() > short.len() => text
                        .strip_prefix(short)
                        .filter(|rest| self.is_begun(rest))
                        .is_some(),
                    _ => text.starts_with(short),
                };
                if fault {
                    let message = format!("\"{text}\" begins with \"{short}\" of {other}");
                    self.fault(
                        field,
                        text,
                        &message,
                        "change one, so that digits mean one thing",
                    );
                }
            }
            let bare = self.is_bare();
            if lead != Lead::National && bare && self.is_begun(text) {
                let message = format!("national numbers begin with \"{text}\" too");
                self.fault(
                    field,
                    text,
                    &message,
                    "change one, so that digits mean one thing",
                );
            }
        }
        for (field, number, _) in self.wholes.clone() {
            let lead = leads
                .iter()
                .find(|(_, text, lead)| *lead != Lead::National && number.starts_with(text));
            if let Some((other, text, _)) = lead {
                let message = format!("\"{number}\" begins with \"{text}\" of {other}");
                self.fault(
                    field,
                    number,
                    &message,
                    "change one, so that digits mean one thing",
                );
            }
            if self.is_subscriber(number) {
                let message = format!("\"{number}\" is a number of the country too");
                self.fault(field, number, &message, "take it out");
            }
        }
    }

    /// Whether national numbers may be dialled without a prefix.
    fn is_bare(&self) -> bool {
        let prefix = self.spec.national_prefix.as_deref();
        prefix.is_some_and(|prefix| prefix.is_empty() || self.spec.national_optional)
    }

    /// Whether assigned numbers of the country begin so.
    fn is_begun(&self, digits: &str) -> bool {
        let number = [self.code, digits].concat();
        !self.code.is_empty() && self.numbering.is_begun(number.as_bytes())
    }

    /// Whether a national number, as dialled, is one of the country.
    fn is_subscriber(&self, dialled: &str) -> bool {
        let prefix = self.spec.national_prefix.as_deref();
        let rest = prefix.and_then(|prefix| dialled.strip_prefix(prefix));
        let rest = rest.or(Some(dialled).filter(|_| self.spec.national_optional));
        rest.is_some_and(|rest| {
            let number = [self.code, rest].concat();
            self.numbering.lookup(number.as_bytes()).class != Class::Unassigned
        })
    }

    /// Every string with what it means.
    fn meanings(&mut self) -> TrieBuilder<Meaning> {
        let mut meanings = TrieBuilder::<Meaning>::new();
        let leads = self
            .leads
            .iter()
            .map(|(_, text, lead)| (*text, Some(*lead), None));
        let wholes = self
            .wholes
            .iter()
            .map(|(_, text, kind)| (*text, None, Some(*kind)));
        for (text, lead, whole) in leads.chain(wholes) {
            let known = meanings
                .exact_mut(text.as_bytes())
                .map_or(Meaning::default(), |m| *m);
            let meaning = Meaning {
                lead: lead.or(known.lead),
                whole: whole.or(known.whole),
            };
            // Digits only were let in, and far fewer than a trie can hold.
            let _ = meanings.insert(text.as_bytes(), meaning);
        }
        meanings
    }

    fn finish(mut self) -> Result<Plan, Vec<PlanFault>> {
        let meanings = self.meanings();
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        let spec = self.spec;
        let boxed = |text: &String| -> Box<[u8]> { text.as_bytes().into() };
        let urn = |path: &str, number: &str| Urn {
            path: path.into(),
            number: number.into(),
        };
        let mut urns: Vec<_> = spec
            .emergency_urns
            .iter()
            .map(|(path, n)| urn(path, n))
            .collect();
        if let ([only], true) = (&*spec.emergency_numbers, urns.is_empty()) {
            urns.push(urn("sos", only));
        }
        Ok(Plan {
            name: spec.name.as_str().into(),
            country: self.country,
            code: self.code.as_bytes().into(),
            meanings: meanings.build(),
            plus: spec
                .international_prefixes
                .iter()
                .any(|prefix| prefix == "+"),
            bare: self.is_bare(),
            international: spec
                .international_prefixes
                .iter()
                .find(|p| *p != "+")
                .map(boxed),
            national: spec.national_prefix.as_ref().map(boxed),
            urns: urns.into_boxed_slice(),
            parameters: spec.parameters.iter().map(boxed).collect(),
        })
    }
}

/// The texts, each with the same meaning.
fn with(texts: &[String], lead: Lead) -> Vec<(&String, Lead)> {
    texts.iter().map(|text| (text, lead)).collect()
}
