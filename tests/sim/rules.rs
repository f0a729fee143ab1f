//! The rules of a run, as figures the model understands, and the policy texts
//! that say the same.

use tollgate::base::flow::Transport;
use tollgate::policy::{Answer, Answers, Located};

use crate::dial::{Dialled, Group};
use crate::prices::{Prices, yen};
use crate::rng::Rng;

/// What one tenant may do.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Groups, as bits.
    pub allow: u32,
    pub at_once: u64,
    /// A narrower cap, on `international`.
    pub abroad_at_once: u64,
    pub per_second: u64,
    pub per_minute: u64,
    pub per_hour: u64,
    pub per_day: u64,
    pub budget: Budget,
    /// How its own numbers begin, and the one that replaces others.
    pub own: String,
    pub default_caller: String,
}

/// What a tenant's calls may cost, in millionths of a yen.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    pub day: Option<u64>,
    pub month: Option<u64>,
    /// A narrower one, on `international`, a day.
    pub abroad: Option<u64>,
    /// Live calls may overshoot.
    pub overshoots: bool,
}

impl Budget {
    fn draw(rng: &mut Rng) -> Self {
        let mut some = |permille| {
            let sum = rng.range(1, 10) * 10_u64.pow(rng.range(8, 11) as u32) + rng.below(1_000_000);
            rng.permille(permille).then_some(sum)
        };
        Self {
            day: some(600),
            month: some(250),
            abroad: some(300),
            overshoots: rng.permille(80),
        }
    }

    /// The limits that cover a call.
    pub fn limits(&self, abroad: bool) -> impl Iterator<Item = u64> {
        let narrow = self.abroad.filter(|_| abroad);
        [self.day, self.month, narrow].into_iter().flatten()
    }

    fn text(&self) -> String {
        let line = |key: &str, sum: Option<u64>| {
            sum.map_or_else(String::new, |sum| format!("{key} = \"JPY {}\"\n", yen(sum)))
        };
        let spent = if self.overshoots {
            "refuse_new"
        } else {
            "hang_up"
        };
        format!(
            "{}[budget]\nwhen_spent = \"{spent}\"\n{}{}",
            line("money_per_day", self.abroad),
            line("per_day", self.day),
            line("per_month", self.month),
        )
    }
}

/// What all tenants may do.
#[derive(Clone, Debug)]
pub struct Rules {
    pub tenants: Vec<Tenant>,
    /// The tariff of all of them.
    pub prices: Prices,
}

/// Every call of a tenant ends after this long, and rings at most that long.
pub const LONGEST_CALL: &str = "6m";
pub const LONGEST_RING: &str = "1m";

impl Rules {
    /// Rules drawn for a seed.
    pub fn draw(rng: &mut Rng, tenants: u64) -> Self {
        let tenants = (0..tenants)
            .map(|number| Tenant::draw(rng, number))
            .collect();
        let prices = Prices::draw(rng);
        Self { tenants, prices }
    }

    /// The same tenants under other caps, one without a destination.
    pub fn changed(&self, rng: &mut Rng) -> Self {
        let mut rules = self.clone();
        for tenant in &mut rules.tenants {
            let drawn = Tenant::draw(rng, 0);
            tenant.at_once = drawn.at_once;
            tenant.per_second = drawn.per_second;
            tenant.per_minute = drawn.per_minute;
            tenant.abroad_at_once = drawn.abroad_at_once;
            if rng.permille(250) {
                tenant.budget = drawn.budget;
            }
            if rng.permille(300) {
                tenant.allow &= !(1 << rng.below(6));
            }
        }
        if rng.permille(300) {
            rules.prices = rules.prices.raised(rng);
        }
        rules
    }

    /// The user part that the other side must see for this number.
    pub fn written(&self, dial: &Dialled, carrier: u8, inbound: bool) -> String {
        let canonical = &dial.canonical;
        match canonical.strip_prefix('+') {
            // Carrier 1 takes numbers as Japan dials them.
            Some(digits) if carrier == 1 && !inbound => match digits.strip_prefix("81") {
                Some(national) => format!("0{national}"),
                None => format!("010{digits}"),
            },
            _ => canonical.clone(),
        }
    }
}

impl Tenant {
    fn draw(rng: &mut Rng, number: u64) -> Self {
        let mut allow = Group::JpFixed.bit() | Group::JpMobile.bit();
        for group in [Group::Us, Group::London] {
            if rng.permille(800) {
                allow |= group.bit();
            }
        }
        Self {
            allow,
            at_once: rng.range(2, 24),
            abroad_at_once: rng.range(1, 8),
            per_second: rng.range(1, 10),
            per_minute: rng.range(6, 60),
            per_hour: rng.range(40, 250),
            per_day: rng.range(40, 250),
            budget: Budget::draw(rng),
            own: format!("+8133557{number}0"),
            default_caller: format!("+8133557{number}000"),
        }
    }
}

/// The network of a run: where everybody is.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    pub tenants: u64,
    pub carriers: u64,
    /// Each tenant may use all carriers.
    pub several: bool,
    /// Who uses a stream: a bit each, the tenants first.
    pub streams: u64,
    /// Carriers are reached by a name.
    pub named: bool,
}

impl Places {
    /// Whether this peer uses a stream: a tenant, or a carrier behind them.
    pub fn is_stream(self, peer: u64) -> bool {
        self.streams & (1 << peer) != 0
    }

    fn scheme(self, peer: u64) -> &'static str {
        if self.is_stream(peer) { "tcp" } else { "udp" }
    }
}

