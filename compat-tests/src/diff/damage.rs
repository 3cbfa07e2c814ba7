//! Requests that no client sends: cut, lengthened, with lengths that cannot be, or not frames at all.

use fastrand::Rng;

use super::ops;
use super::universe::pick;

const LENGTHS: &[i32] =
    &[-1, -2, i32::MIN, i32::MAX, 0x7fff_ffff - 8, 1_048_575, 1_048_576, 2_097_150, 2_097_151, 1000, 0];

/// What was done to a body.
pub enum Damage {
    Cut,
    Longer,
    /// An int or a byte somewhere is another one.
    Changed,
}

/// Changes `body` at random. Some opcodes are only cut, because a change could make of them what ends an Apache server
/// (createTTL, quotas that cannot be parsed) or what it does without asking for permission (deleteContainer).
pub fn damage(rng: &mut Rng, op: i32, body: &mut Vec<u8>) -> Damage {
    let only_cut = matches!(op, ops::CREATE_TTL | ops::DELETE_CONTAINER) || names_a_quota(body);
    let kinds: &[u8] = if only_cut { &[0, 1] } else { &[0, 0, 1, 2, 2, 3] };
    match *pick(rng, kinds) {
        0 => {
            body.truncate(rng.usize(..body.len().max(1)));
            Damage::Cut
        }
        1 => {
            body.extend((0..rng.usize(1..20)).map(|_| rng.u8(..)));
            Damage::Longer
        }
        2 if body.len() >= 4 => {
            let at = rng.usize(..body.len() - 3);
            // Lengths stand at the start, mostly.
            let at = if rng.bool() { 0 } else { at };
            body[at..at + 4].copy_from_slice(&pick(rng, LENGTHS).to_be_bytes());
            Damage::Changed
        }
        _ if !body.is_empty() => {
            let at = rng.usize(..body.len());
            body[at] ^= 1 << rng.u8(..8);
            Damage::Changed
        }
        _ => Damage::Cut,
    }
}

fn names_a_quota(body: &[u8]) -> bool {
    body.windows(10).any(|bytes| bytes == b"zookeeper_")
}

/// A length prefix, perhaps with something behind it, that ends the connection.
pub fn no_frame(rng: &mut Rng) -> Vec<u8> {
    let length = *pick(rng, &[-1, -2, i32::MIN, i32::MAX, 1_048_576, 0x7275_6f6b, 0x7372_7672, 0, 1, 4, 7]);
    let mut bytes = length.to_be_bytes().to_vec();
    if (0..8).contains(&length) {
        bytes.extend((0..length).map(|_| rng.u8(..)));
    }
    bytes
}

/// The beginning of a frame.
pub fn stump(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = (rng.i32(20..100_000)).to_be_bytes().to_vec();
    bytes.extend((0..rng.usize(0..16)).map(|_| rng.u8(..)));
    bytes.truncate(rng.usize(1..=bytes.len()));
    bytes
}
