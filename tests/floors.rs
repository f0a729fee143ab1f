//! The house rules, as a test: sizes, floors, what the core may not touch, and
//! no file that nobody compiles.

#[path = "floors/planted.rs"]
mod planted;
#[path = "floors/source.rs"]
mod source;

use std::collections::BTreeMap;
use std::path::Path;

use source::{Token, code, functions, generic_arguments, modules, paths, tokens, without_tests};

/// Each room and its floor. A room imports from itself and from floors under
/// its own, never from beside or above.
const FLOORS: [(&str, u32); 15] = [
    ("base", 0),
    ("sip", 1),
    ("transaction", 2),
    ("policy", 2),
    ("record", 2),
    ("call", 3),
    ("trunk", 3),
    ("shard", 4),
    ("net", 5),
    ("ledger", 5),
    ("cluster", 5),
    ("admin", 5),
    ("media", 5),
    ("app", 6),
    // The crate's roots, which declare all of them.
    ("", 7),
];

/// The first floor that may touch the world outside.
const OUTSIDE: u32 = 5;

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;

/// Words that the core may not use, and what to do instead.
const WORDS: [(&str, &str); 9] = [
    ("Instant", "take `Now` or `Mono` as an argument"),
    ("SystemTime", "take `Now` or `Wall` as an argument"),
    ("UdpSocket", "put a transmit into the outbox"),
    ("UnixDatagram", "put a transmit into the outbox"),
    ("UnixStream", "put a transmit into the outbox"),
    ("TcpStream", "put a transmit into the outbox"),
    ("TcpListener", "let `net` listen"),
    ("RandomState", "use a hasher whose key is handed in"),
    ("unsafe", "find a safe way; only F5 may, with a reason"),
];

/// Macros that nobody may use.
const MACROS: [&str; 5] = ["println", "eprintln", "print", "eprint", "dbg"];

/// Paths that the core may not use, and what to do instead.
const PATHS: [(&[&str], &str); 10] = [
    (&["std", "fs"], "let the caller read and hand in the text"),
    (&["std", "thread"], "a shard is one thread"),
    (&["std", "env"], "take it as an argument"),
    (&["std", "process"], "return an error"),
    (&["tokio"], "return what is to be done; `net` does it"),
    (&["tracing"], "put an event into the outbox"),
    (&["nix"], "let `net` or `ledger` do it"),
    (&["socket2"], "let `net` do it"),
    (&["rand"], "take a key as an argument; see base::token"),
    (&["getrandom"], "take a key as an argument; see base::token"),
];

/// Maps that draw a random key unless given a hasher, and how many type
/// arguments they have with one.
const MAPS: [(&str, usize); 4] = [
    ("HashMap", 3),
    ("HashSet", 2),
    ("DashMap", 3),
    ("DashSet", 2),
];

/// Their constructors that take no hasher.
const RANDOM_CONSTRUCTORS: [&str; 5] = [
    "new",
    "from",
    "with_capacity",
    "with_shard_amount",
    "with_capacity_and_shard_amount",
];

/// A file below `src/`, by its path from there with `/`.
type Tree = BTreeMap<String, String>;

/// What is wrong, where, and what to do.
#[derive(Debug)]
struct Fault(String);

impl Fault {
    fn new(path: &str, line: usize, what: &str, instead: &str) -> Self {
        Self(format!("src/{path}:{line}: {what}: {instead}"))
    }
}

/// The room a file is in; the empty name for the crate's roots.
fn room(path: &str) -> &str {
    match path.split_once('/') {
        Some((room, _)) => room,
        None if matches!(path, "lib.rs" | "main.rs") => "",
        None => path.trim_end_matches(".rs"),
    }
}

fn floor(room: &str) -> Option<u32> {
    let mut known = FLOORS.iter();
    known
        .find(|(name, _)| *name == room)
        .map(|(_, floor)| *floor)
}

/// Every fault of the tree, by file.
fn check(tree: &Tree) -> Vec<Fault> {
    let (reached, mut faults) = reach(tree);
    for (path, text) in tree {
        let Some(for_tests) = reached.get(path) else {
            let help = "declare it with `mod`, or delete it";
            faults.push(Fault::new(path, 1, "no module declares this file", help));
            continue;
        };
        let all = tokens(&code(text));
        let shown = if *for_tests {
            Vec::new()
        } else {
            without_tests(&all)
        };
        check_file_size(path, text, &mut faults);
        check_functions(path, &shown, &mut faults);
        check_macros(path, &shown, &mut faults);
        check_imports(path, &all, &shown, *for_tests, &mut faults);
        if floor(room(path)).is_some_and(|floor| floor < OUTSIDE) {
            check_words(path, &shown, &mut faults);
            check_maps(path, &shown, &mut faults);
            check_forbids_unsafe(path, text, &mut faults);
        }
    }
    faults
}

