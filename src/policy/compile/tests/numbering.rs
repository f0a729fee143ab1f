//! A numbering table among the rule files.

use super::{MAIN, TENANT, assert_has, compiled, shown, source, sources};
use crate::policy::Sources;
use crate::policy::numbering::{Class, Numbering};

#[test]
fn a_numbering_table_of_ones_own_is_the_one_that_counts() {
    let with = |table: String| {
        let mut sources = sources(MAIN, &[TENANT]);
        sources.numbering = Some(source("n/table.tsv", &table));
        sources
    };
    const TOKYO: &str = "813[1-9]\tjp\tfixed\t11";
    let table = |row: &str| {
        assert!(Numbering::TEXT.contains(TOKYO));
        with(Numbering::TEXT.replace(TOKYO, row))
    };
    let class = |sources: &Sources| {
        let set = compiled(sources, false).unwrap();
        (set.numbering().lookup(b"81335571234").class, set.hash())
    };
    let builtin = class(&sources(MAIN, &[TENANT]));
    assert_eq!(class(&table(TOKYO)), builtin);
    let moved = class(&table("813[1-9]\tjp\tpremium\t11"));
    assert_eq!(moved.0, Class::Premium);
    assert_ne!(moved.1, builtin.1);
    let faulty = |row: &str| shown(compiled(&table(row), false)).join("\n");
    let fault = faulty("813[1-9]\tjp\tcheap\t11");
    assert_has(
        &fault,
        &["n/table.tsv:", ":1 error", "the class is none", "delete"],
    );
    assert_has(&faulty("813[1-9]\tjp\tfixed"), &["too few fields"]);
    assert_has(&faulty("81[1-9]\tjp\tfixed\t11"), &["overlaps"]);
    assert_has(&faulty("813[1-9]\tjp\tfixed\t3"), &["lengths"]);
    let empty = shown(compiled(&with(String::new()), false));
    assert_has(&empty.concat(), &["n/table.tsv:1:1", "says no version"]);
}
