//! What calls to a tenant's own numbers cost it.

use super::*;

const COLUMNS: &str = "destination,setup,per_minute,first_pulse,next_pulse,currency,setup_on";

/// The faults of a tenant with tariffs of both kinds and this below `[inbound]`.
fn with(row: &str, below: &str) -> Vec<String> {
    let tenant = TENANT.replace("plan = \"jp\"", "plan = \"jp\"\ntariff = \"out\"");
    let inbound = "[inbound]\ndeliver_to = \"udp:127.0.0.3:5080\"\n";
    let mut sources = sources(MAIN, &[&format!("{tenant}{inbound}{below}")]);
    for (name, row) in [("x/out.csv", "any,0,9,6,6,JPY,answer"), ("x/in.csv", row)] {
        let text = format!("{COLUMNS}\n{row}\n");
        sources.tariffs.push(source(name, &text));
    }
    shown(compiled(&sources, false))
}

const ROW: &str = "jp.freephone,0,10,60,60,JPY,answer";

#[test]
fn an_inbound_tariff_makes_money_count_there() {
    let good = "tariff = \"in\"\nmoney_per_day = \"JPY 5000\"\nmoney_per_month = \"JPY 9000\"\n\
                [[inbound.cap]]\non = \"called\"\nmoney_per_day = \"JPY 900\"\n\
                [budget]\nper_day = \"JPY 30000\"\n";
    assert_eq!(with(ROW, good), [""; 0]);
    assert_eq!(with(ROW, "tariff = \"in\"\n"), [""; 0]);
}

#[test]
fn faults_of_an_inbound_tariff_say_what_to_change() {
    let dollars = ROW.replace("JPY", "USD");
    let attempts = ROW.replace("answer", "attempt");
    for (row, below, parts) in [
        (
            ROW,
            "tariff = \"inn\"\n",
            ["no tariff named `inn`", "did you mean \"in\""],
        ),
        (
            ROW,
            "money_per_day = \"JPY 5\"\n",
            ["needs a `tariff` under [inbound]", "jp-inbound.csv"],
        ),
        (
            ROW,
            "tariff = \"in\"\nmoney_per_day = \"USD 5\"\n",
            ["in USD, the tariff in JPY", "write it in JPY"],
        ),
        (
            &dollars,
            "tariff = \"in\"\n[budget]\nper_day = \"JPY 5\"\n",
            [
                "is in USD, that of calls to carriers in JPY",
                "in JPY: what",
            ],
        ),
        (
            &attempts,
            "tariff = \"in\"\n",
            ["from their answer on alone", "no budget can bound"],
        ),
    ] {
        let found = with(row, below);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert_has(&found[0], &parts);
    }
}
