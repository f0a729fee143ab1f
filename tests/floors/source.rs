//! Just enough of Rust's grammar to check the house rules: text without its
//! comments and literals, tokens with their lines, and the paths they form.

/// `text` with comments and the insides of literals blanked, line for line.
pub(crate) fn code(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let rest = chars.get(at..).unwrap_or_default();
        let glued = at.checked_sub(1).and_then(|before| chars.get(before));
        let blank = literal(rest, glued.is_some_and(|c| is_word(*c)));
        if blank == 0 {
            out.extend(rest.first());
            at += 1;
            continue;
        }
        let hidden = rest.iter().take(blank);
        out.extend(hidden.map(|c| if *c == '\n' { '\n' } else { ' ' }));
        at += blank;
    }
    out
}

/// How long a comment or literal at the start of `rest` is; 0 if none is there.
/// `glued`: a word ends right before it.
fn literal(rest: &[char], glued: bool) -> usize {
    match rest {
        ['/', '/', ..] => upto(rest, &['\n']),
        ['/', '*', ..] => block_comment(rest),
        ['"', ..] => quoted(rest, '"'),
        ['\'', '\\', ..] | ['\'', _, '\'', ..] => quoted(rest, '\''),
        ['r', ..] if !glued => raw_string(rest, 1),
        ['b' | 'c', 'r', ..] if !glued => raw_string(rest, 2),
        _ => 0,
    }
}

/// How far it is to `end`, or to the end of all.
fn upto(rest: &[char], end: &[char]) -> usize {
    let mut windows = rest.windows(end.len().max(1));
    windows
        .position(|window| window == end)
        .unwrap_or(rest.len())
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0_u32, 0);
    loop {
        match rest.get(at..).unwrap_or_default() {
            [] => return at,
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] if depth == 1 => return at + 2,
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
}

fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    loop {
        match rest.get(at) {
            None => return at,
            Some('\\') => at += 2,
            Some(c) if *c == quote => return at + 1,
            Some(_) => at += 1,
        }
    }
}

fn raw_string(rest: &[char], prefix: usize) -> usize {
    let tail = rest.get(prefix..).unwrap_or_default();
    let hashes = tail.iter().take_while(|c| **c == '#').count();
    let Some(['"', inside @ ..]) = tail.get(hashes..) else {
        return 0;
    };
    let mut end = vec!['"'];
    end.resize(hashes + 1, '#');
    (prefix + hashes + 1 + upto(inside, &end) + end.len()).min(rest.len())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A word, `::`, `->`, or any other single character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// The tokens of blanked text, with lines counted from 1.
pub(crate) fn tokens(code: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (line, text) in (1..).zip(code.lines()) {
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let len = if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") || rest.starts_with("->") {
                2
            } else {
                first.len_utf8()
            };
            let (text, tail) = rest.split_at(len);
            tokens.push(Token {
                line,
                text: text.to_owned(),
            });
            rest = tail.trim_start();
        }
    }
    tokens
}

fn text(tokens: &[Token], at: usize) -> &str {
    tokens.get(at).map_or("", |token| token.text.as_str())
}

/// Where the bracket opened at `at` is closed; the last token if nowhere.
pub(crate) fn closing(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0_u32;
    for (place, token) in tokens.iter().enumerate().skip(at) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return place;
        }
    }
    tokens.len().saturating_sub(1)
}

/// Where the item that goes on at `at` ends: at its `;`, or with its braces.
pub(crate) fn item_end(tokens: &[Token], at: usize) -> usize {
    let mut place = at;
    loop {
        match text(tokens, place) {
            ";" | "" => return place,
            "{" => return closing(tokens, place),
            "(" | "[" => place = closing(tokens, place) + 1,
            _ => place += 1,
        }
    }
}

/// `tokens` without the items that only tests see, attribute included.
pub(crate) fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if is_test_attribute(tokens, at) {
            at = item_end(tokens, closing(tokens, at + 1) + 1) + 1;
        } else {
            kept.extend(tokens.get(at).cloned());
            at += 1;
        }
    }
    kept
}

/// Whether a `#[cfg(test)]`, or a narrower one, is at `at`.
fn is_test_attribute(tokens: &[Token], at: usize) -> bool {
    let open = ["#", "[", "cfg", "("];
    if !(0..).zip(open).all(|(n, t)| text(tokens, at + n) == t) {
        return false;
    }
    let end = closing(tokens, at + 1);
    let inside = tokens.get(at + 4..end).unwrap_or_default();
    let has = |word| inside.iter().any(|token| token.text == word);
    has("test") && !has("not") && !has("any")
}

/// A module declared with a file of its own: its line, name, and whether only
/// tests see it.
pub(crate) fn modules(tokens: &[Token]) -> Vec<(usize, String, bool)> {
    let shown = without_tests(tokens);
    let mut found = Vec::new();
    for window in tokens.windows(3) {
        if let [word, name, end] = window
            && word.text == "mod"
            && end.text == ";"
        {
            let public = shown.windows(3).any(|other| other == window);
            found.push((word.line, name.text.clone(), !public));
        }
    }
    found
}

/// Every path in `tokens`, `use` groups taken apart, with its line. A lone word
/// is a path too.
pub(crate) fn paths(tokens: &[Token]) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        at = path(tokens, at, &[], &mut found).max(at + 1);
    }
    found
}

/// Reads the path at `at` behind `prefix`; where it ends is returned.
fn path(
    tokens: &[Token],
    mut at: usize,
    prefix: &[String],
    found: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    let mut whole = prefix.to_vec();
    let line = tokens.get(at).map_or(0, |token| token.line);
    loop {
        let word = text(tokens, at);
        if word == "{" && !whole.is_empty() {
            let end = closing(tokens, at);
            at += 1;
            while at < end {
                at = path(tokens, at, &whole, found).max(at + 1);
            }
            return end + 1;
        }
        if !word.starts_with(is_word) {
            break;
        }
        whole.push(word.to_owned());
        at += 1;
        if text(tokens, at) != "::" {
            break;
        }
        at += 1;
    }
    if whole.len() > prefix.len() {
        found.push((line, whole));
    }
    at
}

/// How many generic arguments follow the word at `at`; `None` if none do.
pub(crate) fn generic_arguments(tokens: &[Token], at: usize) -> Option<usize> {
    let mut at = at + 1;
    if text(tokens, at) == "::" {
        at += 1;
    }
    if text(tokens, at) != "<" {
        return None;
    }
    let (mut depth, mut count, mut fresh) = (0_u32, 0, false);
    loop {
        match text(tokens, at) {
            "" => return Some(count),
            "<" => (depth, fresh) = (depth + 1, depth == 0),
            ">" if depth == 1 => return Some(count),
            ">" => depth -= 1,
            "(" | "[" => {
                count += usize::from(fresh);
                fresh = false;
                at = closing(tokens, at);
            }
            "," if depth == 1 => fresh = true,
            _ => {
                count += usize::from(fresh);
                fresh = false;
            }
        }
        at += 1;
    }
}

/// Every function with a body: its name, its line, and its length in lines.
pub(crate) fn functions(tokens: &[Token]) -> Vec<(usize, String, usize)> {
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let name = text(tokens, at + 1);
        if token.text != "fn" || !name.starts_with(is_word) {
            continue;
        }
        if let Some(end) = tokens.get(item_end(tokens, at))
            && end.text == "}"
        {
            found.push((token.line, name.to_owned(), end.line - token.line + 1));
        }
    }
    found
}
