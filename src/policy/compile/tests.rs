use super::*;
use crate::policy::diagnostic::Severity;
use crate::policy::samples::MAIN;

mod accounts;
mod alerts;
mod bans;
mod choices;
mod inbound;
mod listeners;
mod names;
mod numbering;
mod registration;
mod tenants;
mod tls;

fn source(name: &str, text: &str) -> Source {
    Source {
        name: name.to_owned(),
        text: text.to_owned(),
    }
}

const TENANT: &str = r#"
name = "acme"
plan = "jp"
time_zone = "Asia/Tokyo"
carriers = ["upstream"]
[identify]
sources = ["127.0.0.3/32"]
[callers]
own = ["+81335570000..+81335570099"]
default = "+81335570000"
[destinations]
allow = ["jp.fixed", "us"]
"#;

fn sources(main: &str, tenants: &[&str]) -> Sources {
    let tenant = |(at, text): (usize, &&str)| source(&format!("t/{at}.toml"), text);
    Sources {
        main: source("tollgate.toml", main),
        tenants: tenants.iter().enumerate().map(tenant).collect(),
        plans: vec![source(
            "p/jp.toml",
            include_str!("../../../policies/plans/jp.toml"),
        )],
        numbering: None,
        tariffs: Vec::new(),
    }
}

fn compiled(sources: &Sources, preview: bool) -> Result<RuleSet, Vec<Diagnostic>> {
    let zones = TimeZoneDatabase::bundled();
    compile(sources, Options { preview }, &zones, &Counters::new())
}

/// The faults of the good files with changes to the tenant's, each
/// "line:column severity title | help".
fn faults(change: impl Fn(String) -> String) -> Vec<String> {
    shown(compiled(
        &sources(MAIN, &[&change(TENANT.to_owned())]),
        false,
    ))
}

fn shown(result: Result<RuleSet, Vec<Diagnostic>>) -> Vec<String> {
    let found = result.map_or_else(|found| found, |set| set.warnings);
    let show = |it: Diagnostic| {
        let help = it.help.unwrap_or_default();
        format!(
            "{}:{}:{} {} {} | {help}",
            it.file, it.line, it.column, it.severity, it.title
        )
    };
    found.into_iter().map(show).collect()
}

