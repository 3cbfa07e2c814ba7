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
/// until it has arrived whole. The length is checked before anything is allocated for it.
pub fn take_frame(received: &mut BytesMut, frame_bytes_max: usize) -> Result<Option<Bytes>, BadLength> {
    let Some(prefix) = received.first_chunk::<4>() else { return Ok(None) };
    let length = i32::from_be_bytes(*prefix);
    let size = match usize::try_from(length) {
        Ok(size) if size <= frame_bytes_max => size,
        _ => return Err(BadLength { length, frame_bytes_max }),
    };
    if received.len() < 4 + size {
        received.reserve(4 + size - received.len());
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
