//! What the grammars of RFC 3261 §25.1 share: character classes, white space,
//! tokens, quoted strings and parameters.

use super::error::{Fault, FaultKind};
use super::words;
use nom::IResult;

/// What a parser of this module gives: the rest, and what was read.
pub(crate) type Parsed<'a, T> = IResult<&'a [u8], T, Flaw<'a>>;

/// Why a parser stopped, and what it had left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flaw<'a> {
    rest: &'a [u8],
    kind: FaultKind,
}

/// A failure of `kind` with `rest` unread.
pub(crate) fn flaw<T>(kind: FaultKind, rest: &[u8]) -> Parsed<'_, T> {
    Err(nom::Err::Error(Flaw { rest, kind }))
}

/// Turns a parser's failure on (a tail of) `whole` into a fault.
pub(crate) fn fault_in(whole: &[u8], error: nom::Err<Flaw<'_>>) -> Fault {
    match error {
        nom::Err::Error(flaw) | nom::Err::Failure(flaw) => {
            Fault::new(flaw.kind, whole.len().saturating_sub(flaw.rest.len()))
        }
        nom::Err::Incomplete(_) => Fault::new(FaultKind::List, whole.len()),
    }
}

/// `token` characters.
pub(crate) const TOKEN: u16 = 1;
/// What a user part may hold unescaped: `unreserved` and `user-unreserved`.
pub(crate) const USER: u16 = 1 << 1;
/// What a password may hold unescaped.
pub(crate) const PASSWORD: u16 = 1 << 2;
/// What a URI parameter may hold unescaped: `paramchar`.
pub(crate) const PARAM: u16 = 1 << 3;
/// What the headers part of a URI may hold unescaped, with `=` and `&`.
pub(crate) const HEADERS: u16 = 1 << 4;
/// `uric`: what any URI may hold unescaped, with `#` for tel numbers left out.
pub(crate) const URIC: u16 = 1 << 5;
/// Host name characters, with the underscore that names in use have.
pub(crate) const HOST: u16 = 1 << 6;
/// What an unquoted parameter value may hold: `token` or `host`.
pub(crate) const VALUE: u16 = 1 << 7;
/// What a tel number may hold (RFC 3966), without its leading `+`.
pub(crate) const TEL: u16 = 1 << 8;
/// What an address between `<>` may hold: visible, without `<`, `>` and `"`. Bytes
/// beyond ASCII are among it, though no URI has them (RFC 3986 §2): where the address
/// ends is sure, so that who dials in full-width digits can be told what is wrong.
pub(crate) const ADDRESS: u16 = 1 << 9;

/// The classes of each byte.
static CLASSES: [u16; 256] = classes();

const fn has(set: &[u8], byte: u8) -> bool {
    let mut rest = set;
    while let Some((first, tail)) = rest.split_first() {
        if *first == byte {
            return true;
        }
        rest = tail;
    }
    false
}

const fn classes_of(byte: u8) -> u16 {
    let alnum = byte.is_ascii_alphanumeric();
    let unreserved = alnum || has(b"-_.!~*'()", byte);
    let visible = byte > 0x20 && byte < 0x7f;
    let token = alnum || has(b"-.!%*_+`'~", byte);
    let mut set = 0;
    if token {
        set |= TOKEN;
    }
    if unreserved || has(b"&=+$,;?/", byte) {
        set |= USER;
    }
    if unreserved || has(b"&=+$,", byte) {
        set |= PASSWORD;
    }
    if unreserved || has(b"[]/:&+$", byte) {
        set |= PARAM;
    }
    if unreserved || has(b"[]/?:+$=&", byte) {
        set |= HEADERS;
    }
    if unreserved || has(b";/?:@&=+$,[]", byte) {
        set |= URIC;
    }
    if alnum || has(b"-._", byte) {
        set |= HOST;
    }
    if token || has(b"[]:", byte) {
        set |= VALUE;
    }
    if byte.is_ascii_hexdigit() || has(b"*#-.()", byte) {
        set |= TEL;
    }
    if (visible && !has(b"<>\"", byte)) || !byte.is_ascii() {
        set |= ADDRESS;
    }
    set
}

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "run by the compiler only"
)]
const fn classes() -> [u16; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = classes_of(byte as u8);
        byte += 1;
    }
    table
}

/// Whether `byte` is in `class`.
#[inline]
pub(crate) fn is(byte: u8, class: u16) -> bool {
    CLASSES
        .get(usize::from(byte))
        .is_some_and(|classes| classes & class != 0)
}

