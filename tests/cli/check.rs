//! `check`, the help, and files that cannot be read.

use crate::folder::Folder;

#[test]
fn a_good_configuration_is_summed_up() {
    let said = Folder::new().check();
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.err.contains("no tariff says what calls cost"),
        "{said:?}"
    );
    assert!(said.out.contains("with 1 warning"), "{said:?}");
    for what in ["1 tenant", "1 carrier", "1 listener", "rule set "] {
        assert!(said.out.contains(what), "{what}: {said:?}");
    }
    let hash = said
        .out
        .split_whitespace()
        .find(|word| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert!(hash.is_some(), "{said:?}");
}

#[test]
fn the_hash_follows_the_rules() {
    let files = Folder::new();
    let before = files.check().out;
    assert_eq!(before, files.check().out);
    files.replace(
        "rules/tenants/kiku.toml",
        "calls_at_once  = 3",
        "calls_at_once  = 4",
    );
    assert_ne!(before, files.check().out);
}

#[test]
fn every_fault_is_shown_with_a_caret() {
    let files = Folder::new();
    files.replace(
        "rules/tenants/kiku.toml",
        "calls_at_once  = 3",
        "calls_at_onec  = 3",
    );
    files.replace(
        "rules/plans/jp.toml",
        "country = \"jp\"",
        "country = \"yy\"",
    );
    let said = files.check();
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(said.out, "");
    for what in [
        "rules/tenants/kiku.toml:20:1",
        "calls_at_onec  = 3",
        "^^^^^^^^^^^^^",
        "calls_at_once",
        "rules/plans/jp.toml:3:",
        "2 faults",
    ] {
        assert!(said.err.contains(what), "{what}: {}", said.err);
    }
}

#[test]
fn caps_hours_and_patterns_are_checked_too() {
    let files = Folder::new();
    let more = "[[cap]]\non = [\"caller\", \"international\"]\nwhen = \"outside offise\"\n\
                calls_per_day = 0\n[hours.office]\nmon-fri = \"08:00-19:00\"\n\
                [[pattern]]\nkind = \"prefix_walks\"\n";
    let tenant = "rules/tenants/kiku.toml";
    let text = std::fs::read_to_string(files.path(tenant)).unwrap();
    files.write(tenant, &format!("{text}\n{more}"));
    let said = files.check();
    assert_eq!(said.code, Some(1), "{said:?}");
    for what in [
        "offise",
        "did you mean \"office\"",
        "^^^^^",
        "\"prefix_walk\"",
        "2 faults",
    ] {
        assert!(said.err.contains(what), "{what}: {}", said.err);
    }
    files.replace(tenant, "offise", "office");
    files.replace(tenant, "prefix_walks", "prefix_walk");
    let said = files.check();
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(!said.err.contains("error"), "{}", said.err);
}

#[test]
fn toml_that_breaks_off_is_shown_where() {
    let files = Folder::new();
    files.write("tollgate.toml", "[[listen]\naddress = 1\n");
    let said = files.check();
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("tollgate.toml:1:"), "{}", said.err);
}

#[test]
fn what_cannot_be_read_is_said_in_one_line() {
    let files = Folder::new();
    let say = |arguments: &[&str]| files.tollgate(arguments);
    say(&["check", "-c", "none.toml"]).is_one_line("none.toml: no such file");
    say(&["check", "-c", "."]).is_one_line("-c ./tollgate.toml");

    std::fs::write(
        files.path("rules/tenants/bad.toml"),
        b"name = \"x\"\n# \xff\n",
    )
    .unwrap();
    files
        .check()
        .is_one_line("rules/tenants/bad.toml:2: not UTF-8");
    std::fs::remove_file(files.path("rules/tenants/bad.toml")).unwrap();

    std::fs::remove_dir_all(files.path("rules/plans")).unwrap();
    files.check().is_one_line("rules/plans: no such folder");
    files.replace("tollgate.toml", "\"rules\"", "\"rulse\"");
    files.check().is_one_line("rulse: no such folder");
}

#[test]
fn what_is_no_file_is_neither_read_nor_waited_for() {
    let files = Folder::new();
    let odd = files.path("rules/tenants/odd.toml");
    let made = nix::unistd::mkfifo(&odd, nix::sys::stat::Mode::S_IRWXU);
    made.unwrap();
    files.check().is_one_line("odd.toml: a pipe");
    std::fs::remove_file(&odd).unwrap();
    std::fs::create_dir(&odd).unwrap();
    files.check().is_one_line("odd.toml: a folder, and no file");
    std::fs::remove_dir(&odd).unwrap();
    std::os::unix::fs::symlink("nowhere", &odd).unwrap();
    files
        .check()
        .is_one_line("odd.toml: a link to what is not there");
    std::fs::remove_file(&odd).unwrap();
    files.write("file", "");
    files.replace("tollgate.toml", "\"rules\"", "\"file\"");
    files.check().is_one_line("file: a file, and no folder");
}

#[test]
fn what_editors_leave_is_passed_over_and_other_files_with_a_warning() {
    let files = Folder::new();
    let before = files.check();
    for name in [".kiku.toml", "kiku.toml~", "kiku.toml.bak", "README.md"] {
        files.write(&format!("rules/tenants/{name}"), "rubbish");
    }
    assert_eq!(files.check().out, before.out);
    files.write("rules/tenants/shop.conf", "rubbish");
    let said = files.check();
    assert_eq!(said.code, Some(0), "{said:?}");
    for what in ["rules/tenants/shop.conf", "is passed over", "end in .toml"] {
        assert!(said.err.contains(what), "{what}: {}", said.err);
    }
    assert!(said.out.contains("with 2 warnings"), "{}", said.out);
}

#[test]
fn help_teaches() {
    let files = Folder::new();
    for (arguments, what) in [
        (vec!["--help"], "tollgate check -c tollgate.toml"),
        (vec!["run", "--help"], "SIGHUP"),
        (vec!["check", "--help"], "exit\ncode 1"),
        (vec!["explain", "--help"], "3 it would be refused"),
        (vec!["exposure", "--help"], "The smallest bound"),
        (vec!["ledger", "export", "--help"], "--since 2026-07-01"),
    ] {
        let said = files.tollgate(&arguments);
        assert_eq!(said.code, Some(0));
        assert!(said.out.contains(what), "{}", said.out);
        assert!(
            said.out.contains("Example") || said.out.contains("Begin"),
            "{}",
            said.out
        );
    }
    for arguments in [vec!["check"], vec!["chekc"], vec!["ledger", "export"]] {
        assert_eq!(files.tollgate(&arguments).code, Some(2));
    }
}

#[test]
fn a_name_is_not_looked_up() {
    let files = Folder::new();
    files.replace(
        "tollgate.toml",
        "udp:127.0.0.2:5070\"\nsources       = [\"127.0.0.2/32\"]",
        "udp:sip.metro.invalid\"",
    );
    let said = files.check();
    assert_eq!(said.code, Some(0), "{said:?}");
    for what in [
        "1 carrier is reached by name",
        "looked up while Tollgate runs and not here",
    ] {
        assert!(said.out.contains(what), "{what}: {said:?}");
    }
    for what in [
        "whoever answers for `sip.metro.invalid` is the carrier",
        "add `sources`",
    ] {
        assert!(said.err.contains(what), "{what}: {said:?}");
    }
    let said = files.tollgate(&[
        "explain",
        "-c",
        "tollgate.toml",
        "--tenant",
        "kiku",
        "0335571234",
    ]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("metro"), "{said:?}");
}
