//! Jute binary encoding: big-endian integers, length-prefixed strings and buffers, counted vectors,
//! `-1` for null; no tags, no padding (Java: `org.apache.jute.BinaryInputArchive`).

use bytes::{Bytes, BytesMut};
use nom::Parser;
use nom::number::complete::{be_i32, be_i64, be_u8};
use std::borrow::Cow;
use thiserror::Error;

/// Bytes that do not hold the record they should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Malformed {
    /// The frame ended inside a field.
    #[error("ended inside a field, {missing} more bytes needed")]
    Short {
        /// How many bytes were missing at least.
        missing: usize,
    },
    /// A length below -1 or above the reader's limit (Java: "Unreasonable length").
    #[error("unreasonable length {0}")]
    Length(i32),
    /// A null where a value is required.
    #[error("null where a value is required")]
    Null,
    /// A type number that this record cannot hold.
    #[error("type {0} has no place here")]
    Type(i32),
}

/// A value with exactly one byte layout; the two directions stay side by side.
pub trait Jute: Sized {
    /// Appends the value's bytes.
    fn put(&self, out: &mut BytesMut);
    /// Reads the value from the front of the reader.
    fn get(r: &mut Reader<'_>) -> Result<Self, Malformed>;
}

/// Reads a frame from front to back. Buffers are slices of the frame, never copies.
#[derive(Clone)]
pub struct Reader<'a> {
    frame: &'a Bytes,
    rest: &'a [u8],
    length_max: usize,
}

impl<'a> Reader<'a> {
    /// Reads with no other limit on lengths than the frame itself: for our own files.
    pub fn new(frame: &'a Bytes) -> Self {
        Reader { frame, rest: frame, length_max: i32::MAX as usize }
    }

    /// Reads with a limit in bytes for strings and buffers (Java: `jute.maxbuffer` + extrasize).
    pub fn with_limit(frame: &'a Bytes, length_max: usize) -> Self {
        Reader { frame, rest: frame, length_max }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything was read. (Live requests may carry leftovers, which Apache ignores.)
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.frame.len() - self.rest.len()
    }

    #[inline]
    fn number<T>(
        &mut self,
        parser: impl Parser<&'a [u8], Output = T, Error = nom::error::Error<&'a [u8]>>,
        size: usize,
    ) -> Result<T, Malformed> {
        let mut parser = parser;
        match parser.parse(self.rest) {
            Ok((rest, value)) => {
                self.rest = rest;
                Ok(value)
            }
            Err(_) => Err(Malformed::Short { missing: size - self.rest.len().min(size) }),
        }
    }

    /// The next `length` bytes.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        // Counted only where it is missing: the difference is negative wherever it is not.
        let short = || Malformed::Short { missing: length - self.rest.len() };
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(short)?;
        self.rest = rest;
        Ok(taken)
    }

    /// A length prefix: `None` for null, an error outside of the limits.
    fn length(&mut self) -> Result<Option<usize>, Malformed> {
        match i32::get(self)? {
            -1 => Ok(None),
            n => match usize::try_from(n) {
                Ok(length) if length <= self.length_max => Ok(Some(length)),
                _ => Err(Malformed::Length(n)),
            },
        }
    }

    fn bytes(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        match self.length()? {
            None => Ok(None),
            Some(length) => self.take(length).map(Some),
        }
    }
}

// Records are made of these: called for every field, they have to melt into their callers, which
// `BufMut`'s methods do not.

impl Jute for bool {
    #[inline]
    fn put(&self, out: &mut BytesMut) {
        out.extend_from_slice(&[u8::from(*self)]);
    }
    #[inline]
    fn get(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(r.number(be_u8, 1)? != 0)
    }
}

impl Jute for i32 {
    #[inline]
    fn put(&self, out: &mut BytesMut) {
        out.extend_from_slice(&self.to_be_bytes());
    }
    #[inline]
    fn get(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        r.number(be_i32, 4)
    }
}

impl Jute for i64 {
    #[inline]
    fn put(&self, out: &mut BytesMut) {
        out.extend_from_slice(&self.to_be_bytes());
    }
    #[inline]
    fn get(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        r.number(be_i64, 8)
    }
}