/// Whether `text` is not empty and wholly in `class`.
#[inline]
pub(crate) fn all(text: &[u8], class: u16) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is(byte, class))
}

/// As [`span`], for what is mostly letters, digits, `-` and `.`, which must be in
/// `class`, and mostly longer than a word or two.
#[inline(always)]
pub(crate) fn long_span(text: &[u8], class: u16) -> (&[u8], &[u8]) {
    if text.len() < 12 {
        return span(text, class);
    }
    let mut end = 0;
    loop {
        end += words::find(text.get(end..).unwrap_or_default(), words::not_plain);
        match text.get(end) {
            Some(&byte) if is(byte, class) => end += 1,
            _ => return text.split_at_checked(end).unwrap_or((text, &[])),
        }
    }
}

/// Splits `text` in front of the first byte that is not in `class`.
#[inline]
pub(crate) fn span(text: &[u8], class: u16) -> (&[u8], &[u8]) {
    let end = text
        .iter()
        .position(|&byte| !is(byte, class))
        .unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, &[]))
}

/// Whether `text` may stand between `<>`, and is not empty.
#[inline]
pub(crate) fn is_address(text: &[u8]) -> bool {
    matches!(address_span(text), ([_, ..], []))
}

/// Whether `text` is visible ASCII, at least a byte of it.
#[inline]
pub(crate) fn is_visible(text: &[u8]) -> bool {
    let hidden = |word| words::below(word, b'!') | words::above_ascii(word);
    !text.is_empty() && words::find(text, hidden) == text.len()
}

/// Splits `text` in front of the first byte that may not stand between `<>`.
#[inline]
pub(crate) fn address_span(text: &[u8]) -> (&[u8], &[u8]) {
    let mut end = 0;
    loop {
        end += words::find(text.get(end..).unwrap_or_default(), |word| {
            // `<` and `>` differ in one bit. `"` is below with a `!`, which is seldom.
            words::below(word, b'#')
                | words::equal(word, 0x7f)
                | words::equal(word | words::repeat(2), b'>')
        });
        match text.get(end) {
            Some(b'!') => end += 1,
            _ => return text.split_at_checked(end).unwrap_or((text, &[])),
        }
    }
}

/// Whether `text` is a token.
pub(crate) fn is_token(text: &[u8]) -> bool {
    all(text, TOKEN)
}

/// A token, at least a byte of it.
#[inline]
pub(crate) fn token(text: &[u8], kind: FaultKind) -> Parsed<'_, &[u8]> {
    match span(text, TOKEN) {
        ([], _) => flaw(kind, text),
        (token, rest) => Ok((rest, token)),
    }
}

/// Without the white space in front; a fold (CRLF and white space) is white space.
#[inline]
pub(crate) fn skip_lws(text: &[u8]) -> &[u8] {
    match text {
        [b'!'..=255, ..] | [] => text,
        _ => skip_some_lws(text),
    }
}

/// Not inlined, so that where there is no white space a branch says so, and nothing
/// waits for the bytes to be compared.
#[cold]
#[inline(never)]
fn skip_some_lws(mut text: &[u8]) -> &[u8] {
    loop {
        match text {
            [b' ' | b'\t', rest @ ..] => text = rest,
            [b'\r', b'\n', b' ' | b'\t', rest @ ..] => text = rest,
            _ => return text,
        }
    }
}

/// Without the white space and folds behind.
#[inline]
pub(crate) fn trim_lws_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t' | b'\r' | b'\n'] = text {
        text = rest;
    }
    text
}

/// Without the white space on both sides.
#[inline]
pub(crate) fn trim_lws(text: &[u8]) -> &[u8] {
    let text = match text {
        [b' ', rest @ ..] | rest => rest,
    };
    trim_lws_end(skip_lws(text))
}

/// A separator with white space on both sides: RFC 3261's SEMI, COMMA, SLASH …
#[inline]
pub(crate) fn separator(text: &[u8], byte: u8) -> Option<&[u8]> {
    match skip_lws(text) {
        [first, rest @ ..] if *first == byte => Some(skip_lws(rest)),
        _ => None,
    }
}

