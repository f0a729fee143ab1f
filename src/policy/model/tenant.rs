//! `policies/tenants/*.toml`: who may call where, and how much.

use crate::policy::counters::Quantity;
use crate::policy::diagnostic::{At, Faults, Place};
use crate::policy::reader::{Fields, Item};

use super::account::AccountTable;
use super::tls::TlsTable;

/// A tenant's file.
#[derive(Debug)]
pub(in crate::policy) struct TenantFile<'t> {
    /// Where the file begins.
    pub place: Place,
    /// `name`
    pub name: Option<At<&'t str>>,
    /// `plan`
    pub plan: Option<At<&'t str>>,
    /// `tariff`
    pub tariff: Option<At<&'t str>>,
    /// `unpriced`
    pub unpriced: Option<At<bool>>,
    /// `time_zone`
    pub time_zone: Option<At<&'t str>>,
    /// `mode`
    pub mode: Option<At<&'t str>>,
    /// `carriers`
    pub carriers: Vec<ChoiceTable<'t>>,
    /// Where that stands, if it is there.
    pub carriers_place: Option<Place>,
    /// `identify.sources`
    pub sources: Vec<At<&'t str>>,
    /// `identify.tls_names`
    pub tls_names: Vec<At<&'t str>>,
    /// `[[account]]`
    pub accounts: Vec<AccountTable<'t>>,
    /// `[callers]`
    pub callers: CallersTable<'t>,
    /// `destinations.allow`
    pub allow: Vec<At<&'t str>>,
    /// `destinations.observe`
    pub observe: Vec<At<&'t str>>,
    /// `destinations.deny`
    pub deny: Vec<At<&'t str>>,
    /// `[caps]`
    pub caps: Option<CapTable<'t>>,
    /// `[hours.*]`
    pub hours: Vec<HoursTable<'t>>,
    /// `[[cap]]`
    pub narrower: Vec<CapTable<'t>>,
    /// `[[pattern]]`
    pub patterns: Vec<PatternTable<'t>>,
    /// `[budget]`
    pub budget: Option<BudgetTable<'t>>,
    /// `[inbound]`
    pub inbound: Option<InboundTable<'t>>,
}

/// One of `carriers`: its name, or a table that says more.
#[derive(Debug)]
pub(in crate::policy) struct ChoiceTable<'t> {
    /// `name`
    pub name: At<&'t str>,
    /// `priority`
    pub priority: Option<At<u64>>,
    /// `weight`
    pub weight: Option<At<u64>>,
}

/// `[callers]`: the numbers that may be shown.
#[derive(Debug, Default)]
pub(in crate::policy) struct CallersTable<'t> {
    /// `own`
    pub own: Vec<At<&'t str>>,
    /// Where `own` stands, if it is there.
    pub own_place: Option<Place>,
    /// `otherwise`
    pub otherwise: Option<At<&'t str>>,
    /// `forwarded`
    pub forwarded: Option<At<&'t str>>,
    /// `default`
    pub default: Option<At<&'t str>>,
    /// `default` is there, faulty or not.
    pub has_default: bool,
}

/// `[caps]`, one `[[cap]]`, or the same of `[inbound]`.
#[derive(Debug)]
pub(in crate::policy) struct CapTable<'t> {
    /// Its heading.
    pub place: Place,
    /// `on`, all of which must be true of a call; never in `[caps]`.
    pub on: Vec<At<&'t str>>,
    /// `when`; never in `[caps]`.
    pub when: Option<At<&'t str>>,
    /// `mode`; never in `[caps]`.
    pub mode: Option<At<&'t str>>,
    /// `calls_at_once` and the like.
    pub limits: Vec<(Quantity, At<u64>)>,
    /// `money_per_day` and `money_per_month`; only in `[[cap]]`.
    pub money: Vec<(Quantity, At<&'t str>)>,
    /// `longest_call`
    pub longest_call: Option<At<&'t str>>,
    /// `longest_ring`
    pub longest_ring: Option<At<&'t str>>,
    /// It limits nothing.
    pub is_empty: bool,
}

