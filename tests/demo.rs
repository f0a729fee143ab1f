//! `tollgate demo`, run as anyone would, without a terminal.

#![cfg(feature = "cli")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tollgate::net::clock;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tollgate");

/// It takes 12 s, on a machine that has nothing else to do.
const HANGS: Duration = Duration::from_secs(120);

/// Less than it has left when it is cut short.
const CUT_SHORT: Duration = Duration::from_secs(8);

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
        let mut command = Command::new(PROGRAM);
        command.arg("demo");
        self.start(&mut command)
    }

    fn start(&self, command: &mut Command) -> Child {
        command
            .env("TMPDIR", &self.0)
            .env("TERM", "xterm")
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

/// Two at once, where the ports are taken that one would take first.
#[test]
fn the_attack_is_shown_and_refused() {
    let folders = [Temporary::new("one"), Temporary::new("two")];
    let start = clock::mono();
    let hosts = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];
    let taken = hosts.map(|host| [5060, 5070, 5080].map(|port| UdpSocket::bind((host, port))));
    for (demo, folder) in folders
        .each_ref()
        .map(Temporary::demo)
        .into_iter()
        .zip(&folders)
    {
        shows_it(demo.wait_with_output().unwrap());
        assert_eq!(folder.entries(), 0, "the temporary folder is gone");
    }
    assert!(clock::mono().saturating_since(start) < HANGS);
    drop(taken);
}

fn shows_it(output: Output) {
    let (text, errors) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert_eq!(
        (output.status.code(), errors.as_str()),
        (Some(0), ""),
        "{text}"
    );
    assert!(!text.contains('\x1b'), "nothing for a terminal: {text}");
    assert_eq!(counted(&text, "ordinary calls that failed"), "0");
    assert_eq!(counted(&text, "attack calls that reached the carrier"), "0");
    assert_eq!(counted(&text, "the attack did cost"), "¥0");
    assert_eq!(counted(&text, "saved, to 10/min, 3 at once"), "¥2,450,000");
    let through = counted(&text, "dear (+44 7), allowed, through of 48");
    let told = format!("is sure, so that {through} fit the budget");
    assert!(text.contains(&told), "{text}");
    assert!((1..48).contains(&through.parse::<u32>().unwrap()));
    let billed = counted(&text, "billed, of a budget of ¥2,000");
    assert!((1..=2_000).contains(&billed[2..].parse::<u32>().unwrap()));
    assert_eq!(counted(&text, "Tollgate       "), "¥0");
    let made = counted(&text, "attack calls made");
    assert!(made.parse::<u32>().unwrap() > 100);
    assert_eq!(counted(&text, "attack calls refused"), made);
    // What was said while it went on agrees with what is said in the end.
    let last = text
        .lines()
        .rfind(|line| line.contains("attack calls refused, "));
    let last = last.and_then(|line| line.split("; ").nth(1)?.split(' ').next());
    assert!(last.unwrap().parse::<u32>().unwrap() <= made.parse().unwrap());
    let ordinary = counted(&text, "ordinary calls made");
    assert!(ordinary.parse::<u32>().unwrap() > 50);
    // What it says to type next does work, where the example files are.
    let next = text.lines().last().unwrap().split_whitespace();
    let next = Command::new(PROGRAM)
        .args(next.skip(1))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(next.status.success(), "{next:?}");
    let told = ["Sierra Leone", "ambiguous", "no rule", "denied"];
    assert!(told.iter().all(|word| text.contains(word)), "{text}");
}

#[test]
fn a_signal_in_the_middle_ends_it_cleanly() {
    for (signal, code) in [("HUP", 129), ("INT", 130), ("TERM", 143)] {
        let folder = Temporary::new(signal);
        let (output, took) = interrupted(&folder, signal);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{errors}");
        assert!(
            errors.starts_with("tollgate: interrupted after "),
            "{errors}"
        );
        assert!(took < CUT_SHORT, "{signal}: {took:?}");
        assert_eq!(folder.entries(), 0, "the temporary folder is gone");
    }
}

