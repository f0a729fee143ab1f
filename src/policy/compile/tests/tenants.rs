//! Faults in what a tenant may do.

use super::{MAIN, TENANT, assert_has, compiled, fault, fault_below, faults, shown, sources};

#[test]
fn caps_are_checked() {
    let zero = fault_below("[caps]\ncalls_at_once = 0\n");
    assert_has(
        &zero,
        &[
            "t/0.toml:14:17",
            "cap of 0",
            "`deny`",
            "leave `calls_at_once` out",
        ],
    );
    assert_has(
        &fault_below("[caps]\ncalls_per_hour = 1000001\n"),
        &["1000000 at most"],
    );
    assert_has(
        &fault_below("[caps]\ncalls_per_day = -1\n"),
        &["takes a whole number"],
    );
    assert_has(
        &fault_below("[[cap]]\non = \"any\"\ncalls_at_once = 1\n"),
        &["under [caps]"],
    );
    assert_has(
        &fault_below("[[cap]]\non = \"intl\"\ncalls_at_once = 1\n"),
        &["\"caller\""],
    );
    assert_has(
        &fault_below("[[cap]]\ncalls_at_once = 1\n"),
        &["`on` in [[cap]] is missing"],
    );
    assert_has(
        &fault_below("[[cap]]\non = \"us\"\n"),
        &["warning", "limits nothing"],
    );
    assert_has(
        &fault_below("[caps]\nlongest_call = \"4 hours\"\n"),
        &["\"4h\""],
    );
    assert_has(
        &fault_below("[caps]\nlongest_call = \"25h\"\n"),
        &["86400 s at most"],
    );
    let cap = "[[cap]]\non = \"+1 212\"\ncalls_at_once = 1\n";
    let twice = fault_below(&format!("{cap}{}", cap.replace("+1 212", "+1212")));
    assert_has(
        &twice,
        &["t/0.toml:18:17", "limited here already", "t/0.toml:15"],
    );
}

#[test]
fn callers_are_checked() {
    assert_has(
        &fault("\"+81335570000\"", "\"+81335570100\""),
        &["not one of `own`"],
    );
    assert_has(
        &fault(
            "\"+81335570000..+81335570099\"",
            "\"0335570000\", \"+81335570000\"",
        ),
        &["with + and"],
    );
    assert_has(
        &fault("..+81335570099", "..+8133557009"),
        &["no number or range", "same number of digits"],
    );
    assert_has(
        &fault(
            "\"+81335570000..",
            "\"+81335570000\", \"+81033557..+81033558\", \"+81335570001..",
        ),
        &["no number can be"],
    );
    assert_has(
        &fault("default = \"+81335570000\"\n", ""),
        &["`default` in [callers] is missing"],
    );
    let refuse =
        faults(|text| text.replace("default = \"+81335570000\"", "otherwise = \"refuse\""));
    assert_eq!(refuse, [""; 0]);
    let nobody = faults(|text| {
        let text = text.replace("\"+81335570000..+81335570099\"", "");
        text.replace("default = \"+81335570000\"", "otherwise = \"refuse\"")
    });
    assert_has(&nobody[0], &["t/0.toml:9:7", "no number of its own"]);
}

#[test]
fn destinations_are_checked() {
    assert_has(&fault("\"us\"", "\"USA\""), &["names no destination"]);
    assert_has(
        &fault("\"us\"", "\"us\", \"us\""),
        &["warning", "there twice"],
    );
    let both = fault(
        "allow = [\"jp.fixed\", \"us\"]",
        "allow = [\"us\", \"+44 20\"]\ndeny = [\"+4420\"]",
    );
    assert_has(
        &both,
        &[
            "t/0.toml:12:16 warning",
            "allowed, and denied",
            "t/0.toml:13",
        ],
    );
    assert_has(
        &fault("allow = [\"jp.fixed\", \"us\"]", ""),
        &["warning", "nothing is allowed"],
    );
}

#[test]
fn prefixes_that_allow_more_than_one_might_think_are_shown() {
    let allow = |text: &str| fault("allow = [\"jp.fixed\", \"us\"]", text);
    let wide = allow("allow = [\"+44\"]");
    assert_has(
        &wide,
        &[
            "t/0.toml:12:10 warning",
            "`+44` also allows",
            "premium",
            "personal",
        ],
    );
    let tenant = TENANT.replace(
        "allow = [\"jp.fixed\", \"us\"]",
        "allow = [\"+81 90\", \"+81\"]\ndeny = [\"jp.mobile\", \"premium\", \"shared_cost\", \"uan\", \"pager\"]",
    );
    let found = shown(compiled(&sources(MAIN, &[&tenant]), false));
    assert_has(
        &found.join("\n"),
        &["`+81` allows numbers that `jp.mobile` denies"],
    );
}