/// `[budget]`: what all its calls may cost.
#[derive(Debug)]
pub(in crate::policy) struct BudgetTable<'t> {
    /// Its heading.
    pub place: Place,
    /// `per_day` and `per_month`
    pub money: Vec<(Quantity, At<&'t str>)>,
    /// `when_spent`
    pub when_spent: Option<At<&'t str>>,
}

/// One `[[pattern]]`.
#[derive(Debug)]
pub(in crate::policy) struct PatternTable<'t> {
    /// Its heading.
    pub place: Place,
    /// `kind`
    pub kind: Option<At<&'t str>>,
    /// `count`
    pub count: Option<At<u64>>,
    /// `within`
    pub within: Option<At<&'t str>>,
    /// `then`
    pub then: Option<At<&'t str>>,
    /// `digits` of a walk, `range_digits` of short calls
    pub digits: Option<At<u64>>,
    /// `shorter_than`
    pub shorter_than: Option<At<&'t str>>,
    /// `when`
    pub when: Option<At<&'t str>>,
    /// `on`
    pub on: Option<At<&'t str>>,
    /// `known`
    pub known: Vec<At<&'t str>>,
}

/// One `[hours.*]`.
#[derive(Debug)]
pub(in crate::policy) struct HoursTable<'t> {
    /// Its heading.
    pub place: Place,
    /// Its name.
    pub name: At<&'t str>,
    /// `mon-fri` and the like, with the hours of these days.
    pub days: Vec<(At<&'t str>, Vec<At<&'t str>>)>,
    /// `holidays`
    pub holidays: Vec<At<&'t str>>,
}

/// `[inbound]`: where calls to the tenant's own numbers go.
#[derive(Debug)]
pub(in crate::policy) struct InboundTable<'t> {
    /// `deliver_to`
    pub deliver_to: Option<At<&'t str>>,
    /// `listener`
    pub listener: Option<At<&'t str>>,
    /// `large_over_tcp`
    pub large_over_tcp: Option<At<bool>>,
    /// `tls_name` and the like
    pub tls: TlsTable<'t>,
    /// `tariff`
    pub tariff: Option<At<&'t str>>,
    /// Its own caps.
    pub caps: CapTable<'t>,
    /// `[[inbound.cap]]`
    pub narrower: Vec<CapTable<'t>>,
}

/// Reads a tenant's file.
pub(in crate::policy) fn tenant_file<'t>(
    mut root: Fields<'t>,
    faults: &mut Faults<'_>,
) -> TenantFile<'t> {
    let name = root.text("name", faults);
    root.required("name", name, "\"acme\"", faults);
    let plan = root.text("plan", faults);
    root.required("plan", plan, "\"jp\"", faults);
    let time_zone = root.text("time_zone", faults);
    root.required("time_zone", time_zone, "\"Asia/Tokyo\"", faults);
    let mut file = TenantFile {
        place: root.place,
        name,
        plan,
        tariff: root.text("tariff", faults),
        unpriced: root.flag("unpriced", faults),
        time_zone,
        mode: root.text("mode", faults),
        carriers_place: root.place_of("carriers"),
        carriers: choices(&mut root, faults),
        sources: Vec::new(),
        tls_names: Vec::new(),
        accounts: AccountTable::all(&mut root, faults),
        callers: CallersTable::default(),
        allow: Vec::new(),
        observe: Vec::new(),
        deny: Vec::new(),
        caps: None,
        hours: Vec::new(),
        narrower: Vec::new(),
        patterns: Vec::new(),
        budget: None,
        inbound: None,
    };
    (file.sources, file.tls_names) = identify(&mut root, faults);
    file.callers = callers(&mut root, faults);
    if let Some(mut fields) = root.table("destinations", "[destinations]", faults) {
        file.allow = fields.texts("allow", faults);
        file.observe = fields.texts("observe", faults);
        file.deny = fields.texts("deny", faults);
        fields.close(faults);
    }
    let hours = root.named_tables("hours", "[hours.*]", faults);
    let hours = hours.into_iter();
    file.hours = hours
        .map(|(name, it)| hours_table(name, it, faults))
        .collect();
    file.caps = root
        .table("caps", "[caps]", faults)
        .map(|it| cap_table(it, None, faults));
    let narrower = root.tables("cap", "[[cap]]", faults);
    file.narrower = narrower
        .into_iter()
        .map(|it| cap_table(it, Some("\"international\""), faults))
        .collect();
    file.budget = root
        .table("budget", "[budget]", faults)
        .map(|it| budget(it, faults));
    let patterns = root.tables("pattern", "[[pattern]]", faults).into_iter();
    file.patterns = patterns.map(|it| pattern(it, faults)).collect();
    file.inbound = root
        .table("inbound", "[inbound]", faults)
        .map(|it| inbound(it, faults));
    root.close(faults);
    file
}

