mod format;
mod pool;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use pool::{Pool, pool};

use super::frame::{Damage, MAX_PAYLOAD, VERSION, next, split};
use super::*;

use crate::base::flow::{Flow, ListenerId, Transport};
use crate::base::time::Wall;

fn encoded(pools: &[Pool]) -> (Buffer, Vec<usize>) {
    let mut buffer = Buffer::new();
    let mut ends = Vec::new();
    for pool in pools {
        buffer.append(&pool.record()).unwrap();
        ends.push(buffer.bytes().len());
    }
    (buffer, ends)
}

/// The records before the damage, and the damage.
fn read(mut bytes: &[u8]) -> (usize, Option<Damage>) {
    let mut count = 0;
    loop {
        match next(bytes) {
            Ok(Some((_, rest))) => bytes = rest,
            Ok(None) => return (count, None),
            Err(damage) => return (count, Some(damage)),
        }
        count += 1;
    }
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(pools in vec(pool(), 1..12), zeros in 0usize..40) {
        let (buffer, _) = encoded(&pools);
        prop_assert_eq!(buffer.len(), pools.len());
        let mut bytes = buffer.bytes().to_vec();
        bytes.resize(bytes.len() + zeros, 0);
        let mut rest = bytes.as_slice();
        for pool in &pools {
            let (record, after) = next(rest).unwrap().unwrap();
            prop_assert_eq!(record, pool.record());
            rest = after;
        }
        prop_assert_eq!(next(rest), Ok(None));
    }

    #[test]
    fn a_cut_anywhere_is_torn_and_loses_only_the_last(
        pools in vec(pool(), 1..4),
        at in any::<prop::sample::Index>(),
        zeros in prop_oneof![Just(0usize), 1..2000usize],
    ) {
        let (buffer, ends) = encoded(&pools);
        let cut = at.index(buffer.bytes().len());
        let mut bytes = buffer.bytes()[..cut].to_vec();
        bytes.resize(cut + zeros, 0);
        let whole = ends.iter().filter(|&&end| end <= cut).count();
        let (count, damage) = read(&bytes);
        prop_assert_eq!(count, whole);
        let start = ends[..whole].last().copied().unwrap_or(0);
        let nothing_left = bytes[start..].iter().all(|&byte| byte == 0);
        prop_assert_eq!(damage, (!nothing_left).then_some(Damage::Torn));
    }

    #[test]
    fn a_changed_byte_in_the_middle_is_corrupt_and_reading_resumes(
        pools in vec(pool(), 3..6),
        at in any::<prop::sample::Index>(),
        change in 1u8..,
    ) {
        let (buffer, ends) = encoded(&pools);
        let middle = ends[0]..ends[ends.len() - 2];
        let position = middle.start + at.index(middle.len());
        let mut bytes = buffer.bytes().to_vec();
        bytes[position] ^= change;
        let hit = ends.iter().filter(|&&end| end <= position).count();
        let (count, damage) = read(&bytes);
        prop_assert_eq!(count, hit);
        let skip = ends[hit] - ends[hit - 1];
        prop_assert_eq!(damage, Some(Damage::Corrupt { skip }));
        let (rest, damage) = read(&bytes[ends[hit]..]);
        prop_assert_eq!((rest, damage), (pools.len() - hit - 1, None));
    }

    #[test]
    fn no_bytes_break_the_reader(bytes in vec(prop_oneof![Just(0u8), any::<u8>()], 0..300)) {
        let mut rest = bytes.as_slice();
        loop {
            rest = match next(rest) {
                Ok(None) | Err(Damage::Torn) => break,
                Ok(Some((_, after))) => after,
                Err(Damage::Corrupt { skip } | Damage::Unknown { skip, .. }) => {
                    prop_assert!(skip > 0);
                    &rest[skip..]
                }
            };
        }
    }
}

proptest! {
    /// However long the frame behind the damage is, and wherever it lies.
    #[test]
    fn a_frame_behind_damage_is_found(
        damage in vec(any::<u8>(), 1..1_500),
        zeros in 0usize..1_500,
        uri in 0usize..5_000,
        more in 0usize..1_500,
    ) {
        let uri: Vec<u8> = (0..uri).map(|at| (at * 7 % 251).to_le_bytes()[0]).collect();
        let mut buffer = Buffer::new();
        let target = Record::Target { call: CallRef(7), side: Side::Caller, target: &uri };
        buffer.append(&target).unwrap();
        let mut bytes = damage;
        // Which takes its last byte out of any length.
        bytes.push(0xFF);
        bytes.resize(bytes.len() + zeros, 0);
        let skip = bytes.len();
        bytes.extend_from_slice(buffer.bytes());
        bytes.resize(bytes.len() + more, 0);
        prop_assert_eq!(split(&bytes), Err(Damage::Corrupt { skip }));
        let (record, _) = next(&bytes[skip..]).unwrap().unwrap();
        prop_assert_eq!(record, target);
    }
}

/// Every word looks like the head of a frame that fills the rest, or half of it.
#[test]
fn bytes_that_look_like_frames_do_not_hold_up_reading() {
    let mut bytes = [0, 0, 8, 0].repeat(1 << 18);
    assert_eq!(split(&bytes), Err(Damage::Corrupt { skip: bytes.len() }));
    let skip = bytes.len();
    bytes.extend_from_slice(three().0.bytes());
    assert_eq!(split(&bytes), Err(Damage::Corrupt { skip }));
}

#[test]
fn what_is_written_ends_before_the_zeros() {
    for length in [0, 1, 4095, 4096, 4097, 9000] {
        for zeros in [0, 1, 4095, 4096, 4097, 9000] {
            let mut bytes = vec![7; length];
            bytes.resize(length + zeros, 0);
            assert_eq!(frame::written(&bytes), length, "{length} and {zeros} zeros");
        }
    }
}

