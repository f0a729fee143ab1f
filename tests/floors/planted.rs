//! Each rule finds a planted fault, and lets pass what only looks like one.

use super::{Tree, check};

/// A house of two rooms, with `text` as one file more.
fn house(path: &str, text: &str) -> Vec<String> {
    let mut tree = Tree::new();
    let mut add = |path: &str, text: &str| tree.insert(path.to_owned(), text.to_owned());
    let forbid = "#![forbid(unsafe_code)]\nmod planted;\n";
    for room in ["base", "sip", "transaction", "policy", "call", "net"] {
        add(&format!("{room}/mod.rs"), forbid);
        add(&format!("{room}/planted.rs"), "");
    }
    add(
        "lib.rs",
        "mod base; mod sip; mod transaction; mod policy; mod call; mod net;",
    );
    add("main.rs", "fn main() {}");
    add(path, text);
    check(&tree).into_iter().map(|fault| fault.0).collect()
}

/// The one fault in `text`, as a file of `room`.
#[track_caller]
fn fault(room: &str, text: &str) -> String {
    let faults = house(&format!("{room}/planted.rs"), text);
    assert_eq!(faults.len(), 1, "{faults:#?}");
    faults.into_iter().next().unwrap_or_default()
}

#[track_caller]
fn clean(room: &str, text: &str) {
    let faults = house(&format!("{room}/planted.rs"), text);
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn files_are_short() {
    clean("sip", &"\n".repeat(499));
    let long = fault("sip", &"\n".repeat(500));
    assert!(
        long.starts_with("src/sip/planted.rs:500: 500 lines"),
        "{long}"
    );
}

#[test]
fn functions_are_short() {
    let function = |lines: usize| format!("\nfn f(x: [u8; 2]) {{{}}}\n", "\n".repeat(lines - 1));
    clean("net", &function(69));
    let long = fault("net", &function(70));
    assert!(
        long.starts_with("src/net/planted.rs:2: `fn f` has 70 lines"),
        "{long}"
    );
    clean(
        "net",
        &format!("#[cfg(test)]\nmod tests {{ {} }}", function(70)),
    );
    clean(
        "net",
        &format!("fn f(); struct S {{ {} }}", "\n".repeat(80)),
    );
    let braces = "fn f() { let _ = ('{', \"{\", b\"\\\"{\", r#\"{\"{\"#); /* { /* { */ */ } // {\n";
    clean("net", &format!("{braces}{}", "\n".repeat(80)));
}

#[test]
fn imports_run_downward() {
    clean(
        "call",
        "use crate::{base::time::Now, sip::{Uri, via::Via}};",
    );
    clean(
        "sip",
        "use super::header; use crate::sip::uri; fn f() { self::g() }",
    );
    clean("sip", "// crate::call\nconst A: &str = \"crate::call\";");
    for up in [
        "use crate::call::Leg;",
        "use crate::{base::time, call::Leg};",
        "fn f() { crate::call::go() }",
        "use super::super::call::Leg;",
        "use super::super::{base, call};",
        "#[cfg(test)] mod tests { use crate::call::Leg; }",
    ] {
        let found = fault("sip", up);
        assert!(found.contains("`sip` imports from `call`"), "{found}");
    }
    let beside = fault("policy", "\nuse crate::transaction::Table;");
    assert!(beside.starts_with("src/policy/planted.rs:2:"), "{beside}");
    fault("base", "use crate::Anything;");
}

#[test]
fn the_core_touches_nothing_outside() {
    for touch in [
        "use std::time::{Duration, Instant};",
        "fn f() { std::time::SystemTime::now(); }",
        "use std::fs;",
        "use std::{fmt, fs::File};",
        "fn f() { std::thread::yield_now() }",
        "use std::net::{IpAddr, UdpSocket};",
        "type S = std::net::TcpStream;",
        "use tokio::sync::mpsc;",
        "fn f() { tracing::info!(\"x\") }",
        "fn f() { rand::random() }",
        "fn f() { unsafe { g() } }",
    ] {
        fault("call", touch);
        clean("net", touch);
        clean("call", &format!("#[cfg(test)] mod tests {{ {touch} }}"));
        clean("call", &format!("// {touch}\n/* {touch} */"));
    }
    for printing in ["println", "eprintln", "print", "eprint", "dbg"] {
        let text = format!("fn f() {{ {printing}!(\"x\") }}");
        fault("call", &text);
        fault("net", &text);
        clean("net", &format!("#[cfg(test)] mod tests {{ {text} }}"));
    }
    clean(
        "call",
        "use std::net::{IpAddr, SocketAddr}; use std::time::Duration;",
    );
    clean("call", "fn f(rand: u8) -> u8 { page.print(rand) }");
    fault("call", "#[cfg(any(test, feature = \"x\"))] use std::fs;");
    let hidden = "#[cfg(not(test))] mod m { use std::fs; }";
    fault("call", hidden);
}

#[test]
fn maps_draw_no_random_key() {
    for random in [
        "struct S { m: HashMap<u8, Vec<(u8, u8)>> }",
        "fn f() { let m = HashMap::new(); }",
        "fn f() { HashMap::<u8, u8>::default(); }",
        "struct S { m: HashSet<(u8, u8)> }",
        "fn f() { DashMap::with_shard_amount(4) }",
        "use std::hash::RandomState;",
    ] {
        fault("call", random);
        clean("net", random);
    }
    clean(
        "call",
        "use std::collections::HashMap; type M<V> = HashMap<u8, V, Keyed>;",
    );
    clean("call", "fn f() { HashMap::with_hasher(keyed) }");
    clean("call", "struct S { m: HashSet<fn(u8) -> u8, Keyed> }");
}

#[test]
fn the_core_forbids_unsafe() {
    let text = "//! #![forbid(unsafe_code)]\nmod planted;";
    let found = house("call/mod.rs", text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(house("net/mod.rs", text).is_empty());
}

#[test]
fn every_file_is_compiled() {
    let dead = house("call/orphan.rs", "");
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert!(
        dead[0].starts_with("src/call/orphan.rs:1: no module declares"),
        "{dead:?}"
    );
    let missing = fault("call", "\n// mod c;\nmod b;");
    assert!(
        missing.starts_with("src/call/planted.rs:3: no file for `mod b`"),
        "{missing}"
    );
}

#[test]
fn files_only_tests_see_are_test_code() {
    let mut tree = Tree::new();
    let mut add = |path: &str, text: &str| tree.insert(path.to_owned(), text.to_owned());
    add("lib.rs", "mod base;");
    add("base/mod.rs", "#![forbid(unsafe_code)]\npub mod wheel;");
    add("base/wheel.rs", "#[cfg(test)]\nmod tests;");
    add(
        "base/wheel/tests.rs",
        "use std::fs; use super::super::time;",
    );
    assert!(check(&tree).is_empty(), "{:?}", check(&tree));
    tree.insert("base/wheel.rs".to_owned(), "mod tests;".to_owned());
    assert_eq!(check(&tree).len(), 1);
}

#[test]
fn a_room_has_a_floor() {
    let mut tree = Tree::new();
    tree.insert("lib.rs".to_owned(), "mod attic;".to_owned());
    tree.insert("attic/mod.rs".to_owned(), String::new());
    let found = check(&tree);
    assert!(found[0].0.contains("`attic` has no floor"), "{found:?}");
}