impl Rules {
    /// `tollgate.toml`.
    pub fn main_text(places: Places) -> String {
        let mut text = String::from(
            "[[listen]]\naddress = \"udp:10.5.0.1:5060\"\n\
             [[listen]]\naddress = \"tcp:10.5.0.1:5060\"\n",
        );
        for carrier in 0..places.carriers {
            let format = if carrier == 0 { "e164" } else { "national" };
            let scheme = places.scheme(places.tenants + carrier);
            let (address, sources) = match places.named {
                true => (Self::carrier_name(places, carrier), String::new()),
                false => (
                    format!("{scheme}:10.9.{carrier}.1:5060"),
                    format!("sources = [\"10.9.{carrier}.1/32\"]\n"),
                ),
            };
            text.push_str(&format!(
                "[[carrier]]\nname = \"carrier{carrier}\"\naddress = \"{address}\"\n\
                 {sources}number_format = \"{format}\"\n"
            ));
        }
        text.push_str("[policies]\ndirectory = \"policies\"\n[ledger]\ndirectory = \"var\"\n");
        text
    }

    fn carrier_name(places: Places, carrier: u64) -> String {
        let scheme = places.scheme(places.tenants + carrier);
        format!("{scheme}:carrier{carrier}.example")
    }

    /// What the carriers' names lead to.
    pub fn answers(places: Places) -> Answers {
        let answer = |carrier: u64| {
            let transport = match places.is_stream(places.tenants + carrier) {
                true => Transport::Tcp,
                false => Transport::Udp,
            };
            let located = Located {
                priority: 0,
                weight: 0,
                transport,
                address: ([10, 9, carrier as u8, 1], 5060).into(),
            };
            let answer = Answer {
                ways: [located].into(),
                ..Answer::default()
            };
            (Self::carrier_name(places, carrier).into(), answer)
        };
        (0..places.carriers).map(answer).collect()
    }

    /// `policies/tenants/*.toml`: a name and a text each.
    pub fn tenant_texts(&self, places: Places) -> Vec<(String, String)> {
        let texts = self.tenants.iter().enumerate();
        let inbound = match self.prices.1 {
            Some(_) => "tariff = \"inbound\"\n",
            None => "",
        };
        texts
            .map(|(number, tenant)| tenant.text(number as u64, places, inbound))
            .collect()
    }

    /// `policies/tariffs/*.csv`: a name and a text each.
    pub fn tariff_texts(&self) -> Vec<(String, String)> {
        let named = |name: &str, text| (format!("policies/tariffs/{name}.csv"), text);
        let own = self.prices.inbound_text();
        let own = own.map(|text| named("inbound", text));
        [named("carrier", self.prices.text())]
            .into_iter()
            .chain(own)
            .collect()
    }

    /// `policies/plans/jp.toml`.
    pub const PLAN: &'static str = r#"
name    = "jp"
country = "jp"
[before]
withhold_caller = ["184"]
show_caller     = ["186"]
carrier_codes   = []
[international]
prefixes = ["010", "+"]
[national]
prefix = "0"
[emergency]
numbers = ["110", "118", "119"]
[emergency.urn]
"sos" = "110"
[services]
"142" = "service.forwarding"
"#;
}

impl Tenant {
    /// Its carriers: in turn, or the one as good as the other.
    fn carriers(number: u64, places: Places) -> String {
        let own = number % places.carriers;
        if !places.several {
            return format!("\"carrier{own}\"");
        }
        let other = (own + 1) % places.carriers;
        match number {
            0 | 1 => format!("\"carrier{own}\", \"carrier{other}\""),
            _ => format!(
                "{{ name = \"carrier{own}\", priority = 1, weight = 3 }}, \
                 {{ name = \"carrier{other}\", priority = 1 }}"
            ),
        }
    }

    fn text(&self, number: u64, places: Places, inbound: &str) -> (String, String) {
        let groups = [
            (Group::JpFixed, "jp.fixed"),
            (Group::JpMobile, "jp.mobile"),
            (Group::Us, "us"),
            (Group::London, "+44 20"),
        ];
        let allowed = groups
            .iter()
            .filter(|(group, _)| self.allow & group.bit() != 0);
        let allow: Vec<String> = allowed.map(|(_, name)| format!("\"{name}\"")).collect();
        let text = format!(
            r#"
name      = "tenant{number}"
plan      = "jp"
tariff    = "carrier"
time_zone = "Asia/Tokyo"
mode      = "enforce"
carriers  = [{carriers}]
[identify]
sources = ["10.1.{number}.1/32"]
[callers]
own       = ["{own}00..{own}99"]
otherwise = "replace"
default   = "{default}"
[destinations]
allow = [{allow}]
deny  = ["premium", "satellite"]
[inbound]
deliver_to = "{scheme}:10.1.{number}.1:5060"
{inbound}[caps]
calls_at_once    = {at_once}
calls_per_second = {per_second}
calls_per_minute = {per_minute}
calls_per_hour   = {per_hour}
calls_per_day    = {per_day}
longest_call     = "{LONGEST_CALL}"
longest_ring     = "{LONGEST_RING}"
[[cap]]
on            = "international"
calls_at_once = {abroad}
{budget}
"#,
            carriers = Self::carriers(number, places),
            scheme = places.scheme(number),
            own = self.own,
            default = self.default_caller,
            allow = allow.join(", "),
            at_once = self.at_once,
            per_second = self.per_second,
            per_minute = self.per_minute,
            per_hour = self.per_hour,
            per_day = self.per_day,
            abroad = self.abroad_at_once,
            budget = self.budget.text(),
        );
        (format!("policies/tenants/tenant{number}.toml"), text)
    }
}
