//! What reading a number takes at the worst.

use std::hint::black_box;
use std::time::{Duration, Instant};

use tollgate::policy::numbering::Numbering;
use tollgate::policy::{RuleSet, TenantId};
use tollgate::sip::uri::Uri;

use crate::time::{Cost, batches};

/// Texts that give a reader most to do.
fn hostile() -> Vec<String> {
    let many = |part: &str, count: usize| part.repeat(count);
    let mut all = vec![
        "sip:0335571234@gw".to_owned(),
        "sip:010442071838750@gw".to_owned(),
        "sip:184186184186184186184186184186184186@gw".to_owned(),
        "sip:184010442071838750@gw;user=phone".to_owned(),
        "sip:+999999999999999@gw".to_owned(),
        "sip:+81033557123499@gw".to_owned(),
        "tel:+44-20-7183-8750;phone-context=+81".to_owned(),
        "urn:service:sos.fire".to_owned(),
    ];
    for count in [8, 100, 500, 5_000, 60_000] {
        all.push(format!("sip:{}@gw", many("1", count)));
        all.push(format!("sip:+{}@gw", many("8", count)));
        all.push(format!("sip:{}@gw", many("%30", count / 3)));
        all.push(format!("sip:1{}1@gw;user=phone", many("-", count)));
        all.push(format!("sip:1{}x@gw;user=phone", many("-", count)));
        all.push(format!("tel:+4{}42071838750", many(".", count)));
        all.push(format!("tel:1{}", many(";phone-context=+81", count / 18)));
        all.push(format!("sip:1{}@gw", many(";a", count / 2)));
        all.push(format!("sip:110@gw{};user=phone", many(";a=b", count / 4)));
        all.push(format!("sip:{}@gw", many("184", count / 3)));
        all.push(format!("urn:service:sos{}", many(".a", count / 2)));
        all.push(format!("urn:service:sos.{}", many("a", count)));
        all.push(format!("sip:{}@gw", many("%FF", count / 3)));
    }
    all
}

/// The text that takes longest, and how long.
pub fn worst(rules: &RuleSet) -> (String, Cost) {
    let plan = rules.plan(TenantId(0)).unwrap();
    let mut worst: Option<(String, Cost)> = None;
    for text in hostile() {
        let Ok(uri) = Uri::parse(text.as_bytes()) else {
            continue;
        };
        let cost = batches(Duration::from_millis(10), || {
            let start = Instant::now();
            for _ in 0..100 {
                let _ = black_box(plan.read(black_box(&uri), Numbering::builtin()));
            }
            (start.elapsed(), 100)
        });
        if worst.as_ref().is_none_or(|(_, it)| it.best < cost.best) {
            worst = Some((text, cost));
        }
    }
    worst.unwrap()
}