/// Types with a length or count in front, which can therefore be null: `Option` of them is the
/// nullable form, the bare type refuses null.
pub trait Prefixed: Sized {
    /// Appends length and content.
    fn put_some(&self, out: &mut BytesMut);
    /// Reads length and content; `None` for null.
    fn get_nullable(r: &mut Reader<'_>) -> Result<Option<Self>, Malformed>;
}

/// The null of strings, buffers and vectors, spelled here and nowhere else.
pub const NULL: i32 = -1;

impl<T: Prefixed> Jute for Option<T> {
    fn put(&self, out: &mut BytesMut) {
        match self {
            Some(value) => value.put_some(out),
            None => NULL.put(out),
        }
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        T::get_nullable(r)
    }
}

macro_rules! not_null {
    ($(($($t:ident)?) $name:ty;)*) => {$(
        impl$(<$t: Jute>)? Jute for $name {
            fn put(&self, out: &mut BytesMut) { self.put_some(out); }
            fn get(r: &mut Reader<'_>) -> Result<Self, Malformed> { Self::get_nullable(r)?.ok_or(Malformed::Null) }
        }
    )*};
}
not_null! { () String; () Bytes; (T) Vec<T>; }

/// A length as jute writes it. Nothing we build reaches 2 GiB; if it did, the reader on the other
/// side has to refuse it, so the cast saturates instead of wrapping.
pub(crate) fn jute_length(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

impl Prefixed for String {
    fn put_some(&self, out: &mut BytesMut) {
        put_str(self, out);
    }
    fn get_nullable(r: &mut Reader<'_>) -> Result<Option<Self>, Malformed> {
        Ok(r.bytes()?.map(|bytes| decode_utf8(bytes).into_owned()))
    }
}

/// A word of an identity. The few that stand in nearly every ACL are never copied.
pub type Word = Cow<'static, str>;

impl Prefixed for Word {
    fn put_some(&self, out: &mut BytesMut) {
        put_str(self, out);
    }
    fn get_nullable(r: &mut Reader<'_>) -> Result<Option<Self>, Malformed> {
        Ok(r.bytes()?.map(|bytes| match bytes {
            b"world" => Cow::Borrowed("world"),
            b"anyone" => Cow::Borrowed("anyone"),
            b"digest" => Cow::Borrowed("digest"),
            b"auth" => Cow::Borrowed("auth"),
            b"ip" => Cow::Borrowed("ip"),
            other => Cow::Owned(decode_utf8(other).into_owned()),
        }))
    }
}

/// Appends a string. Characters beyond the basic plane go out as two 3-byte surrogates, as Java's
/// encoder writes them (`BinaryOutputArchive.stringToByteBuffer`).
pub fn put_str(text: &str, out: &mut BytesMut) {
    // Without a break in the loop, sixteen bytes are looked at at a time.
    if text.as_bytes().iter().fold(0, |all: u8, byte| all.max(*byte)) < 0xf0 {
        jute_length(text.len()).put(out);
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let mut units = Vec::with_capacity(text.len() + text.len() / 2);
    for unit in text.encode_utf16() {
        match char::from_u32(u32::from(unit)) {
            Some(c) => units.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            None => units.extend_from_slice(&[
                0xe0 | (unit >> 12) as u8,
                0x80 | (unit >> 6 & 0x3f) as u8,
                0x80 | (unit & 0x3f) as u8,
            ]),
        }
    }
    jute_length(units.len()).put(out);
    out.extend_from_slice(&units);
}

/// Text from UTF-8, from surrogate pairs written as two 3-byte sequences, or with U+FFFD in place
/// of what is neither, as Java decodes it.
pub fn decode_utf8(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = surrogate_pair(rest) {
        let (before, pair) = rest.split_at(at);
        text.push_str(&String::from_utf8_lossy(before));
        let unit = |b: &[u8]| u32::from(b[0] & 0xf) << 12 | u32::from(b[1] & 0x3f) << 6 | u32::from(b[2] & 0x3f);
        let scalar = 0x10000 + ((unit(&pair[..3]) - 0xd800) << 10) + (unit(&pair[3..6]) - 0xdc00);
        text.push(char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER));
        rest = &pair[6..];
    }
    text.push_str(&String::from_utf8_lossy(rest));
    Cow::Owned(text)
}

/// Where the first high surrogate directly followed by a low one begins.
fn surrogate_pair(bytes: &[u8]) -> Option<usize> {
    bytes.windows(6).position(|w| {
        w[0] == 0xed
            && w[1] & 0xf0 == 0xa0
            && w[2] & 0xc0 == 0x80
            && w[3] == 0xed
            && w[4] & 0xf0 == 0xb0
            && w[5] & 0xc0 == 0x80
    })
}

impl Prefixed for Bytes {
    fn put_some(&self, out: &mut BytesMut) {
        jute_length(self.len()).put(out);
        out.extend_from_slice(self);
    }
    fn get_nullable(r: &mut Reader<'_>) -> Result<Option<Self>, Malformed> {
        let frame = r.frame;
        Ok(r.bytes()?.map(|bytes| frame.slice_ref(bytes)))
    }
}

impl<T: Jute> Prefixed for Vec<T> {
    fn put_some(&self, out: &mut BytesMut) {
        jute_length(self.len()).put(out);
        for item in self {
            item.put(out);
        }
    }
    /// A count below -1 reads as an empty vector, as Apache's reader takes it.
    fn get_nullable(r: &mut Reader<'_>) -> Result<Option<Self>, Malformed> {
        let count = i32::get(r)?;
        if count == NULL {
            return Ok(None);
        }
        // Every element takes at least one byte, so a count is never trusted beyond the frame.
        let count = usize::try_from(count).unwrap_or(0);
        let mut items = Vec::with_capacity(count.min(r.rest.len()).min(1024));
        for _ in 0..count {
            items.push(T::get(r)?);
        }
        Ok(Some(items))
    }
}

/// The bytes of one value.
pub fn to_bytes(value: &impl Jute) -> Bytes {
    let mut out = BytesMut::new();
    value.put(&mut out);
    out.freeze()
}

/// One value from bytes that hold nothing else: for our own files and tests. Live requests may
/// carry leftovers; they use [`Jute::get`].
pub fn from_bytes<T: Jute>(bytes: &Bytes) -> Result<T, Malformed> {
    let mut r = Reader::new(bytes);
    let value = T::get(&mut r)?;
    if r.is_empty() { Ok(value) } else { Err(Malformed::Length(jute_length(r.rest.len()))) }
}
