//! How long it takes to read a call's INVITE, beside a plain newline scan of the
//! same bytes in the same run: machines differ, the ratio hardly does.

mod invite;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use tollgate::sip::{Essentials, scan};

/// So many differing messages that no branch predictor learns them by heart.
const MESSAGES: usize = 1_024;

fn parse(c: &mut Criterion) {
    let messages: Vec<Bytes> = (0..MESSAGES).map(invite::invite).collect();
    let bytes: usize = messages.iter().map(Bytes::len).sum();
    println!("{} bytes a message", bytes / MESSAGES);
    assert_eq!(read_all(&messages), MESSAGES, "every message is valid");
    let mut group = c.benchmark_group("invite");
    group.throughput(Throughput::Elements(MESSAGES as u64));
    group.bench_function("newlines", |b| {
        b.iter(|| {
            for message in &messages {
                black_box(memchr::memchr_iter(b'\n', message).count());
            }
        });
    });
    group.bench_function("newlines, one by one", |b| {
        b.iter(|| {
            for message in &messages {
                for at in memchr::memchr_iter(b'\n', message) {
                    black_box(at);
                }
            }
        });
    });
    group.bench_function("scan", |b| {
        b.iter(|| {
            for message in &messages {
                let _ = black_box(scan(message.clone()));
            }
        });
    });
    group.bench_function("scan, essentials", |b| {
        b.iter(|| {
            for message in &messages {
                if let Ok(message) = scan(message.clone()) {
                    let _ = black_box(Essentials::parse(&message));
                }
            }
        });
    });
    group.bench_function("scan, every field", |b| b.iter(|| read_all(&messages)));
    group.finish();
}

/// How many of the messages were read without a fault.
fn read_all(messages: &[Bytes]) -> usize {
    let mut read = 0;
    for message in messages {
        if let Ok(message) = scan(message.clone())
            && invite::read(&message).is_ok()
        {
            read += 1;
        }
    }
    read
}

criterion_group!(benches, parse);
criterion_main!(benches);