/// Every file that a root declares, at however many removes, and whether only
/// tests see it.
fn reach(tree: &Tree) -> (BTreeMap<String, bool>, Vec<Fault>) {
    let mut faults = Vec::new();
    let mut reached = BTreeMap::new();
    let mut open = vec![("lib.rs".to_owned(), false), ("main.rs".to_owned(), false)];
    while let Some((path, for_tests)) = open.pop() {
        let Some(text) = tree.get(&path) else {
            continue;
        };
        reached.insert(path.clone(), for_tests);
        let stem = match path.strip_suffix("mod.rs") {
            Some(folder) => folder.to_owned(),
            None if matches!(path.as_str(), "lib.rs" | "main.rs") => String::new(),
            None => format!("{}/", path.trim_end_matches(".rs")),
        };
        for (line, name, only_tests) in modules(&tokens(&code(text))) {
            let places = [format!("{stem}{name}.rs"), format!("{stem}{name}/mod.rs")];
            match places.into_iter().find(|place| tree.contains_key(place)) {
                Some(place) => open.push((place, for_tests || only_tests)),
                None => {
                    let what = format!("no file for `mod {name}`");
                    let help = "add the file, or delete the declaration";
                    faults.push(Fault::new(&path, line, &what, help));
                }
            }
        }
    }
    (reached, faults)
}

fn check_file_size(path: &str, text: &str, faults: &mut Vec<Fault>) {
    let lines = text.lines().count();
    if lines >= FILE_LINES {
        let what = format!("{lines} lines, and fewer than {FILE_LINES} are allowed");
        faults.push(Fault::new(path, lines, &what, "split it by concept"));
    }
}

fn check_functions(path: &str, shown: &[Token], faults: &mut Vec<Fault>) {
    for (line, name, lines) in functions(shown) {
        if lines >= FUNCTION_LINES {
            let what = format!(
                "`fn {name}` has {lines} lines, and fewer than {FUNCTION_LINES} are allowed"
            );
            faults.push(Fault::new(path, line, &what, "split it by step"));
        }
    }
}

/// Imports by `crate::` are checked in test code too; those by `super::` only
/// where the file itself is the module they start from.
fn check_imports(
    path: &str,
    all: &[Token],
    shown: &[Token],
    for_tests: bool,
    faults: &mut Vec<Fault>,
) {
    let here = room(path);
    let Some(own) = floor(here) else {
        let what = format!("the room `{here}` has no floor");
        let help = "give it one in FLOORS of tests/floors.rs";
        return faults.push(Fault::new(path, 1, &what, help));
    };
    let by_super = if for_tests { all } else { shown };
    let rooms = paths(all)
        .into_iter()
        .filter(|(_, path)| path.first().is_some_and(|root| root == "crate"))
        .map(|(line, path)| (line, path.into_iter().skip(1).collect::<Vec<_>>()));
    let ups = paths(by_super)
        .into_iter()
        .filter_map(|(line, steps)| Some((line, from_root(path, &steps)?)));
    for (line, target) in rooms.chain(ups) {
        let Some(there) = target.first().filter(|room| *room != here) else {
            continue;
        };
        // What is no room is an item of the crate's root.
        if floor(there).unwrap_or(7) >= own && own < 7 {
            let what = format!("`{here}` imports from `{there}`, which is not below it");
            let help = "move what is shared down, or pass it in";
            faults.push(Fault::new(path, line, &what, help));
        }
    }
}

/// A path that begins with `super`, from the crate's root; `None` for others.
fn from_root(path: &str, steps: &[String]) -> Option<Vec<String>> {
    let ups = steps.iter().take_while(|step| *step == "super").count();
    if ups == 0 {
        return None;
    }
    let module = path.trim_end_matches(".rs").trim_end_matches("/mod");
    let mut from: Vec<String> = module.split('/').map(str::to_owned).collect();
    from.truncate(from.len().saturating_sub(ups));
    from.extend(steps.iter().skip(ups).cloned());
    Some(from)
}

