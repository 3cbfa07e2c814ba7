//! Bytes that nobody meant: cut short, with absurd lengths, or changed at random. An error is fine, a
//! panic or an allocation by claim is not.

mod common;

use bytes::Bytes;
use common::{
    Vector,
    homes::{Decoder, decoders, home},
    unhex, vectors,
};
use zorilla_protocol::frame::take_frame;
use zorilla_protocol::jute::{Malformed, Reader, from_bytes};
use zorilla_protocol::ops::{Request, route_of};
use zorilla_protocol::records::Acl;
use zorilla_protocol::snapshot::get_node;
use zorilla_protocol::txn::Txn;

fn samples() -> Vec<Vector> {
    let all = vectors("client-records.json").into_iter().chain(vectors("txn-records.json"));
    all.filter(|vector| !vector.bytes.is_empty()).collect()
}

/// Records whose end is optional: cut there they are whole, in an older form.
const SHORTER_FORMS: [&str; 5] =
    ["ConnectRequest", "ConnectResponse", "LearnerInfo", "TxnLogEntry(hdr+txn+digest)", "Notification/v2"];

#[test]
fn every_prefix_is_refused_or_an_older_form() {
    let mut refused = 0;
    for vector in samples() {
        let Some(decode) = home(&vector.record) else { continue };
        for length in 0..vector.bytes.len() {
            let name = || format!("{} cut to {length}", vector.name());
            match decode(&vector.bytes.slice(..length)) {
                Err(_) => refused += 1,
                Ok(read) => {
                    // 40-byte notifications end in a number that nobody reads.
                    let older =
                        SHORTER_FORMS.contains(&vector.record.as_str()) || vector.record == "Notification/40-byte";
                    assert!(older, "{}", name());
                    assert!(read.position <= length, "{}", name());
                }
            }
        }
    }
    assert!(refused > 12_000, "{refused}");
}

#[test]
fn absurd_lengths_are_refused_before_anything_is_made_for_them() {
    let huge = unhex("7fffffff61");
    assert_eq!(from_bytes::<String>(&huge), Err(Malformed::Short { missing: 0x7fff_ffff - 1 }));
    assert_eq!(from_bytes::<Bytes>(&huge), Err(Malformed::Short { missing: 0x7fff_ffff - 1 }));
    assert!(matches!(from_bytes::<Vec<String>>(&huge), Err(Malformed::Short { .. })));
    assert!(matches!(from_bytes::<Vec<Acl>>(&huge), Err(Malformed::Short { .. })));
    let mut limited = Reader::with_limit(&huge, 4096);
    assert_eq!(<String as zorilla_protocol::Jute>::get(&mut limited), Err(Malformed::Length(0x7fff_ffff)));
    for length in ["80000000", "fffffffe", "00001001"] {
        let mut received = unhex(length)[..].into();
        assert!(take_frame(&mut received, 4096).is_err(), "{length}");
        assert!(received.capacity() < 4096, "nothing was reserved");
    }
    // A multi inside a multi inside a multi... would be a way to exhaust the stack.
    let nested = unhex(&format!("{}{}", "00000001", "0000000e000000100000000100000000ffffffffffffffff"));
    assert_eq!(Txn::get(14, &mut Reader::new(&nested)), Err(Malformed::Type(14)));
}

/// Java's `Random` would do; this is shorter (Marsaglia's xorshift64).
struct XorShift(u64);

impl XorShift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

fn mutated(bytes: &Bytes, random: &mut XorShift) -> Bytes {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next() as u8,
            2 => bytes[at] = [0, 0x7f, 0x80, 0xff][random.below(4)],
            3 => bytes.insert(at, random.next() as u8),
            4 if bytes.len() > 1 => drop(bytes.remove(at)),
            _ => {
                let number = [-2, -1, 0, 1, i32::MAX, i32::MIN, 0x0010_0000][random.below(7)].to_be_bytes();
                let end = (at + 4).min(bytes.len());
                bytes[at..end].copy_from_slice(&number[..end - at]);
            }
        }
    }
    bytes.into()
}

/// Everything that reads bytes from a socket or a file, over the same bytes.
fn read_with_all(bytes: &Bytes, all: &[Decoder]) {
    for decode in all {
        if let Ok(read) = decode(bytes) {
            // What was read can be written, and what was written means the same.
            let again = decode(&read.again).unwrap_or_else(|e| panic!("{bytes:?}: its own bytes: {e}"));
            assert_eq!(format!("{:?}", again.shown), format!("{:?}", read.shown), "{bytes:?}");
        }
    }
    for code in (-12..=110).filter(|code| route_of(*code).is_some()) {
        let _ = Request::decode(code, &mut Reader::with_limit(bytes, 0x10_0000));
    }
    for kind in -12..=22 {
        let _ = Txn::get(kind, &mut Reader::new(bytes));
    }
    let mut nodes = Reader::new(bytes);
    while let Ok(Some(_)) = get_node(&mut nodes) {}
    let _ = take_frame(&mut bytes[..].into(), 0x10_0000);
}

#[test]
fn random_changes_harm_nobody() {
    const MUTATIONS: usize = 200_000;
    let (samples, all) = (samples(), decoders().map(|(_, decode)| *decode).collect::<Vec<_>>());
    let mut random = XorShift(0x5eed_0001);
    for turn in 0..MUTATIONS {
        let vector = &samples[random.below(samples.len())];
        let bytes = mutated(&vector.bytes, &mut random);
        // Its own decoder always; all of them, which is slow, every so often.
        if let Some(decode) = home(&vector.record) {
            let _ = decode(&bytes);
        }
        if turn % 8 == 0 {
            read_with_all(&bytes, &all);
        } else {
            let other = all[random.below(all.len())];
            let _ = other(&bytes);
        }
    }
}
