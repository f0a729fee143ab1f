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