/// A quoted string; gives what is between the quotes, escapes and folds still in it.
#[inline]
pub(crate) fn quoted(text: &[u8]) -> Parsed<'_, &[u8]> {
    let Some((b'"', inner)) = text.split_first() else {
        return flaw(FaultKind::QuotedString, text);
    };
    let mut rest = inner;
    loop {
        let plain = words::find(rest, |word| {
            words::below(word, b' ')
                | words::equal(word, b'"')
                | words::equal(word, b'\\')
                | words::equal(word, 0x7f)
        });
        rest = match rest.get(plain..).unwrap_or_default() {
            [b'"', tail @ ..] => {
                let length = inner.len() - tail.len() - 1;
                return Ok((tail, inner.get(..length).unwrap_or_default()));
            }
            [b'\\', escaped, tail @ ..] if !matches!(escaped, b'\r' | b'\n') => tail,
            [b'\r', b'\n', b' ' | b'\t', tail @ ..] | [b'\t', tail @ ..] => tail,
            rest => return flaw(FaultKind::QuotedString, rest),
        };
    }
}

/// A header field parameter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Param<'a> {
    pub(crate) name: &'a [u8],
    /// A quoted value keeps its quotes.
    pub(crate) value: Option<&'a [u8]>,
    /// Whether the value is a token.
    pub(crate) token: bool,
}

impl Param<'_> {
    /// Whether it has this name, which is given in lower case.
    #[inline(always)]
    pub(crate) fn is(&self, name: &[u8]) -> bool {
        self.name.len() == name.len() && (self.name == name || self.name.eq_ignore_ascii_case(name))
    }
}

/// One `;name[=value]`, its semicolon already read.
#[inline]
fn param(text: &[u8]) -> Parsed<'_, Param<'_>> {
    let (rest, name) = token(text, FaultKind::Param)?;
    let Some(text) = separator(rest, b'=') else {
        let (value, token) = (None, false);
        return Ok((rest, Param { name, value, token }));
    };
    if text.first() == Some(&b'"') {
        let (rest, _) = quoted(text)?;
        let (value, token) = (text.get(..text.len() - rest.len()), false);
        return Ok((rest, Param { name, value, token }));
    }
    let (mut value, mut rest) = long_span(text, TOKEN);
    let token = !matches!(rest, [b'[' | b']' | b':', ..]);
    if !token {
        (value, rest) = span(text, VALUE);
    }
    if value.is_empty() {
        return flaw(FaultKind::Param, text);
    }
    let value = Some(value);
    Ok((rest, Param { name, value, token }))
}

/// Iterates over a text of `;name[=value]`s that was found well-formed before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Params<'a>(pub(crate) &'a [u8]);

impl<'a> Params<'a> {
    /// The value of the parameter of this name in any case: `None` if absent,
    /// `Some(None)` without a value.
    pub(crate) fn value(mut self, name: &[u8]) -> Option<Option<&'a [u8]>> {
        self.find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

impl<'a> Iterator for Params<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let (rest, found) = param(separator(self.0, b';')?).ok()?;
        self.0 = rest;
        Some((found.name, found.value))
    }
}

/// Reads `*(;name[=value])`, and shows each to `see`; gives the text from the first
/// semicolon to the last parameter.
#[inline(always)]
pub(crate) fn params<'a>(text: &'a [u8], mut see: impl FnMut(Param<'a>)) -> Parsed<'a, &'a [u8]> {
    let start = skip_lws(text);
    let mut rest = start;
    while let Some(next) = separator(rest, b';') {
        let (behind, param) = param(next)?;
        see(param);
        rest = behind;
    }
    let length = start.len() - rest.len();
    Ok((rest, start.get(..length).unwrap_or_default()))
}

/// What may stand behind an element of a comma list: nothing, or a comma and
/// another element, which is given.
#[inline]
pub(crate) fn list_end(text: &[u8]) -> Parsed<'_, Option<()>> {
    let rest = match skip_lws(text) {
        [] => return Ok((&[], None)),
        [b',', rest @ ..] => skip_lws(rest),
        _ => &[],
    };
    match rest {
        [_, ..] => Ok((rest, Some(()))),
        [] => flaw(FaultKind::List, text),
    }
}

/// A decimal number of any length; saturates.
#[inline]
pub(crate) fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let mut value: u64 = 0;
    let mut rest = text;
    while let [digit @ b'0'..=b'9', tail @ ..] = rest {
        value = match value {
            0..100_000_000_000_000_000 => value * 10 + u64::from(*digit - b'0'),
            _ => u64::MAX,
        };
        rest = tail;
    }
    (rest.len() < text.len()).then_some((value, rest))
}

/// The whole of `text` as a decimal number up to `max`.
pub(crate) fn number_up_to(text: &[u8], max: u64) -> Option<u64> {
    match number(text)? {
        (value, []) if value <= max => Some(value),
        _ => None,
    }
}