fn check_macros(path: &str, shown: &[Token], faults: &mut Vec<Fault>) {
    let outside = floor(room(path)).is_none_or(|floor| floor >= OUTSIDE);
    for pair in shown.windows(2) {
        if let [name, bang] = pair
            && bang.text == "!"
            && MACROS.contains(&name.text.as_str())
        {
            let (what, help) = match outside {
                true => (
                    format!("`{}!`, which panics if it cannot be written", name.text),
                    "use `app::log::say` or `app::print`",
                ),
                false => (
                    format!("`{}!` below F{OUTSIDE}", name.text),
                    "put an event into the outbox",
                ),
            };
            faults.push(Fault::new(path, name.line, &what, help));
        }
    }
}

fn check_words(path: &str, shown: &[Token], faults: &mut Vec<Fault>) {
    for (line, steps) in paths(shown) {
        for (word, instead) in WORDS {
            if steps.iter().any(|step| step == word) {
                let what = format!("`{word}` below F{OUTSIDE}");
                faults.push(Fault::new(path, line, &what, instead));
            }
        }
        for (banned, instead) in PATHS {
            let found = steps.iter().zip(banned).all(|(step, word)| step == word);
            if found && steps.len() >= banned.len().max(2) {
                let what = format!("`{}` below F{OUTSIDE}", banned.join("::"));
                faults.push(Fault::new(path, line, &what, instead));
            }
        }
    }
}

fn check_maps(path: &str, shown: &[Token], faults: &mut Vec<Fault>) {
    let help = "name a hasher whose key is handed in";
    for (at, token) in shown.iter().enumerate() {
        let Some((map, arguments)) = MAPS.iter().find(|(map, _)| token.text == *map) else {
            continue;
        };
        let word = |ahead| shown.get(at + ahead).map_or("", |t: &Token| &t.text);
        let random = word(1) == "::" && RANDOM_CONSTRUCTORS.contains(&word(2));
        let few = generic_arguments(shown, at).is_some_and(|given| given < *arguments);
        if random || few {
            let what = format!("a `{map}` with a random key below F{OUTSIDE}");
            faults.push(Fault::new(path, token.line, &what, help));
        }
    }
}

fn check_forbids_unsafe(path: &str, text: &str, faults: &mut Vec<Fault>) {
    if path.ends_with("/mod.rs") && !code(text).contains("#![forbid(unsafe_code)]") {
        let help = "add #![forbid(unsafe_code)] behind the module's doc";
        faults.push(Fault::new(path, 1, "unsafe code is not forbidden", help));
    }
}

/// Reads every `.rs` file below `folder` into `tree`.
fn read(folder: &Path, prefix: &str, tree: &mut Tree) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            read(&entry.path(), &format!("{prefix}{name}/"), tree)?;
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(entry.path())?;
            tree.insert(format!("{prefix}{name}"), text);
        }
    }
    Ok(())
}

#[test]
fn the_house_is_in_order() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut tree, mut tests) = (Tree::new(), Tree::new());
    read(&package.join("src"), "", &mut tree).unwrap();
    read(&package.join("tests"), "../tests/", &mut tests).unwrap();
    assert!(tree.contains_key("lib.rs"), "no sources in {package:?}");
    let mut faults = check(&tree);
    for (path, text) in &tests {
        check_file_size(path, text, &mut faults);
    }
    let faults: Vec<String> = faults.into_iter().map(|fault| fault.0).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// A bug that is planted on purpose replaces a text which stands in its file once; where
/// the text has changed, the list of bugs says so here, and not only when they are tried.
#[test]
fn planted_bugs_have_their_place() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bugs = std::fs::read_to_string(package.join("tests/planted/bugs.txt")).unwrap();
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    let mut tried = 0;
    for bug in bugs.split("\n## ").skip(1) {
        let mut lines = bug.lines();
        let (name, file) = (lines.next().unwrap(), lines.next().unwrap());
        let place: String = lines.filter_map(|line| line.strip_prefix('-')).collect();
        let source = std::fs::read_to_string(package.join(file)).unwrap();
        let found = squeezed(&source)
            .matches(&squeezed(&place.replace(['«', '»'], "")))
            .count();
        assert_eq!(
            found, 1,
            "{name}: mend its text in tests/planted/bugs.txt; found in {file}"
        );
        tried += 1;
    }
    assert!(tried > 20, "{tried} bugs");
}