/// The only fault of the tenant's file with `from` replaced.
fn fault(from: &str, to: &str) -> String {
    assert!(TENANT.contains(from), "{from}");
    let mut found = faults(|text| text.replace(from, to));
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

/// The only fault of the tenant's file with `more` below.
fn fault_below(more: &str) -> String {
    let mut found = faults(|text| text + more);
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

/// The only fault of the main file with `from` replaced.
fn main_fault(from: &str, to: &str) -> String {
    assert!(MAIN.contains(from), "{from}");
    let mut found = shown(compiled(
        &sources(&MAIN.replace(from, to), &[TENANT]),
        false,
    ));
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
}

#[test]
fn good_files_have_no_faults() {
    let set = compiled(&sources(MAIN, &[TENANT]), false).unwrap();
    assert_eq!(shown(Ok(set)), [""; 0]);
}

#[test]
fn an_unknown_key_is_shown_with_the_nearest_known_one() {
    let found = fault_below("[caps]\ncalls_at_onse = 3\n");
    assert_has(
        &found,
        &[
            "t/0.toml:14:1 error unknown key `calls_at_onse` in [caps]",
            "`calls_at_once`",
        ],
    );
    let found = fault("[destinations]", "[destination]\nx = 1\n[destinations]");
    assert_has(&found, &[":11:2 error", "`destinations`"]);
    assert_has(
        &main_fault("[[carrier]]", "[rum]\n[[carrier]]"),
        &["unknown key `rum`", "`run`"],
    );
}

#[test]
fn all_faults_of_all_files_are_found_at_once_and_in_order() {
    let main = MAIN.replace("udp:127.0.0.2:5070", "udp:nowhere:x:5070");
    let tenant = TENANT
        .replace("\"jp\"", "\"jo\"")
        .replace("Asia/Tokyo", "Asia/Tokio");
    let tenant = tenant
        .replace("127.0.0.3/32", "127.0.0.3/31")
        .replace("\"us\"", "\"uss\"");
    let tenant = tenant.replace("default = \"+81335570000\"", "default = 7");
    let found = shown(compiled(&sources(&main, &[&tenant]), false));
    let places: Vec<&str> = found.iter().filter_map(|it| it.split(' ').next()).collect();
    let expected = [
        "tollgate.toml:6:11",
        "t/0.toml:3:8",
        "t/0.toml:4:13",
        "t/0.toml:7:12",
        "t/0.toml:10:11",
        "t/0.toml:12:22",
    ];
    assert_eq!(places, expected, "{found:#?}");
    assert_has(&found[1], &["no plan named `jo`", "\"jp\""]);
    assert_has(&found[2], &["\"Asia/Tokyo\""]);
    assert_has(&found[3], &["127.0.0.2/31"]);
    assert_has(&found[4], &["`default` takes a text"]);
}

#[test]
fn a_budget_is_in_the_currency_of_the_tariff() {
    let tariff = "destination,setup,per_minute,first_pulse,next_pulse,currency\nus,0,9,6,6,JPY\n";
    let with = |budget: &str, tariffed: bool| {
        let named = "plan = \"jp\"\ntariff = \"t\"";
        let named = if tariffed { named } else { "plan = \"jp\"" };
        let tenant = TENANT.replace("plan = \"jp\"", named) + budget;
        let mut sources = sources(MAIN, &[&tenant]);
        sources.tariffs.push(source("x/t.csv", tariff));
        match compiled(&sources, false) {
            Ok(set) => set.warnings().iter().map(|it| it.title.clone()).collect(),
            Err(_) => shown(compiled(&sources, false)),
        }
    };
    let good = "[budget]\nper_day = \"JPY 30000\"\nper_month = \"JPY 200000\"\nwhen_spent = \
                \"refuse_new\"\n[[cap]]\non = \"us\"\nmoney_per_day = \"JPY 1\"\n";
    assert_eq!(with(good, true), Vec::<String>::new());
    for (budget, expected) in [
        (
            "[budget]\nper_day = \"USD 1\"\n",
            "in USD, the tariff in JPY",
        ),
        ("[budget]\nper_day = \"30000\"\n", "`30000` is no amount"),
        ("[budget]\nper_month = \"JPY 0\"\n", "refuse every call"),
        ("[budget]\nwhen_spent = \"hangup\"\n", "`hangup` is not"),
        ("[budget]\nwhen_spent = \"hang_up\"\n", "limits nothing"),
        ("[budget]\nper_week = \"JPY 1\"\n", "unknown key `per_week`"),
        (
            "[[cap]]\non = \"us\"\nmoney_per_day = \"JPY 1\"\n[[cap]]\non = \"us\"\nmoney_per_day = \"JPY 2\"\n",
            "limited here already",
        ),
    ] {
        assert_has(&with(budget, true).concat(), &[expected]);
    }
    assert_has(&with(good, false).concat(), &["a budget needs a `tariff`"]);
    let misplaced = TENANT.to_owned() + "[caps]\nmoney_per_day = \"JPY 5\"\n";
    let found = shown(compiled(&sources(MAIN, &[&misplaced]), false));
    assert_has(&found.concat(), &["per_day = \"JPY 5\""]);
    for on in ["", "[[inbound.cap]]\non = \"caller\"\n"] {
        let inbound = "[inbound]\ndeliver_to = \"udp:127.0.0.3:5080\"\n";
        let found = with(&format!("{inbound}{on}money_per_day = \"JPY 5\"\n"), true);
        assert_has(&found.concat(), &["needs a `tariff` under [inbound]"]);
    }
}

#[test]
fn what_is_not_toml_is_shown_where_it_stops_being_so() {
    let found = faults(|text| text.replace("name = \"acme\"", "name = \"acme"));
    assert_has(&found[0], &["t/0.toml:2:"]);
    assert!(found.iter().all(|it| it.contains("error")), "{found:#?}");
}

#[test]
fn what_is_not_enforced_yet_is_refused_unless_previewed() {
    let main = MAIN.replace(
        "udp:127.0.0.1:5060\"",
        "udp:127.0.0.1:5060\"\nchallenge = true",
    ) + "[admin]\naddress = \"127.0.0.1:1\"\n";
    let sources = sources(&main, &[TENANT]);
    let found = compiled(&sources, false).unwrap_err();
    let keys: Vec<&str> = found
        .iter()
        .filter_map(|it| it.title.split('`').nth(1))
        .collect();
    assert_eq!(keys, ["address"], "{found:#?}");
    for fault in &found {
        assert_eq!(fault.severity, Severity::Error);
        assert_has(fault.help.as_deref().unwrap(), &["--preview"]);
    }
    let set = compiled(&sources, true).unwrap();
    assert_eq!(set.warnings().len(), found.len());
    assert!(
        set.warnings()
            .iter()
            .all(|it| it.severity == Severity::Warning)
    );
}

#[test]
fn a_control_socket_has_a_name() {
    let main = |socket: &str| format!("{MAIN}[admin]\nsocket = \"{socket}\"\n");
    let set = compiled(&sources(&main("../ctl"), &[TENANT]), false).unwrap();
    assert_eq!(set.run().socket.as_deref(), Some("../ctl"));
    let found = compiled(&sources(&main(""), &[TENANT]), false).unwrap_err();
    assert_has(&found[0].title, &["the control socket has no name"]);
    let named = |text: &str| {
        outline(&Source {
            name: String::new(),
            text: text.to_owned(),
        })
        .socket
    };
    assert_eq!(named("[admin]\nsocket = \"ctl\""), "ctl");
    assert_eq!(named("[ledger]\ndirectory = \"var\""), "var/control");
}

#[test]
fn names_that_refer_to_nothing_are_shown_with_what_there_is() {
    assert_has(
        &fault("\"upstream\"", "\"downstream\""),
        &["no carrier named", "\"upstream\""],
    );
    assert_has(
        &fault("plan = \"jp\"", "plan = \"gb\""),
        &["no plan named `gb`", "\"jp\""],
    );
    let found = faults(|text| text.replace("plan =", "tariff = \"x\"\nplan ="));
    assert_has(&found[0], &["no tariff named `x`", "no tariff at all"]);
}

#[test]
fn an_address_is_one_peers() {
    let other = TENANT.replace("acme", "beta");
    let found = shown(compiled(&sources(MAIN, &[TENANT, &other]), false));
    assert_has(&found[0], &["t/1.toml:7:12", "claimed twice", "t/0.toml:7"]);
    assert_has(
        &fault("127.0.0.3/32", "127.0.0.2"),
        &["claimed twice", "tollgate.toml:7"],
    );
    assert_has(
        &fault("127.0.0.3/32", "::ffff:127.0.0.2/128"),
        &["claimed twice"],
    );
    assert_has(&fault("127.0.0.3/32", "0.0.0.0/0"), &["every address"]);
    // A part of another's network is one's own, but hardly by intent.
    let wide = TENANT.replace("127.0.0.3/32", "127.0.0.0/29");
    let narrow = "127.0.0.3/32\", \"127.0.0.4/30";
    let narrow = TENANT
        .replace("acme", "beta")
        .replace("127.0.0.3/32", narrow);
    let set = compiled(&sources(MAIN, &[&wide, &narrow]), false).unwrap();
    let warned = shown(Ok(set));
    let places: Vec<&str> = warned
        .iter()
        .filter_map(|it| it.split(' ').next())
        .collect();
    assert_eq!(
        places,
        ["tollgate.toml:7:12", "t/1.toml:7:12", "t/1.toml:7:28"]
    );
    assert_has(&warned[1], &["warning", "`127.0.0.0/29`", "t/0.toml:7"]);
    let own = TENANT.replace("127.0.0.3/32", "127.0.0.16/28\", \"127.0.0.18");
    let set = compiled(&sources(MAIN, &[&own]), false).unwrap();
    assert_eq!(shown(Ok(set)), [""; 0]);
    let twice = shown(compiled(&sources(MAIN, &[TENANT, TENANT]), false));
    assert_has(
        &twice[0],
        &["t/1.toml:2:8", "two tenants named `acme`", "t/0.toml:2"],
    );
}

#[test]
fn the_main_file_is_checked() {
    assert_has(
        &main_fault("127.0.0.1:5060", "0.0.0.0:5060"),
        &["advertise"],
    );
    assert_has(
        &main_fault("udp:127.0.0.1:5060", "127.0.0.1:5060"),
        &["write the transport"],
    );
    assert_has(
        &main_fault("sources =", "number_format = \"us\"\nsources ="),
        &["`e164`"],
    );
    assert_has(
        &main_fault("udp:127.0.0.2:5070", "udp:[::1]:5070"),
        &["no listener can reach this IPv6"],
    );
    assert_has(
        &main_fault("[[listen]]", "[run]\nshards = 0\n[[listen]]"),
        &["1 to 1024"],
    );
    let again = "[[listen]]\naddress = \"udp:127.0.0.1:5060\"\n[[carrier]]";
    assert_has(&main_fault("[[carrier]]", again), &["listened at twice"]);
    let named = main_fault("sources =", "listener = \"udp:127.0.0.9:1\"\nsources =");
    assert_has(&named, &["no listener `udp:127.0.0.9:1`"]);
    let empty = shown(compiled(&sources("", &[]), false));
    assert_eq!(empty.len(), 3, "{empty:#?}");
}

#[test]
fn listeners_behind_a_wildcard_say_what_others_reach() {
    let main = MAIN.replace(
        "127.0.0.1:5060\"",
        "0.0.0.0:5060\"\nadvertise = \"192.0.2.1\"",
    );
    let set = compiled(&sources(&main, &[TENANT]), false).unwrap();
    assert_eq!(set.listeners()[0].advertise.to_string(), "192.0.2.1:5060");
    let main = main.replace("192.0.2.1", "192.0.2.1:5999");
    let set = compiled(&sources(&main, &[TENANT]), false).unwrap();
    assert_eq!(set.listeners()[0].advertise.to_string(), "192.0.2.1:5999");
}

#[test]
fn plans_are_checked_where_their_values_stand() {
    let mut sources = sources(MAIN, &[TENANT]);
    sources.plans[0].text = sources.plans[0]
        .text
        .replace("[\"186\"]", "[\"186\", \"18x\"]");
    let found = shown(compiled(&sources, false));
    assert_has(&found[0], &["p/jp.toml:7:27 error"]);
    sources.plans[0].text = sources.plans[0].text.replace("name    =", "nome =");
    let found = shown(compiled(&sources, false));
    assert!(
        !found.iter().any(|it| it.contains("no plan named")),
        "{found:#?}"
    );
}

#[test]
fn two_tenants_cannot_take_calls_to_one_number() {
    let inbound = "[inbound]\ndeliver_to = \"udp:127.0.0.3\"\n";
    let one = format!("{TENANT}{inbound}");
    let other = one
        .replace("acme", "beta")
        .replace("127.0.0.3", "127.0.0.4");
    let other = other.replace("+81335570000..+81335570099", "+81335570050");
    let other = other.replace("default = \"+81335570000\"", "default = \"+81335570050\"");
    let found = shown(compiled(&sources(MAIN, &[&one, &other]), false));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_has(&found[0], &["t/1.toml:9:8", "same number", "t/0.toml:9"]);
    let quiet = other.replace(&inbound.replace("127.0.0.3", "127.0.0.4"), "");
    assert!(compiled(&sources(MAIN, &[&one, &quiet]), false).is_ok());
}

/// Whatever is sent to a peer, its answers would be dropped otherwise.
#[test]
fn a_peer_is_sent_to_where_it_is_known() {
    let strange = format!("{TENANT}[inbound]\ndeliver_to = \"udp:127.0.0.9\"\n");
    let found = shown(compiled(&sources(MAIN, &[&strange]), false));
    assert_has(
        &found[0],
        &["`127.0.0.9` is not among", "add \"127.0.0.9\""],
    );
    let main = MAIN.replace("127.0.0.2/32", "127.0.0.8/32");
    let found = shown(compiled(&sources(&main, &[TENANT]), false));
    assert_has(&found.concat(), &["`127.0.0.2` is not among"]);
    let none = TENANT.replace("[\"upstream\"]", "[]");
    let found = shown(compiled(&sources(MAIN, &[&none]), false));
    assert_has(
        &found.concat(),
        &["no carrier that its calls could leave to"],
    );
}

#[test]
fn tariffs_are_checked() {
    let heading = "destination,setup,per_minute,first_pulse,next_pulse,currency";
    let of = |text: &str| {
        let mut sources = sources(MAIN, &[TENANT]);
        sources.tariffs.push(source("x/t.csv", text));
        shown(compiled(&sources, false)).join("\n")
    };
    assert_eq!(
        of(&format!(
            "# what it costs\n{heading}\nus,0,9,6,6,JPY\n+44 20,0.5,2.67,1,1,JPY\r\n"
        )),
        ""
    );
    assert_has(&of(""), &["is empty"]);
    assert_has(&of("destination,setup\n"), &["`per_minute` is missing"]);
    assert_has(&of(&format!("{heading},form\n")), &["t.csv:1:62", "`from`"]);
    assert_has(&of(&format!("{heading}\nus,0,9,6,6\n")), &["5 cells"]);
    assert_has(
        &of(&format!("{heading}\nus,0,x,0,6,yen\n")),
        &["2:6", "2:8", "2:12"],
    );
    assert_has(
        &of(&format!("{heading}\nus,0,9,6,6,JPY\nus,0,1,6,6,JPY\n")),
        &["3:1", "t.csv:2"],
    );
    assert_has(
        &of(&format!("{heading}\nusa,0,9,6,6,JPY\n")),
        &["names no destination"],
    );
}

#[test]
fn the_hash_is_that_of_the_texts() {
    let hash = |sources: &Sources| compiled(sources, false).unwrap().hash();
    let first = sources(MAIN, &[TENANT]);
    let mut moved = first.clone();
    moved.tenants[0].name = "elsewhere/0.toml".to_owned();
    assert_eq!(hash(&first), hash(&moved));
    moved.tenants[0].text.push_str("# a comment\n");
    assert_ne!(hash(&first), hash(&moved));
}

#[test]
fn the_outline_of_a_main_file_never_fails() {
    let at = |text: &str| outline(&source("tollgate.toml", text));
    assert_eq!(
        at("[policies]\ndirectory = \"rules\"\n[ledger]\ndirectory = \"l\"\nx = 1").policies,
        "rules"
    );
    assert_eq!(at("[[[").policies, "policies");
    assert_eq!(at("").ledger, "var/ledger");
    assert_eq!(at("[ledger]\nsegment_megabytes = 8").ledger, "var/ledger");
    assert_eq!(at("[policies]\n").policies, "policies");
}