#[test]
fn different_numbers_can_be_limited_up_to_what_is_remembered() {
    let found = fault_below("[caps]\ndistinct_numbers_per_day = 10001\n");
    assert_has(&found, &["t/0.toml:14:28 error", "can be 10000 at most"]);
    let found = fault_below("[caps]\ndistinct_number_per_day = 1\n");
    assert_has(&found, &["`distinct_numbers_per_day`"]);
}

#[test]
fn a_cap_is_on_things_that_can_be_true_together() {
    let on = |on: &str| fault_below(&format!("[[cap]]\non = {on}\ncalls_per_day = 3\n"));
    assert_has(
        &on("[\"caller\", \"us\", \"caller\"]"),
        &["t/0.toml:14:23 error `caller` is there twice"],
    );
    assert_has(&on("[\"us\", \"us\"]"), &["`us` is there twice"]);
    assert_has(&on("[\"us\", \"premium\"]"), &["\"us.premium\""]);
    assert_has(&on("[\"us\", \"gb\"]"), &["a [[cap]] for each"]);
    assert_has(&on("[\"caller\", \"any\"]"), &["leave it out"]);
    assert_has(
        &on("[\"premium\", \"international\", \"+44\"]"),
        &["two destinations at most"],
    );
    assert_has(&on("[\"caller\", \"premum\"]"), &["\"premium\""]);
    assert_has(&on("[\"calle\"]"), &["\"caller\" or \"called\""]);
    assert_has(&on("7"), &["`on` takes a text in quotes"]);
    let again = fault_below(
        "[[cap]]\non = [\"us\", \"caller\"]\ncalls_per_day = 3\n\
         [[cap]]\non = [\"caller\", \"us\"]\ncalls_per_day = 4\n",
    );
    assert_has(
        &again,
        &["18:17 error", "limited here already", "t/0.toml:15"],
    );
}

#[test]
fn hours_are_days_times_and_dates() {
    let hours = |key: &str| fault_below(&format!("[hours.office]\nsun = \"10:00-11:00\"\n{key}\n"));
    assert_has(
        &hours("mno = \"08:00-19:00\""),
        &["t/0.toml:15:1 error `mno` is no day of the week", "`mon`"],
    );
    assert_has(
        &hours("sat-mon = \"1:00-2:00\""),
        &["`sun` has its hours already"],
    );
    for wrong in [
        "19:00-08:00",
        "8-19",
        "08:00",
        "08:00-24:01",
        "08:60-09:00",
        "8:0-9:00",
    ] {
        let found = hours(&format!("mon-fri = \"{wrong}\""));
        assert_has(&found, &["t/0.toml:15:11 error", wrong, "to 24:00"]);
    }
    assert_has(
        &hours("holidays = [\"2026-02-30\"]"),
        &[":15:13 error", "2026-12-31"],
    );
    assert_has(
        &hours("holidays = [\"2026-02-03..2026-02-01\"]"),
        &["is no date"],
    );
    assert_has(&hours("mon = 8"), &["`mon` takes a text in quotes"]);
    assert_has(
        &fault_below("[hours.office]\nholidays = []\n"),
        &["`office` is never"],
    );
    assert_has(
        &fault_below("[hours]\noffice = 1\n"),
        &["a table, [hours.*]"],
    );
}

#[test]
fn a_cap_can_be_for_hours_that_there_are() {
    const OFFICE: &str = "[hours.office]\nmon-fri = \"08:00-19:00\"\n";
    let when = |keys: &str| fault_below(&format!("[[cap]]\n{keys}\ncalls_per_day = 3\n{OFFICE}"));
    assert_has(
        &when("when = \"ofice\""),
        &[
            "t/0.toml:14:8 error there is no hours named `ofice`",
            "\"office\"",
        ],
    );
    assert_has(
        &when("when = \"outside of office\""),
        &["`of office`", "\"office\""],
    );
    let none = fault_below("[[cap]]\nwhen = \"office\"\ncalls_per_day = 3\n");
    assert_has(&none, &["[hours.office]", "mon-fri"]);
    let zero = fault_below("[[cap]]\non = \"us\"\ncalls_per_day = 0\n");
    assert_has(&zero, &[":15:17 error a cap of 0", "add `when`"]);
    let all = fault_below("[[cap]]\non = \"any\"\ncalls_per_day = 1\n");
    assert_has(&all, &["no narrower cap"]);
    let twice = when("when = \"office\"\ncalls_per_day = 1\n[[cap]]\nwhen = \"office\"");
    assert_has(&twice, &["limited here already"]);
}

