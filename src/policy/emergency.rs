//! Emergency calls, told before anything else is known of them.

use super::number::Kind;
use super::ruleset::RuleSet;
use crate::sip::uri::Uri;

impl RuleSet {
    /// Whether this Request-URI is an emergency number in any tenant's dial plan.
    /// Whose call it is, and so which plan reads it, need not be known: where
    /// there is not room for everything, this says what there must be room for.
    #[must_use]
    pub fn is_emergency(&self, request_uri: &[u8]) -> bool {
        let Ok(uri) = Uri::parse(request_uri) else {
            return false;
        };
        self.plans.iter().any(|plan| {
            let reading = plan.read(&uri, &self.numbering);
            reading.is_ok_and(|it| it.kind == Kind::Emergency)
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::{Counters, Options, Source, Sources, compile};

    #[test]
    fn any_plan_may_know_it() {
        let source = |name: &str, text: &str| Source {
            name: name.into(),
            text: text.into(),
        };
        let main = "[[listen]]\naddress = \"udp:127.0.0.1:5060\"\n[[carrier]]\nname = \"up\"\n\
                    address = \"udp:127.0.0.2:5070\"\nsources = [\"127.0.0.2/32\"]\n";
        let tenant = |name: &str, plan: &str, host: u8| {
            format!(
                "name = \"{name}\"\nplan = \"{plan}\"\ntime_zone = \"Asia/Tokyo\"\n\
                 carriers = [\"up\"]\n[identify]\nsources = [\"127.0.0.{host}/32\"]\n\
                 [callers]\nown = [\"+8133557{host:04}\"]\notherwise = \"refuse\"\n"
            )
        };
        let british = "name = \"gb\"\ncountry = \"gb\"\n[international]\nprefixes = [\"00\"]\n\
                       [national]\nprefix = \"0\"\n[emergency]\nnumbers = [\"999\"]\n";
        let sources = Sources {
            main: source("tollgate.toml", main),
            tenants: vec![
                source("tenants/a.toml", &tenant("a", "jp", 3)),
                source("tenants/b.toml", &tenant("b", "gb", 4)),
            ],
            plans: vec![
                source(
                    "plans/jp.toml",
                    include_str!("../../policies/plans/jp.toml"),
                ),
                source("plans/gb.toml", british),
            ],
            numbering: None,
            tariffs: Vec::new(),
        };
        let zones = jiff::tz::TimeZoneDatabase::bundled();
        let rules = compile(&sources, Options::default(), &zones, &Counters::new()).unwrap();
        for uri in [
            "sip:110@x",
            "sip:184118@x;user=phone",
            "sip:999@x",
            "urn:service:sos.fire",
        ] {
            assert!(rules.is_emergency(uri.as_bytes()), "{uri}");
        }
        for uri in [
            "sip:111@x",
            "sip:+81110@x",
            "sip:1100@x",
            "sip:x",
            "110",
            "tel:+442071838750",
        ] {
            assert!(!rules.is_emergency(uri.as_bytes()), "{uri}");
        }
    }
}