#[test]
fn it_ends_soon_after_its_reader() {
    let folder = Temporary::new("reader");
    let mut demo = folder.demo();
    let mut line = String::new();
    let mut stdout = BufReader::new(demo.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    drop(stdout);
    let start = clock::mono();
    let output = demo.wait_with_output().unwrap();
    assert!(clock::mono().saturating_since(start) < CUT_SHORT);
    // As if SIGPIPE had ended it.
    assert_eq!(
        (output.status.code(), output.stderr.as_slice()),
        (Some(141), &b""[..])
    );
    assert_eq!(folder.entries(), 0, "the temporary folder is gone");
}

#[test]
fn a_terminal_that_is_closed_ends_it_like_any_program() {
    let folder = Temporary::new("closed");
    let code = folder.0.with_extension("code");
    let made = nix::unistd::mkfifo(&code, nix::sys::stat::Mode::S_IRWXU);
    made.unwrap();
    // As a shell that one types at, it hands the signal on.
    let inside = format!(
        "trap 'kill -HUP $!' HUP; {PROGRAM} demo & wait $!; wait $!; echo $? >{}",
        code.display()
    );
    // Whoever runs the tests may ignore it, as nohup does.
    let mut command = Command::new("env");
    command.args([
        "--default-signal=HUP",
        "script",
        "-qec",
        &inside,
        "/dev/null",
    ]);
    let mut terminal = folder.start(&mut command);
    let mut stdout = BufReader::new(terminal.stdout.take().unwrap());
    for _ in 0..20 {
        let mut line = String::new();
        assert!(stdout.read_line(&mut line).unwrap() > 0);
    }
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    let said = fs::read_to_string(&code).unwrap();
    fs::remove_file(&code).unwrap();
    assert_eq!(said, "129\n");
}

/// In a terminal of 40 columns, to its end and to a Ctrl-C in the middle.
#[test]
fn a_narrow_terminal_is_left_as_it_was() {
    let folder = Temporary::new("terminal");
    let runs = ["", "timeout --foreground --preserve-status -s INT 3 "].map(|before| {
        let inside =
            format!("stty cols 40 rows 16; stty -g; {before}{PROGRAM} demo; echo =$?; stty -g");
        // util-linux, as every Debian has it.
        let mut command = Command::new("script");
        command.args(["-qec", &inside, "/dev/null"]);
        folder.start(&mut command)
    });
    for (demo, code) in runs.into_iter().zip([0, 130]) {
        let output = demo.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<String> = text.lines().map(plain).collect();
        let modes: Vec<_> = lines
            .iter()
            .filter(|line| line.matches(':').count() > 30)
            .collect();
        let [before, after] = modes[..] else {
            panic!("{text}")
        };
        assert_eq!(before, after);
        assert!(lines.contains(&format!("={code}")), "{text}");
        assert!(text.contains("\x1b[2K"), "nothing was redrawn: {text}");
        let shown = lines.iter().filter(|line| !modes.contains(line));
        // But for what is to be copied, and what is said when it fails.
        let narrow = |line: &&String| !line.trim_start().starts_with("tollgate");
        for line in shown.filter(narrow) {
            assert!(line.chars().count() <= 40, "{line}");
        }
    }
    assert_eq!(folder.entries(), 0, "the temporary folder is gone");
}

/// A line as it is seen. Colours and moves of the cursor are all that may be in it:
/// nothing that would have to be set back.
fn plain(line: &str) -> String {
    let mut parts = line.split("\x1b[");
    let mut seen = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit() && c != ';');
        let (_, rest) = part.split_at(end.unwrap_or(part.len()));
        assert!(rest.starts_with(['A', 'J', 'K', 'm']), "{line:?}");
        seen.push_str(&rest[1..]);
    }
    seen.trim_matches('\r').to_owned()
}