/// Which carriers its calls may leave to.
fn choices<'t>(root: &mut Fields<'t>, faults: &mut Faults<'_>) -> Vec<ChoiceTable<'t>> {
    let items = root.texts_or_tables("carriers", "carriers", faults);
    let choice = |item| match item {
        Item::Text(name) => Some(ChoiceTable {
            name,
            priority: None,
            weight: None,
        }),
        Item::Table(mut fields) => {
            let name = fields.text("name", faults);
            fields.required("name", name, "\"upstream\"", faults);
            let priority = fields.count("priority", faults);
            let weight = fields.count("weight", faults);
            fields.close(faults);
            name.map(|name| ChoiceTable {
                name,
                priority,
                weight,
            })
        }
    };
    items.into_iter().filter_map(choice).collect()
}

fn identify<'t>(
    root: &mut Fields<'t>,
    faults: &mut Faults<'_>,
) -> (Vec<At<&'t str>>, Vec<At<&'t str>>) {
    let Some(mut fields) = root.table("identify", "[identify]", faults) else {
        root.required(
            "identify",
            None::<()>,
            "{ sources = [\"192.0.2.7/32\"] }",
            faults,
        );
        return Default::default();
    };
    let sources = fields.texts("sources", faults);
    let tls_names = fields.texts("tls_names", faults);
    fields.pending("accounts", faults);
    fields.close(faults);
    (sources, tls_names)
}

fn callers<'t>(root: &mut Fields<'t>, faults: &mut Faults<'_>) -> CallersTable<'t> {
    let Some(mut fields) = root.table("callers", "[callers]", faults) else {
        let example = "{ own = [\"+81335570000..+81335570099\"], default = \"+81335570000\" }";
        root.required("callers", None::<()>, example, faults);
        return CallersTable::default();
    };
    let table = CallersTable {
        own_place: fields.place_of("own"),
        own: fields.texts("own", faults),
        otherwise: fields.text("otherwise", faults),
        forwarded: fields.text("forwarded", faults),
        default: fields.text("default", faults),
        has_default: fields.has("default"),
    };
    fields.required(
        "own",
        None::<()>,
        "[\"+81335570000..+81335570099\"]",
        faults,
    );
    fields.close(faults);
    table
}

/// `[caps]`, or one `[[cap]]` on what is like `example`.
fn cap_table<'t>(
    mut fields: Fields<'t>,
    example: Option<&str>,
    faults: &mut Faults<'_>,
) -> CapTable<'t> {
    let mut table = limits(&mut fields, faults);
    let mut names = 0;
    if let Some(example) = example {
        table.on = fields.text_or_texts("on", faults);
        table.when = fields.text("when", faults);
        table.mode = fields.text("mode", faults);
        if !fields.has("when") {
            fields.required("on", None::<()>, example, faults);
        }
        let all = ["on", "when", "mode"].into_iter();
        names = all.filter(|it| fields.has(it)).count();
    }
    table.is_empty = fields.len() == names;
    fields.close(faults);
    table
}

