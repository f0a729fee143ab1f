//! What a loss of power took: see [`crate::record::Ahead`].

use std::collections::BTreeMap;

use super::Counters;
use crate::base::tally::Place;
use crate::record::Stock;

impl Counters {
    /// The last life is over. If the host went down under it, what it had drawn counts as
    /// used.
    pub(super) fn end(&mut self, boot: &str) {
        let failed = !self.stopped && !self.is_up(boot);
        let mut held = BTreeMap::new();
        let told = self.open.values().filter(|open| failed && open.told);
        for (open, it) in told.filter_map(|open| Some((open, open.held.as_ref()?))) {
            for (scope, which, day, month) in &it.places {
                let (day, month) = (*day, *month);
                let place = Place {
                    day,
                    month,
                    ..Place::default()
                };
                for stock in Stock::of(&place, it.days) {
                    let key = (&*open.tenant, it.resets, scope, *which, stock);
                    let sum: &mut u64 = held.entry(key).or_default();
                    *sum = sum.saturating_add(it.money);
                }
            }
        }
        for (tenant, book) in &mut self.books {
            for ((scope, which), counter) in &mut book.counters {
                let key = |stock| (&**tenant, book.resets, scope, *which, stock);
                let held = |stock| held.get(&key(stock)).copied().unwrap_or_default();
                for (stock, amount) in counter.undrawn(held) {
                    if failed {
                        let lost = book.lost.entry((scope.clone(), *which)).or_default();
                        lost.lose(self.series, stock, amount);
                    }
                }
            }
        }
    }
}
