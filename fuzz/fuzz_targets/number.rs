//! Any bytes as a Request-URI, under every plan: one number or none, and what is
//! written for it reads as the same number.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tollgate::policy::plan::{NumberFormat, Plan};
use tollgate::policy::{Counters, RuleSet, TenantId};
use tollgate::sip::Uri;

static RULES: LazyLock<RuleSet> =
    LazyLock::new(|| tollgate_fuzz::rules_of_all_plans(&Counters::new()));

fuzz_target!(|data: &[u8]| {
    let Ok(uri) = Uri::parse(data) else { return };
    let tenants = 0..u32::try_from(RULES.tenants().len()).expect("they are five");
    for tenant in tenants {
        read_and_write(
            &uri,
            RULES.plan(TenantId(tenant)).expect("the tenant's plan"),
        );
    }
});

fn read_and_write(uri: &Uri<'_>, plan: &Plan) {
    let numbering = RULES.numbering();
    let first = plan.read(uri, numbering);
    assert_eq!(first, plan.read(uri, numbering), "two readings differ");
    let Ok(reading) = first else { return };
    let number = reading.number;
    for format in NumberFormat::ALL {
        let mut user = String::new();
        plan.write(&number, format, &mut user)
            .expect("a string takes it");
        let text = match user.starts_with("urn:") {
            true => user.clone(),
            false => format!("sip:{user}@carrier"),
        };
        let again = Uri::parse(text.as_bytes()).expect("what is written is a URI");
        let again = plan
            .read(&again, numbering)
            .unwrap_or_else(|why| panic!("{text}: {why:?}"));
        if !number.is_urn() {
            assert_eq!(again.number, number, "{text} reads as another number");
        }
        assert_eq!(again.privacy, None, "{text} says more than the number");
    }
}