/// The keys that limit something.
fn limits<'t>(fields: &mut Fields<'t>, faults: &mut Faults<'_>) -> CapTable<'t> {
    let limits = Quantity::COUNTS.into_iter().filter_map(|quantity| {
        let count = fields.count(quantity.key(), faults);
        count.map(|count| (quantity, count))
    });
    let limits = limits.collect();
    let money = [Quantity::MoneyPerDay, Quantity::MoneyPerMonth]
        .map(|quantity| Some((quantity, fields.text(quantity.key(), faults)?)));
    CapTable {
        place: fields.place,
        on: Vec::new(),
        when: None,
        mode: None,
        limits,
        money: money.into_iter().flatten().collect(),
        longest_call: fields.text("longest_call", faults),
        longest_ring: fields.text("longest_ring", faults),
        is_empty: false,
    }
}

fn budget<'t>(mut fields: Fields<'t>, faults: &mut Faults<'_>) -> BudgetTable<'t> {
    let keys = [
        (Quantity::MoneyPerDay, "per_day"),
        (Quantity::MoneyPerMonth, "per_month"),
    ];
    let money = keys.map(|(quantity, key)| Some((quantity, fields.text(key, faults)?)));
    let table = BudgetTable {
        place: fields.place,
        money: money.into_iter().flatten().collect(),
        when_spent: fields.text("when_spent", faults),
    };
    fields.close(faults);
    table
}

fn pattern<'t>(mut fields: Fields<'t>, faults: &mut Faults<'_>) -> PatternTable<'t> {
    let kind = fields.text("kind", faults);
    fields.required("kind", kind, "\"prefix_walk\"", faults);
    let mut table = PatternTable {
        place: fields.place,
        kind,
        count: fields.count("count", faults),
        within: fields.text("within", faults),
        then: fields.text("then", faults),
        digits: None,
        shorter_than: None,
        when: None,
        on: None,
        known: Vec::new(),
    };
    // Only its own keys are known to each kind.
    match kind.map(|it| it.value) {
        Some("prefix_walk") => table.digits = fields.count("digits", faults),
        Some("short_calls") => {
            table.digits = fields.count("range_digits", faults);
            table.shorter_than = fields.text("shorter_than", faults);
        }
        Some("new_country") => table.known = fields.texts("known", faults),
        Some("burst") => {
            table.when = fields.text("when", faults);
            table.on = fields.text("on", faults);
        }
        Some("refusals") => {}
        // What is wrong is the kind.
        _ => return table,
    }
    fields.close(faults);
    table
}

fn hours_table<'t>(
    name: At<&'t str>,
    mut fields: Fields<'t>,
    faults: &mut Faults<'_>,
) -> HoursTable<'t> {
    let place = fields.place;
    let holidays = fields.texts("holidays", faults);
    let days = fields.other_texts(faults);
    HoursTable {
        place,
        name,
        days,
        holidays,
    }
}

fn inbound<'t>(mut fields: Fields<'t>, faults: &mut Faults<'_>) -> InboundTable<'t> {
    let deliver_to = fields.text("deliver_to", faults);
    fields.required("deliver_to", deliver_to, "\"udp:192.0.2.7:5060\"", faults);
    let table = InboundTable {
        deliver_to,
        listener: fields.text("listener", faults),
        large_over_tcp: fields.flag("large_over_tcp", faults),
        tls: TlsTable::client(&mut fields, faults),
        tariff: fields.text("tariff", faults),
        caps: limits(&mut fields, faults),
        narrower: fields
            .tables("cap", "[[inbound.cap]]", faults)
            .into_iter()
            .map(|it| cap_table(it, Some("\"caller\""), faults))
            .collect(),
    };
    fields.close(faults);
    table
}
