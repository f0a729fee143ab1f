//! A Tollgate that runs, spoken to over its control socket.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use serde_json::Value;

use crate::folder::Said;
use crate::run::{Running, folder};

#[test]
fn status_tells_what_runs() {
    let files = folder();
    let said = files.tollgate(&["status", "-c", "tollgate.toml"]);
    said.is_one_line("no Tollgate is running with this configuration");

    let mut running = Running::start(&files, &[]);
    running.says("listening on UDP");
    let said = files.tollgate(&["status", "-c", "tollgate.toml"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    for line in [
        "calls      0 calls up",
        "journal    written, in ",
        "carrier    metro at udp:127.0.0.2:5070",
        "1 tenant, ",
    ] {
        assert!(said.out.contains(line), "{line}: {}", said.out);
    }
    let said = files.tollgate(&["status", "-c", "tollgate.toml", "--json"]);
    let status: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["pid"], running.pid());
    assert_eq!(
        (&status["calls"], &status["stopping"]),
        (&0.into(), &false.into())
    );
    running.stop();
    let said = files.tollgate(&["status", "-c", "tollgate.toml"]);
    said.is_one_line("no Tollgate is running with this configuration");
}

#[test]
fn reload_waits_and_shows_what_is_wrong() {
    let files = folder();
    let mut running = Running::start(&files, &[]);
    running.says("listening on UDP");
    let hash = |files: &crate::folder::Folder| {
        let said = files.tollgate(&["status", "-c", "tollgate.toml", "--json"]);
        let status: Value = serde_json::from_str(&said.out).unwrap();
        status["rules"]["hash"].as_str().unwrap().to_owned()
    };
    let before = hash(&files);
    files.replace("rules/tenants/kiku.toml", "calls_at_once", "calls_at_onec");
    let said = files.tollgate(&["reload", "-c", "tollgate.toml"]);
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
    assert!(
        said.err
            .contains("rules/tenants/kiku.toml:20:1: error: unknown key"),
        "{said:?}"
    );
    let last = said.err.lines().last().unwrap();
    assert!(
        last.contains("the rules stay as they were: 1 fault in the configuration"),
        "{said:?}"
    );
    assert_eq!(hash(&files), before);

    files.replace(
        "rules/tenants/kiku.toml",
        "calls_at_onec  = 3",
        "calls_at_once = 4",
    );
    let said = files.tollgate(&["reload", "-c", "tollgate.toml"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let after = hash(&files);
    assert!(after != before && said.out.contains(&after), "{said:?}");
    running.stop();
}

#[test]
fn a_folder_of_tenants_that_is_gone_for_a_moment_changes_nothing() {
    let files = folder();
    let mut running = Running::start(&files, &[]);
    running.says("listening on UDP");
    let reload = || files.tollgate(&["reload", "-c", "tollgate.toml"]);
    let tenant = std::fs::read_to_string(files.path("rules/tenants/kiku.toml")).unwrap();
    std::fs::remove_file(files.path("rules/tenants/kiku.toml")).unwrap();
    reload().is_one_line("there is no tenant any more");
    let other = tenant.replace("\"kiku\"", "\"kame\"");
    files.write("rules/tenants/kame.toml", &other);
    let said = reload();
    assert_eq!(said.code, Some(0), "{said:?}");
    running.says("tenants are gone, and their calls are hung up: kiku");
    running.stop();
}

#[test]
fn status_says_that_the_files_are_broken() {
    let files = folder();
    let mut running = Running::start(&files, &[]);
    running.says("listening on UDP");
    running.stop();
    files.replace("rules/tenants/kiku.toml", "calls_at_once", "calls_at_onec");
    let mut running = Running::start(&files, &[]);
    running.says("listening on UDP");
    let told = || files.tollgate(&["status", "-c", "tollgate.toml"]).out;
    assert!(told().contains("THE FILES ARE BROKEN"), "{}", told());
    files.replace("rules/tenants/kiku.toml", "calls_at_onec", "calls_at_once");
    let said = files.tollgate(&["reload", "-c", "tollgate.toml"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(!told().contains("THE FILES ARE BROKEN"), "{}", told());
    running.stop();
}

#[test]
fn the_socket_may_be_elsewhere_and_what_a_kill_left_is_replaced() {
    let files = folder();
    let main = std::fs::read_to_string(files.path("tollgate.toml")).unwrap();
    files.write(
        "tollgate.toml",
        &format!("{main}[admin]\nsocket = \"orders\"\n"),
    );
    for _ in 0..2 {
        let mut running = Running::start(&files, &[]);
        running.says("listening on UDP");
        assert!(files.path("orders").exists() && !files.path("ledger/control").exists());
        let said = files.tollgate(&["status", "-c", "tollgate.toml"]);
        assert_eq!(said.code, Some(0), "{said:?}");
        running.kill();
        assert!(files.path("orders").exists());
        let said = files.tollgate(&["status", "-c", "tollgate.toml"]);
        said.is_one_line("no Tollgate is running");
    }
    std::fs::remove_file(files.path("orders")).unwrap();
    files.write("orders", "a file of somebody's");
    let said = files.tollgate(&["run", "-c", "tollgate.toml"]);
    assert!(
        said.err.lines().last().unwrap().contains("is no socket"),
        "{said:?}"
    );
}

/// Only where the test may become another user.
#[test]
fn another_user_gives_no_orders() {
    if !nix::unistd::Uid::effective().is_root() {
        return;
    }
    let files = folder();
    let main = std::fs::read_to_string(files.path("tollgate.toml")).unwrap();
    files.write(
        "tollgate.toml",
        &format!("{main}[admin]\nsocket = \"orders\"\n"),
    );
    let mut running = Running::start(&files, &[]);
    running.says("listening on UDP");
    // The program where that user can run it.
    let program = files.path("tollgate");
    std::fs::copy(env!("CARGO_BIN_EXE_tollgate"), &program).unwrap();
    let ask = || {
        let output = Command::new(&program)
            .args(["status", "-c", "tollgate.toml"])
            .current_dir(files.path("."))
            .uid(65_534)
            .output();
        Said::from(output.unwrap())
    };
    ask().is_one_line("it belongs to another user");
    let everybody = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(files.path("orders"), everybody).unwrap();
    ask().is_one_line("only root may give this Tollgate orders");
    running.says("another user tried to give orders");
    running.stop();
}

#[test]
fn a_block_that_cannot_be_kept_is_kept_later_and_this_is_told() {
    let files = folder();
    let order = |words: &[&str]| files.tollgate(&[words, &["-c", "tollgate.toml"]].concat());
    let mut running = Running::start(&files, &[]);
    running.says("listening on UDP");
    let obstacle = files.path("ledger/blocks.json.new");
    std::fs::create_dir(&obstacle).unwrap();
    let said = order(&["block", "kiku"]);
    said.is_one_line("it is in force, and in the journal; and it is not kept: cannot write ");
    assert!(!said.err.contains("no calls are let"), "{said:?}");
    running.says("what is blocked cannot be kept for the next start");
    let status = order(&["status"]).out;
    assert!(status.contains("BLOCKED    kiku: every call"), "{status}");
    assert!(
        status.contains("NOT KEPT, the next start would block what"),
        "{status}"
    );
    let said = order(&["run", "--take-over"]);
    said.is_one_line("what it blocks cannot be kept, and its successor would not know of it");
    std::fs::remove_dir(&obstacle).unwrap();
    running.says("what is blocked is kept for the next start");
    assert!(!order(&["status"]).out.contains("NOT KEPT"));
    running.kill();
    let mut running = Running::start(&files, &[]);
    running.says("blocked tenant=\"kiku\"");
    running.says("listening on UDP");
    running.stop();
}

/// A start at which the files are broken goes by the rules that were in force, also if there
/// was no room for them when they came into force.
#[test]
fn rules_that_cannot_be_kept_are_kept_later() {
    let files = folder();
    let mut running = Running::start(&files, &[]);
    running.says("listening on UDP");
    let kept = || std::fs::read_to_string(files.path("ledger/rules.json")).unwrap();
    let obstacle = files.path("ledger/rules.json.new");
    std::fs::create_dir(&obstacle).unwrap();
    let main = std::fs::read_to_string(files.path("tollgate.toml")).unwrap();
    files.write("tollgate.toml", &format!("{main}# later\n"));
    let said = files.tollgate(&["reload", "-c", "tollgate.toml"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    running.says("a start at which the files are broken would go by older rules");
    assert!(!kept().contains("# later"));
    std::fs::remove_dir(&obstacle).unwrap();
    running.says("the rules in force are kept for a later start");
    assert!(kept().contains("# later"));
    running.stop();
}

/// `status` tells of a journal that is written where nobody will find it.
#[test]
fn a_journal_that_is_not_in_its_folder_is_told_of() {
    let files = folder();
    let mut running = Running::start(&files, &[]);
    running.says("listening on UDP");
    let status = || files.tollgate(&["status", "-c", "tollgate.toml"]).out;
    assert!(status().contains("journal    written, in "), "{}", status());
    let segment = files.path("ledger/shard-000/00000001.tgj");
    let copy = std::fs::read(&segment).unwrap();
    std::fs::remove_file(&segment).unwrap();
    assert!(
        status().contains("journal    NOT IN ITS FOLDER: "),
        "{}",
        status()
    );
    // A copy in its place is not what is written.
    std::fs::write(&segment, copy).unwrap();
    assert!(
        status().contains("journal    NOT IN ITS FOLDER: "),
        "{}",
        status()
    );
    running.stop();
}

#[test]
fn a_block_is_in_force_kept_over_a_restart_and_lifted() {
    let files = folder();
    let order = |words: &[&str]| files.tollgate(&[words, &["-c", "tollgate.toml"]].concat());
    order(&["block", "kiku"]).is_one_line("no Tollgate is running with this configuration");
    let mut running = Running::start(&files, &[]);
    running.says("listening on UDP");
    order(&["block", "kiko"]).is_one_line("did you mean kiku?");
    order(&["block", "kiku", "--why", "a\nb"]).is_one_line("the reason is one line");
    order(&["unblock", "kiku"]).is_one_line("\"kiku\" is not blocked: nobody is");
    order(&["block"]).is_one_line("whose calls? Name a tenant, or say --all");
    let said = order(&[
        "block",
        "kiku",
        "--for",
        "2h",
        "--hang-up",
        "--why",
        "ticket 17",
    ]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.out
            .starts_with("blocked: kiku: every call but emergency calls until ")
    );
    assert!(
        said.out
            .contains("it is over with: tollgate unblock kiku -c tollgate.toml")
    );
    running.says("blocked by=");
    assert_eq!(order(&["block", "--all", "--international"]).code, Some(0));
    let status = order(&["status"]).out;
    let blocked: Vec<&str> = status
        .lines()
        .filter(|it| it.starts_with("BLOCKED"))
        .collect();
    assert!(
        matches!(blocked.as_slice(), [one, two]
            if one.contains("kiku: every call") && one.ends_with(": ticket 17")
            && two.contains("every tenant: every call abroad")),
        "{status}"
    );

    running.kill();
    let mut running = Running::start(&files, &[]);
    running.says("blocked tenant=\"kiku\"");
    running.says("listening on UDP");
    assert_eq!(order(&["reload"]).code, Some(0));
    let said = order(&["unblock", "--all"]);
    assert!(said.out.contains("still blocked: kiku: "), "{said:?}");
    let said = order(&["unblock", "kiku", "--why", "it is over"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(!said.out.contains("still blocked"), "{said:?}");
    let export = order(&["ledger", "export"]).out;
    for part in [
        r#""order":"block","tenant":"kiku","detail":"everything","hang_up":true,"lasts_s":7200"#,
        r#""order":"unblock","tenant":"kiku","detail":"everything","hang_up":false"#,
        r#""why":"it is over""#,
    ] {
        assert!(export.contains(part), "{part}: {export}");
    }
    running.stop();

    // Nobody knows what was blocked: everything is.
    files.write("ledger/blocks.json", "[{");
    let mut running = Running::start(&files, &[]);
    running.says("nobody knows what was blocked");
    assert!(
        order(&["status"])
            .out
            .contains("every tenant: every call but emergency calls")
    );
    assert_eq!(order(&["unblock", "--all"]).code, Some(0));
    running.stop();
}

#[test]
fn a_socket_that_somebody_removes_comes_again() {
    let files = folder();
    let mut running = Running::start(&files, &[]);
    running.says("listening on UDP");
    std::fs::remove_file(files.path("ledger/control")).unwrap();
    running.says("the control socket");
    let said = files.tollgate(&["block", "kiku", "-c", "tollgate.toml"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    running.stop();
    assert!(!files.path("ledger/control").exists());
}

#[test]
fn reset_is_said_and_written_down() {
    let files = folder();
    let mut running = Running::start(&files, &[]);
    running.says("listening on UDP");
    let reset = |tenant: &str| {
        let of = ["reset", "-c", "tollgate.toml", "--tenant", tenant];
        files.tollgate(&[&of[..], &["--why", "a false alarm"]].concat())
    };
    reset("nobody").is_one_line("no tenant is called \"nobody\"");
    let said = reset("kiku");
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(said.out, "the counters of kiku begin anew\n");
    running.stop();
    let said = files.tollgate(&["ledger", "export", "-c", "tollgate.toml"]);
    let records = said.out.lines();
    let records = records.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let resets: Vec<Value> = records.filter(|it| it["record"] == "reset").collect();
    let first = &resets[0];
    assert_eq!(
        (&first["tenant"], &first["resets"]),
        (&"kiku".into(), &1.into())
    );
    assert_eq!(first["why"], "a false alarm");
}

#[test]
fn a_clock_that_is_believed_needs_no_confirming() {
    let files = folder();
    let mut running = Running::start(&files, &[]);
    running.says("listening on UDP");
    let clock =
        |options: &[&str]| files.tollgate(&[&["clock", "-c", "tollgate.toml"], options].concat());
    let said = clock(&[]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.ends_with(", and is believed\n"), "{said:?}");
    let said = clock(&["--confirm", "--why", "to be sure"]);
    assert!(
        said.out.ends_with(", and was believed before\n"),
        "{said:?}"
    );
    let long = "x".repeat(2_000);
    clock(&["--confirm", "--why", &long]).is_one_line("the reason is one line of");
    running.stop();
}
