//! What a loss of power took: see [`crate::record::Ahead`].

use super::Counters;

impl Counters {
    /// The last life is over. If the host went down under it, all that it had drawn counts
    /// as used.
    ///
    /// So does what calls hold, which go on to hold it: nobody knows how old the last is
    /// that is known of them. A call in set-up may have been answered since, and cost more
    /// than it will be booked with.
    pub(super) fn end(&mut self, boot: &str) {
        let failed = !self.stopped && !self.is_up(boot);
        for book in self.books.values_mut() {
            for (key, counter) in &mut book.counters {
                for (stock, amount) in counter.undrawn() {
                    if failed {
                        let lost = book.lost.entry(key.clone()).or_default();
                        lost.lose(self.series, stock, amount);
                    }
                }
            }
        }
    }
}
