//! Records are as `ledger/FORMAT.md` describes them: a reader that knows nothing else
//! finds the fields, by their names and in their types.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use super::pool::{KINDS, pool};
use super::{encoded, next, split};
use crate::record::frame::{END, VERSION};

const FORMAT: &str = include_str!("../../ledger/FORMAT.md");

/// The kinds by their numbers: a name, and the fields' names and types.
fn described() -> BTreeMap<u64, (String, Vec<(String, String)>)> {
    let rows = FORMAT.lines().filter_map(|line| {
        let cells: Vec<&str> = line
            .strip_prefix("| ")?
            .strip_suffix(" |")?
            .split(" | ")
            .collect();
        let [number, kind, fields] = cells[..] else {
            return None;
        };
        let fields = fields.split(' ').map(|it| {
            let (name, of) = it.split_once(':').unwrap();
            (name.to_owned(), of.to_owned())
        });
        Some((number.parse().ok()?, (kind.to_owned(), fields.collect())))
    });
    rows.collect()
}

/// Reads by the description alone.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, length: usize) -> &'b [u8] {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    /// LEB128.
    fn number(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.take(1)[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return value;
            }
            shift += 7;
        }
    }

    fn signed(&mut self) -> i64 {
        let value = self.number();
        (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
    }

    fn bytes(&mut self) -> &'b [u8] {
        let length = self.number();
        self.take(usize::try_from(length).unwrap())
    }

    fn word<'w>(&mut self, words: &[&'w str]) -> &'w str {
        words[usize::try_from(self.number()).unwrap()]
    }

    fn ip(&mut self) {
        let length = [4, 16][usize::try_from(self.number()).unwrap()];
        self.take(length);
    }

    fn all(&mut self, types: &[&str]) -> Value {
        types.iter().for_each(|it| drop(self.read(it)));
        Value::Null
    }

    /// A value of that type, and what an export shows of it where that is as simple.
    fn read(&mut self, of: &str) -> Value {
        if let Some(of) = of
            .strip_prefix("option<")
            .and_then(|it| it.strip_suffix('>'))
        {
            return match self.take(1) {
                [0] => Value::Null,
                _ => self.read(of),
            };
        }
        match of {
            "u8" => self.take(1)[0].into(),
            "bool" => (self.take(1)[0] == 1).into(),
            "u16" | "u32" | "u64" | "mono" => self.number().into(),
            "i32" => self.signed().into(),
            "time" => {
                let micros = self.signed();
                let shown = crate::base::time::Wall::from_micros(micros);
                format!("{shown:.6}").into()
            }
            "money" => drop_value(self.number()),
            "text" => std::str::from_utf8(self.bytes()).unwrap().into(),
            "bytes" => drop_value(self.bytes()),
            "byte8" => drop_value(self.take(8)),
            "byte16" => drop_value(self.take(16)),
            "byte32" => drop_value(self.take(32)),
            "ip" => {
                self.ip();
                Value::Null
            }
            "address" => {
                self.ip();
                self.all(&["u16", "u32"])
            }
            "flow" => {
                self.number();
                let transport = self.number();
                self.all(&["address", "option<ip>"]);
                self.all(if matches!(transport, 3 | 4) {
                    &["byte16"]
                } else {
                    &[]
                })
            }
            "decision" => self
                .word(&["allow", "observe", "refuse", "emergency"])
                .into(),
            "direction" => self.word(&["outbound", "inbound"]).into(),
            "side" => self.word(&["caller", "callee"]).into(),
            "party" => self.word(&["caller", "callee", "tollgate"]).into(),
            "who" => self.word(&["caller", "called", "pair"]).into(),
            "which" => match self.number() {
                1 => self.all(&["u64", "u64"]),
                other => self.all(if matches!(other, 0 | 2) {
                    &[]
                } else {
                    &["no such counter"]
                }),
            },
            "stock" => match self.number() {
                0 => self.all(&["time"]),
                other => self.all(if other < 3 {
                    &["i32"]
                } else {
                    &["no such stock"]
                }),
            },
            "session" => self.all(&["u32", "bool"]),
            "leg" => {
                self.all(&[
                    "flow", "bytes", "bytes", "bytes", "bytes", "bytes", "bytes", "bytes",
                ]);
                self.all(&["u32", "u32", "option<u32>", "session"])
            }
            "marks" => self.all(&["u64", "u64", "u16", "u8", "bool"]),
            "words" => self.all(&["u64", "u64"]),
            "days" => self.all(&["i32", "i32"]),
            other => panic!("FORMAT.md has a type {other}"),
        }
    }
}

/// What an export shows in a form of its own.
fn drop_value<T>(_: T) -> Value {
    Value::Null
}

#[test]
fn every_kind_is_described() {
    let numbers: Vec<u64> = described().into_keys().collect();
    assert_eq!(
        numbers,
        (0..u64::try_from(KINDS).unwrap()).collect::<Vec<_>>()
    );
    assert!(FORMAT.contains(&format!("the version of the records ({VERSION})")));
}

proptest! {
    #[test]
    fn whoever_knows_the_description_reads_the_records(pools in vec(pool(), 1..20)) {
        let described = described();
        let (buffer, _) = encoded(&pools);
        let mut rest = buffer.bytes();
        while let Some(frame) = split(rest).unwrap() {
            let (record, _) = next(rest).unwrap().unwrap();
            let shown = serde_json::to_value(record).unwrap();
            let mut reader = Reader(frame.payload);
            prop_assert_eq!(reader.take(1), [VERSION]);
            let (kind, fields) = &described[&reader.number()];
            let shown = shown.get(kind).and_then(Value::as_object);
            let shown = shown.unwrap_or_else(|| panic!("{record:?} is no {kind}"));
            prop_assert_eq!(shown.len(), fields.len(), "{}", kind);
            for (name, of) in fields {
                let read = reader.read(of);
                let shown = shown.get(name);
                prop_assert!(shown.is_some(), "{}: {}", kind, name);
                if !read.is_null() {
                    prop_assert_eq!(Some(&read), shown, "{}: {}", kind, name);
                }
            }
            prop_assert_eq!(reader.0, [END]);
            rest = frame.rest;
        }
    }
}
