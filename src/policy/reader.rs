//! Reads TOML tables key by key, so that every fault is found, not the first
//! one only, and each has its place in the file.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{At, Fault, Faults, Place, nearest, one_of};

/// One table of a file while it is read. Each key that is asked for is a key
/// that may be there; [`Fields::close`] finds the others.
pub(super) struct Fields<'t> {
    file: u32,
    /// As shown: `[caps]`; empty for the file itself.
    name: &'static str,
    /// The table's heading.
    pub place: Place,
    table: &'t DeTable<'t>,
    asked: Vec<&'static str>,
}

/// An item of a list in which a table may stand for a text.
pub(super) enum Item<'t> {
    Text(At<&'t str>),
    Table(Fields<'t>),
}

/// Parses a file and reads it with `read`; nothing if it is no TOML at all.
pub(super) fn read_file<T>(
    file: u32,
    faults: &mut Faults<'_>,
    read: impl FnOnce(Fields<'_>, &mut Faults<'_>) -> Option<T>,
) -> Option<T> {
    let text = &faults.source(file)?.text;
    let (root, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return read(Fields::new(file, "", 0..0, root.get_ref()), faults);
    }
    // The others most often follow from the first.
    for error in errors.into_iter().take(1) {
        let span = error.span().unwrap_or(0..0);
        let fault = Fault::error(error.message()).label("not TOML from here");
        faults.add(Place::new(file, &span), fault);
    }
    None
}

/// What counts are.
const WHOLE: &str = "a whole number from 0 up";

impl<'t> Fields<'t> {
    fn new(
        file: u32,
        name: &'static str,
        span: std::ops::Range<usize>,
        table: &'t DeTable<'t>,
    ) -> Self {
        Self {
            file,
            name,
            place: Place::new(file, &span),
            table,
            asked: Vec::new(),
        }
    }

    /// The value of a key, and where it stands.
    fn value(&mut self, key: &'static str) -> Option<At<&'t DeValue<'t>>> {
        self.asked.push(key);
        self.table.get(key).map(|value| self.at(value))
    }

    fn at(&self, value: &'t Spanned<DeValue<'t>>) -> At<&'t DeValue<'t>> {
        At::new(value.get_ref(), Place::new(self.file, &value.span()))
    }

    /// A text.
    pub(super) fn text(
        &mut self,
        key: &'static str,
        faults: &mut Faults<'_>,
    ) -> Option<At<&'t str>> {
        let value = self.value(key)?;
        text(value, key, faults)
    }

    /// Yes or no.
    pub(super) fn flag(&mut self, key: &'static str, faults: &mut Faults<'_>) -> Option<At<bool>> {
        let value = self.value(key)?;
        let flag = value.value.as_bool();
        if flag.is_none() {
            wrong_type(value, key, "true or false", faults);
        }
        flag.map(|flag| value.with(flag))
    }

    /// A whole number, not negative.
    pub(super) fn count(&mut self, key: &'static str, faults: &mut Faults<'_>) -> Option<At<u64>> {
        let value = self.value(key)?;
        let integer = value.value.as_integer();
        let count = integer.and_then(|it| u64::from_str_radix(it.as_str(), it.radix()).ok());
        match integer {
            _ if count.is_some() => {}
            None => wrong_type(value, key, WHOLE, faults),
            Some(integer) => {
                let label = match integer.as_str().starts_with('-') {
                    true => "this is below 0",
                    false => "this is too large",
                };
                let fault = Fault::error(format!("`{key}` takes {WHOLE}"));
                faults.add(value.place, fault.label(label));
            }
        }
        count.map(|count| value.with(count))
    }

    /// A list of texts; empty if the key is not there.
    pub(super) fn texts(&mut self, key: &'static str, faults: &mut Faults<'_>) -> Vec<At<&'t str>> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let Some(array) = value.value.as_array() else {
            wrong_type(value, key, "a list of texts", faults);
            return Vec::new();
        };
        let items = array.iter().map(|item| self.at(item));
        items.filter_map(|item| text(item, key, faults)).collect()
    }

    /// A list whose items are texts, or tables that say more; none if the key is not
    /// there.
    pub(super) fn texts_or_tables(
        &mut self,
        key: &'static str,
        name: &'static str,
        faults: &mut Faults<'_>,
    ) -> Vec<Item<'t>> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let Some(array) = value.value.as_array() else {
            wrong_type(value, key, "a list", faults);
            return Vec::new();
        };
        let items = array.iter().map(|item| self.at(item));
        let items = items.filter_map(|item| match self.below(item, name) {
            Some(table) => Some(Item::Table(table)),
            None => text(item, key, faults).map(Item::Text),
        });
        items.collect()
    }

    /// A text, or a list of texts.
    pub(super) fn text_or_texts(
        &mut self,
        key: &'static str,
        faults: &mut Faults<'_>,
    ) -> Vec<At<&'t str>> {
        match self.table.get(key).map(|value| value.get_ref()) {
            Some(DeValue::Array(_)) => self.texts(key, faults),
            _ => self.text(key, faults).into_iter().collect(),
        }
    }

    /// A table below this one. `name` is how it is shown.
    pub(super) fn table(
        &mut self,
        key: &'static str,
        name: &'static str,
        faults: &mut Faults<'_>,
    ) -> Option<Fields<'t>> {
        let value = self.value(key)?;
        let table = self.below(value, name);
        if table.is_none() {
            wrong_type(value, key, &format!("a table, {name}"), faults);
        }
        table
    }

    /// The tables of a list of tables, such as `[[cap]]`.
    pub(super) fn tables(
        &mut self,
        key: &'static str,
        name: &'static str,
        faults: &mut Faults<'_>,
    ) -> Vec<Fields<'t>> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let expected = format!("a list of tables, {name}");
        let Some(array) = value.value.as_array() else {
            wrong_type(value, key, &expected, faults);
            return Vec::new();
        };
        let mut tables = Vec::with_capacity(array.len());
        for item in array.iter() {
            let item = self.at(item);
            match self.below(item, name) {
                Some(table) => tables.push(table),
                None => wrong_type(item, key, &expected, faults),
            }
        }
        tables
    }

    fn below(&self, value: At<&'t DeValue<'t>>, name: &'static str) -> Option<Fields<'t>> {
        let table = value.value.as_table()?;
        Some(Fields::new(self.file, name, value.place.span(), table))
    }

    /// The tables below a key that the writer names: `[hours.office]`.
    pub(super) fn named_tables(
        &mut self,
        key: &'static str,
        name: &'static str,
        faults: &mut Faults<'_>,
    ) -> Vec<(At<&'t str>, Fields<'t>)> {
        let Some(fields) = self.table(key, name, faults) else {
            return Vec::new();
        };
        let mut tables = Vec::with_capacity(fields.len());
        for (key, value) in fields.table {
            let (named, value) = (Place::new(self.file, &key.span()), fields.at(value));
            let key: &'t str = key.get_ref();
            match fields.below(value, name) {
                Some(table) => tables.push((At::new(key, named), table)),
                None => wrong_type(value, key, &format!("a table, {name}"), faults),
            }
        }
        tables
    }

    /// Every key that was not asked for, with its text or texts, where the keys
    /// are the writer's.
    pub(super) fn other_texts(
        self,
        faults: &mut Faults<'_>,
    ) -> Vec<(At<&'t str>, Vec<At<&'t str>>)> {
        let mut others = Vec::with_capacity(self.len());
        for (key, value) in self.table {
            let place = Place::new(self.file, &key.span());
            let key: &'t str = key.get_ref();
            if self.asked.contains(&key) {
                continue;
            }
            let value = self.at(value);
            let texts = match value.value.as_array() {
                Some(items) => items.iter().map(|it| self.at(it)).collect(),
                None => vec![value],
            };
            let texts = texts.into_iter().filter_map(|it| text(it, key, faults));
            others.push((At::new(key, place), texts.collect()));
        }
        others
    }

    /// Every key of this table with its text, where the keys are names that the
    /// writer chooses.
    pub(super) fn named_texts(&self, faults: &mut Faults<'_>) -> Vec<(At<&'t str>, At<&'t str>)> {
        let mut named = Vec::with_capacity(self.len());
        for (key, value) in self.table {
            let place = Place::new(self.file, &key.span());
            let key: &'t str = key.get_ref();
            let text = text(self.at(value), key, faults);
            named.extend(text.map(|text| (At::new(key, place), text)));
        }
        named
    }

    /// A key that is understood, but has no effect yet; whether it is there.
    pub(super) fn pending(&mut self, key: &'static str, faults: &mut Faults<'_>) -> bool {
        let value = self.value(key);
        if let Some(value) = &value {
            faults.pending(value.place, &self.shown(key));
        }
        value.is_some()
    }

    /// Whether the key is there, faulty or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Where the key's value stands, if it is there.
    pub(super) fn place_of(&self, key: &str) -> Option<Place> {
        let value = self.table.get(key)?;
        Some(Place::new(self.file, &value.span()))
    }

    /// How many keys there are, faulty or not.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// `value`, or the fault that its key is missing.
    pub(super) fn required<T>(
        &self,
        key: &'static str,
        value: Option<T>,
        example: &str,
        faults: &mut Faults<'_>,
    ) -> Option<T> {
        if value.is_none() && !self.has(key) {
            let fault = Fault::error(format!("{} is missing", self.shown(key)));
            faults.add(
                self.place,
                fault.help(format!("write, say, {key} = {example}")),
            );
        }
        value
    }

    /// A key of this table, as shown to people.
    fn shown(&self, key: &str) -> String {
        match self.name {
            "" => format!("`{key}`"),
            name => format!("`{key}` in {name}"),
        }
    }

    /// Finds the keys that nobody asked for.
    pub(super) fn close(self, faults: &mut Faults<'_>) {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let title = format!("unknown key {}", self.shown(name));
            let known = || self.asked.iter().copied();
            let help = match nearest(name, known()) {
                Some(word) => format!("did you mean `{word}`?"),
                None => format!("there may be {}", one_of(known())),
            };
            let place = Place::new(self.file, &key.span());
            faults.add(
                place,
                Fault::error(title).label("not known here").help(help),
            );
        }
    }
}

fn text<'t>(value: At<&'t DeValue<'t>>, key: &str, faults: &mut Faults<'_>) -> Option<At<&'t str>> {
    let text = value.value.as_str();
    if text.is_none() {
        wrong_type(value, key, "a text in quotes", faults);
    }
    text.map(|text| value.with(text))
}

fn wrong_type(value: At<&DeValue<'_>>, key: &str, expected: &str, faults: &mut Faults<'_>) {
    let title = format!("`{key}` takes {expected}");
    let label = format!("this is of type {}", value.value.type_str());
    faults.add(value.place, Fault::error(title).label(label));
}