fn three() -> (Buffer, Vec<usize>) {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let pools: Vec<Pool> = (0..3)
        .map(|kind| {
            let mut drawn = pool().new_tree(&mut runner).unwrap().current();
            drawn.kind = kind;
            drawn
        })
        .collect();
    encoded(&pools)
}

#[test]
fn every_flipped_bit_is_detected() {
    let (buffer, ends) = three();
    for bit in 0..buffer.bytes().len() * 8 {
        let mut bytes = buffer.bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let hit = ends.iter().filter(|&&end| end <= bit / 8).count();
        for zeros in [0, 64] {
            bytes.resize(buffer.bytes().len() + zeros, 0);
            let (count, damage) = read(&bytes);
            assert_eq!(count, hit, "bit {bit}");
            assert!(damage.is_some(), "bit {bit}");
            // Only a last frame whose length was changed may look cut short.
            let length = ends[1]..ends[1] + 4;
            if !length.contains(&(bit / 8)) {
                assert!(matches!(damage, Some(Damage::Corrupt { .. })), "bit {bit}");
            }
        }
    }
}

#[test]
fn zeros_where_a_frame_was_are_not_the_end() {
    let (buffer, ends) = three();
    let mut bytes = buffer.bytes().to_vec();
    bytes[ends[0]..ends[1]].fill(0);
    let skip = ends[1] - ends[0];
    assert_eq!(read(&bytes), (1, Some(Damage::Corrupt { skip })));
}

#[test]
fn a_record_of_a_later_version_is_stepped_over() {
    let mut later = vec![0; frame::HEADER];
    later.extend_from_slice(&[VERSION + 1, 7, 7]);
    assert!(frame::seal(&mut later));
    let (version, skip) = (VERSION + 1, later.len());
    assert_eq!(next(&later), Err(Damage::Unknown { version, skip }));
    let frame = split(&later).unwrap().unwrap();
    assert_eq!(
        (frame.bytes, frame.payload),
        (later.as_slice(), &later[frame::HEADER..])
    );
    assert!(frame.rest.is_empty());
}

#[test]
fn too_long_a_record_leaves_the_buffer_as_it_was() {
    let mut buffer = Buffer::new();
    let note = |detail| Record::Note {
        wall: Wall::from_micros(1),
        what: "w",
        detail,
        count: 1,
    };
    buffer.append(&note("small")).unwrap();
    let before = buffer.bytes().to_vec();
    let long = "x".repeat(MAX_PAYLOAD);
    assert_eq!(buffer.append(&note(&long)), Err(TooLong));
    assert_eq!((buffer.bytes(), buffer.len()), (before.as_slice(), 1));
    buffer.append(&note(&long[..MAX_PAYLOAD - 32])).unwrap();
    assert_eq!(read(buffer.bytes()), (2, None));
}

#[test]
fn appending_again_after_clear_allocates_nothing() {
    let (buffer, _) = three();
    let mut reused = buffer.clone();
    let room = reused.bytes().as_ptr();
    for _ in 0..3 {
        reused.clear();
        let mut rest = buffer.bytes();
        while let Some((record, after)) = next(rest).unwrap() {
            reused.append(&record).unwrap();
            rest = after;
        }
        assert_eq!(reused.bytes(), buffer.bytes());
        assert_eq!(reused.bytes().as_ptr(), room);
    }
}

/// A journal written today must be readable for as long as version 6 is: if this
/// test fails, the encoding changed and [`VERSION`] must rise.
#[test]
fn the_encoding_of_version_6_stays() {
    let leg = Leg {
        flow: Flow {
            listener: ListenerId(1),
            transport: Transport::Udp,
            remote: "127.0.0.2:5070".parse().unwrap(),
            local: None,
            connection: None,
            name: None,
        },
        call_id: b"c",
        local_uri: b"l",
        local_tag: b"lt",
        remote_uri: b"r",
        remote_tag: b"rt",
        target: b"t",
        routes: b"",
        local_cseq: 1,
        remote_cseq: 300,
        allow: Some(5),
        session: Session {
            seconds: 180,
            ours: true,
        },
    };
    let (call, wall) = (CallRef(5), Wall::from_micros(1));
    let mut buffer = Buffer::new();
    for record in [
        Record::Setup {
            call,
            wall,
            peer: "up",
            leg,
            branch: b"z",
            caller: leg,
            asked: b"I",
        },
        Record::Ended {
            call,
            wall,
            answered: true,
            duration_ms: 128,
            by: Party::Tollgate,
            cause: "x",
            status: 200,
            cost: 300,
            currency: "JPY",
        },
    ] {
        buffer.append(&record).unwrap();
    }
    let setup = split(buffer.bytes()).unwrap().unwrap();
    let leg = b"\x01\x00\x00\x7f\x00\x00\x02\xce\x27\x00\x00\
        \x01c\x01l\x02lt\x01r\x02rt\x01t\x00\x01\xac\x02\x01\x05\xb4\x01\x01";
    let expected = [
        b"\x06\x03\x05\x02\x02up".as_slice(),
        leg,
        b"\x01z",
        leg,
        b"\x01I\xff",
    ]
    .concat();
    assert_eq!(setup.payload, expected);
    let ended = split(setup.rest).unwrap().unwrap();
    assert_eq!(
        ended.payload,
        b"\x06\x07\x05\x02\x01\x80\x01\x02\x01x\xc8\x01\xac\x02\x03JPY\xff"
    );
    let checksum = u32::from_le_bytes(buffer.bytes()[4..8].try_into().unwrap());
    assert_eq!(
        checksum,
        crc32fast::hash(&[&buffer.bytes()[..4], &expected[..]].concat())
    );
}
