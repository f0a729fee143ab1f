//! What a record has of a call's counters and its cost, in bytes.

use crate::base::tally::{Billing, Place};

/// The most bytes that one place takes.
const LONGEST: usize = 48;

/// Writes places behind what is in `to`, for a record's `places`.
pub fn write_places(places: &[Place], to: &mut Vec<u8>) {
    for place in places {
        let mut room = [0; LONGEST];
        // There is room for the largest numbers.
        if let Ok(written) = postcard::to_slice(place, &mut room) {
            to.extend_from_slice(written);
        }
    }
}

/// The places that a record has. What cannot be read ends them.
pub fn read_places(mut bytes: &[u8]) -> impl Iterator<Item = Place> {
    std::iter::from_fn(move || {
        let (place, rest) = postcard::take_from_bytes(bytes).ok()?;
        bytes = rest;
        Some(place)
    })
}

/// As many bytes as a call's billing takes, unless many have answered.
const USUAL: usize = 256;

/// Writes what is known of a call's cost behind what is in `to`, for a record's
/// `billing`.
pub fn write_billing(billing: &Billing, to: &mut Vec<u8>) {
    let mut room = [0; USUAL];
    match postcard::to_slice(billing, &mut room) {
        Ok(written) => to.extend_from_slice(written),
        // Into memory, nothing here can fail.
        Err(_) => to.extend(postcard::to_allocvec(billing).unwrap_or_default()),
    }
}

/// What [`write_billing`] wrote, if that is what it is.
#[must_use]
pub fn read_billing(bytes: &[u8]) -> Option<Billing> {
    postcard::from_bytes(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::tally::Which;

    #[test]
    fn what_is_written_is_read_whatever_the_numbers_are() {
        let most = Place {
            scope: u32::MAX,
            which: Which::Own(u64::MAX, u64::MAX),
            keep: u32::MAX,
            numbers: true,
            day: true,
            month: true,
            part: 0,
        };
        let places = [most, Place::default(), most];
        let mut bytes = Vec::new();
        write_places(&places, &mut bytes);
        assert!(read_places(&bytes).eq(places));
        assert_eq!(read_places(&bytes[..bytes.len() - 1]).count(), 2);
        assert_eq!(read_places(b"").count(), 0);
    }
}
