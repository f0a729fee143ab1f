//! `tollgate demo`, run as anyone would, without a terminal.

#![cfg(feature = "cli")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tollgate::net::clock;

/// A folder for temporary files, which the demo has to leave empty.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str) -> Self {
        let name = format!("tollgate-demo-test-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn entries(&self) -> usize {
        fs::read_dir(&self.0).unwrap().count()
    }

    fn demo(&self) -> Child {
        Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .arg("demo")
            .env("TMPDIR", &self.0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _removed = fs::remove_dir_all(&self.0);
    }
}

/// Waits until the demo is in the middle of the attack, then sends `signal`.
fn interrupted(folder: &Temporary, signal: &str) -> (Output, Duration) {
    let mut demo = folder.demo();
    let mut stdout = demo.stdout.take().unwrap();
    let mut byte = [0];
    let mut lines = 0;
    while lines < 3 {
        assert_eq!(stdout.read(&mut byte).unwrap(), 1, "it ended by itself");
        lines += u32::from(byte == *b"\n");
    }
    assert_eq!(folder.entries(), 1, "the ledger is in the temporary folder");
    let kill = Command::new("kill")
        .args(["-s", signal, &demo.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let start = clock::mono();
    // So that it can write to its end.
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    (
        demo.wait_with_output().unwrap(),
        clock::mono().saturating_since(start),
    )
}

/// The number at the end of the line that begins so.
#[track_caller]
fn counted(text: &str, start: &str) -> String {
    let mut lines = text.lines().map(str::trim);
    let line = lines.find(|line| line.starts_with(start));
    let line = line.unwrap_or_else(|| panic!("no line {start:?} in\n{text}"));
    line.rsplit(' ').next().unwrap().to_owned()
}

#[test]
fn the_attack_is_shown_and_refused() {
    let folder = Temporary::new("whole");
    let start = clock::mono();
    let output = folder.demo().wait_with_output().unwrap();
    let (text, errors) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert_eq!(
        (output.status.code(), errors.as_str()),
        (Some(0), ""),
        "{text}"
    );
    assert!(clock::mono().saturating_since(start) < Duration::from_secs(30));
    assert!(!text.contains('\x1b'), "nothing for a terminal: {text}");
    assert_eq!(counted(&text, "ordinary calls that failed"), "0");
    assert_eq!(counted(&text, "attack calls that reached the carrier"), "0");
    assert_eq!(counted(&text, "the attack did cost"), "¥0");
    assert_eq!(counted(&text, "saved against"), "¥2,450,000");
    assert_eq!(counted(&text, "Tollgate  "), "¥0");
    let made = counted(&text, "attack calls made");
    assert!(made.parse::<u32>().unwrap() > 100);
    assert_eq!(counted(&text, "attack calls refused"), made);
    let ordinary = counted(&text, "ordinary calls made");
    assert!(ordinary.parse::<u32>().unwrap() > 50);
    // What it says to type next does work, where the example files are.
    let next = text.lines().last().unwrap().split_whitespace();
    let next = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(next.skip(1))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(next.status.success(), "{next:?}");
    assert_eq!(folder.entries(), 0, "the temporary folder is gone");
}

#[test]
fn a_signal_in_the_middle_ends_it_cleanly() {
    for signal in ["INT", "TERM", "HUP"] {
        let folder = Temporary::new(signal);
        let (output, took) = interrupted(&folder, signal);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(
            errors.starts_with("tollgate: interrupted after "),
            "{errors}"
        );
        assert!(took < Duration::from_secs(2), "{signal}: {took:?}");
        assert_eq!(folder.entries(), 0, "the temporary folder is gone");
    }
}