#[test]
fn inbound_caps_are_on_numbers_only() {
    const INBOUND: &str = "[inbound]\ndeliver_to = \"udp:127.0.0.3:5080\"\n";
    let found = fault_below(&format!(
        "{INBOUND}[[inbound.cap]]\non = \"us\"\ncalls_per_day = 1\n"
    ));
    assert_has(
        &found,
        &[
            "t/0.toml:16:6 error no cap on inbound calls is on `us`",
            "\"caller\"",
        ],
    );
    let found = fault_below(&format!("{INBOUND}calls_at_onse = 1\n"));
    assert_has(&found, &["in [inbound]", "`calls_at_once`"]);
    let found = fault_below(&format!(
        "{INBOUND}[[inbound.cap]]\non = \"caller\"\nmode = \"watch\"\ncalls_per_day = 1\n"
    ));
    assert_has(&found, &[":17:8 error `watch` is no mode", "\"observe\""]);
    let found = fault_below(&format!("{INBOUND}calls_per_day = 0\n"));
    assert_has(&found, &["a cap of 0"]);
}

#[test]
fn what_is_observed_only_can_be_observed() {
    let found = fault_below("[[cap]]\non = \"us\"\nmode = \"observe\"\nlongest_call = \"1m\"\n");
    assert_has(&found, &[":16:16 error", "cannot be observed"]);
    let twice = "[[cap]]\non = \"us\"\nmode = \"observe\"\ncalls_per_day = 1\n";
    let found = fault_below(&format!("{twice}{twice}"));
    assert_has(&found, &["limited here already"]);
    let observed = |list: &str| {
        fault(
            "allow = [\"jp.fixed\", \"us\"]",
            &format!("allow = [\"us\"]\n{list}"),
        )
    };
    assert_has(
        &observed("observe = [\"us\"]"),
        &[":12:10 warning `us` is allowed, and observed", "recorded"],
    );
    assert_has(
        &observed("observe = [\"gb\"]\ndeny = [\"gb\"]"),
        &[":13:12 warning `gb` is observed, and denied", "wins"],
    );
    assert_has(&observed("observ = [\"us\"]"), &["`observe`"]);
}

#[test]
fn a_pattern_has_the_keys_of_its_kind() {
    let of = |keys: &str| fault_below(&format!("[[pattern]]\n{keys}\n"));
    assert_has(
        &of("kind = \"prefix_wolk\""),
        &["t/0.toml:14:8 error", "\"prefix_walk\""],
    );
    assert_has(&of("kind = \"storm\""), &["no pattern `storm`", "burst"]);
    assert_has(&of("count = 3"), &["`kind` in [[pattern]] is missing"]);
    assert_has(
        &of("kind = \"burst\"\ndigits = 3"),
        &[":15:1 error unknown key `digits` in [[pattern]]"],
    );
    assert_has(
        &of("kind = \"prefix_walk\"\ndigits = 3"),
        &[":15:10 error", "4 to 10"],
    );
    assert_has(&of("kind = \"prefix_walk\"\ncount = 1"), &["2 to 200"]);
    assert_has(&of("kind = \"refusals\"\ncount = 201"), &["a [[cap]]"]);
    assert_has(&of("kind = \"refusals\"\nwithin = \"8d\""), &["`8d`"]);
    assert_has(
        &of("kind = \"refusals\"\nthen = \"tell\""),
        &["\"cap\" or \"refuse\""],
    );
    assert_has(
        &of("kind = \"burst\"\nwhen = \"night\""),
        &["[hours.office]"],
    );
    assert_has(&of("kind = \"burst\"\non = \"premum\""), &["\"premium\""]);
    assert_has(
        &of("kind = \"new_country\"\nknown = [\"premium\"]"),
        &["is no country"],
    );
    assert_has(
        &of("kind = \"short_calls\"\nshorter_than = \"2h\""),
        &["`2h`"],
    );
    let twice = "[[pattern]]\nkind = \"refusals\"\n";
    assert_has(
        &fault_below(&format!("{twice}{twice}")),
        &["such a pattern already"],
    );
    let both = format!("{twice}{twice}count = 40\nthen = \"refuse\"\n");
    assert_eq!(faults(|text| text + &both), [""; 0]);
}

#[test]
fn what_becomes_of_forwarded_calls_is_one_of_three() {
    let found = fault("[destinations]", "forwarded = \"forward\"\n[destinations]");
    assert_has(&found, &["t/0.toml:11:13 error `forward`", "\"keep\""]);
}
