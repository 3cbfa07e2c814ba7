//! Framing: every message is an `int` length and that many bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use thiserror::Error;

/// The default of `jute.maxbuffer` in bytes; a frame of exactly this length is accepted.
pub const JUTE_MAXBUFFER_DEFAULT: usize = 0xf_ffff;

/// A length below 0 or above the limit: the connection is closed, nothing is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("frame length {length} is outside of 0..={frame_bytes_max} (jute.maxbuffer)")]
pub struct BadLength {
    /// What the peer sent.
    pub length: i32,
    /// The limit in bytes.
    pub frame_bytes_max: usize,
}

/// Cuts the next whole frame off the front of what was received, without its length prefix; `None`
/// until it has arrived whole. A length by itself never costs memory.
pub fn take_frame(received: &mut BytesMut, frame_bytes_max: usize) -> Result<Option<Bytes>, BadLength> {
    let Some(prefix) = received.first_chunk::<4>() else { return Ok(None) };
    let length = i32::from_be_bytes(*prefix);
    let size = match usize::try_from(length) {
        Ok(size) if size <= frame_bytes_max => size,
        _ => return Err(BadLength { length, frame_bytes_max }),
    };
    if received.len() < 4 + size {
        // No room is made for what is only announced: the buffer grows with what arrives.
        return Ok(None);
    }
    received.advance(4);
    Ok(Some(received.split_to(size).freeze()))
}

/// Appends a frame: what `body` writes, behind its length.
pub fn put_frame(out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_i32(0);
    body(out);
    let length = i32::try_from(out.len() - start - 4).unwrap_or(i32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_as_they_complete() {
        let mut received = BytesMut::new();
        put_frame(&mut received, |out| out.put_slice(b"abc"));
        put_frame(&mut received, |_| {});
        received.put_slice(&[0, 0, 0]);
        assert_eq!(take_frame(&mut received, 3), Ok(Some(Bytes::from_static(b"abc"))));
        assert_eq!(take_frame(&mut received, 3), Ok(Some(Bytes::new())));
        assert_eq!(take_frame(&mut received, 3), Ok(None));
        received.put_u8(4);
        assert_eq!(take_frame(&mut received, 3), Err(BadLength { length: 4, frame_bytes_max: 3 }));
        let mut negative = BytesMut::from(&(-1_i32).to_be_bytes()[..]);
        assert_eq!(take_frame(&mut negative, 3), Err(BadLength { length: -1, frame_bytes_max: 3 }));
    }

    #[test]
    fn an_announced_length_costs_no_memory() {
        let mut received = BytesMut::from(&[0x7f, 0xff, 0xff, 0xff, b'x'][..]);
        assert_eq!(take_frame(&mut received, i32::MAX as usize), Ok(None));
        assert!(received.capacity() < 1 << 20, "{} bytes for a claim", received.capacity());
    }
}
