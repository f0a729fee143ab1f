//! Which carriers a tenant names.

use super::{MAIN, TENANT, assert_has, compiled, fault, shown, sources};

/// The main file with two carriers more.
fn three() -> String {
    let more = |name: &str, host: u8| {
        format!(
            "\n[[carrier]]\nname = \"{name}\"\naddress = \"udp:127.0.1.{host}:5070\"\n\
             sources = [\"127.0.1.{host}/32\"]\n"
        )
    };
    format!("{MAIN}{}{}", more("second", 2), more("third", 3))
}

/// What the tenant's carriers come to: place, priority and weight.
fn choices(carriers: &str) -> Vec<(u16, u16, u16)> {
    let tenant = TENANT.replace("carriers = [\"upstream\"]", carriers);
    let set = compiled(&sources(&three(), &[&tenant]), false).unwrap();
    let choices = set.tenants()[0].carriers.iter();
    choices
        .map(|it| (it.carrier.0, it.priority, it.weight))
        .collect()
}

#[test]
fn carriers_are_taken_in_the_order_of_their_priorities() {
    assert_eq!(choices("carriers = [\"upstream\"]"), [(0, 0, 1)]);
    assert_eq!(
        choices("carriers = [\"third\", \"upstream\"]"),
        [(2, 0, 1), (0, 1, 1)]
    );
    assert_eq!(
        choices(
            "carriers = [\"third\", { name = \"second\", priority = 0, weight = 4 }, \"upstream\"]"
        ),
        [(2, 0, 1), (1, 0, 4), (0, 1, 1)]
    );
    assert_eq!(
        choices(
            "carriers = [{ name = \"third\", priority = 9 }, { name = \"second\", priority = 1 }]"
        ),
        [(1, 1, 1), (2, 9, 1)]
    );
}

#[test]
fn who_names_none_has_all_of_them() {
    assert_eq!(choices(""), [(0, 0, 1), (1, 1, 1), (2, 2, 1)]);
}

#[test]
fn what_is_wrong_with_them_is_shown() {
    let as_is = "[\"upstream\"]";
    assert_has(
        &fault(as_is, "[\"upstream\", \"upstream\"]"),
        &["named twice"],
    );
    assert_has(
        &fault(as_is, "[{ name = \"upstream\", priority = 70000 }]"),
        &["too much for a priority", "65535"],
    );
    assert_has(
        &fault(as_is, "[{ priority = 1 }]"),
        &["`name` in carriers is missing"],
    );
    assert_has(
        &fault(as_is, "[{ name = \"upstream\", wait = 1 }]"),
        &["unknown key `wait` in carriers"],
    );
    assert_has(&fault(as_is, "[7]"), &["text in quotes"]);
    let main = |more: &str| {
        let main = MAIN.replace("[[carrier]]", &format!("[[carrier]]\n{more}"));
        shown(compiled(&sources(&main, &[TENANT]), false)).concat()
    };
    assert_has(&main("calls_at_once = 0"), &["cannot take 0 calls"]);
    assert_has(&main("probe = \"1s\""), &["5 s at least"]);
}
