//! The few records a load needs, written straight into an output buffer.
//!
//! This is deliberately not `zorilla-protocol`: a slip in the server's codec must not cancel itself
//! out in the tool that measures it, and a request costs no allocation here.

/// Opcodes, as in `ZooDefs.OpCode`.
pub mod op {
    pub const CREATE: i32 = 1;
    pub const DELETE: i32 = 2;
    pub const EXISTS: i32 = 3;
    pub const GET_DATA: i32 = 4;
    pub const SET_DATA: i32 = 5;
    pub const PING: i32 = 11;
    pub const GET_CHILDREN2: i32 = 12;
    pub const MULTI: i32 = 14;
    pub const CLOSE_SESSION: i32 = -11;
}

/// Bytes of a `Stat`.
pub const STAT_BYTES: usize = 68;
/// Bytes of a `ReplyHeader`.
pub const REPLY_HEADER_BYTES: usize = 16;
/// Bytes of a `MultiHeader`.
pub const MULTI_HEADER_BYTES: usize = 9;
/// Digits of the number that ends every numbered path.
pub const DIGITS: usize = 10;
/// `xid` of a watch notification.
pub const NOTIFICATION_XID: i32 = -1;
/// `xid` of a ping and of its reply.
pub const PING_XID: i32 = -2;
/// Create flag of an ephemeral znode.
pub const EPHEMERAL: i32 = 1;

/// Writes the fields of requests. Buffers grow once and are then reused.
pub trait Put {
    fn int(&mut self, value: i32);
    fn long(&mut self, value: i64);
    fn boolean(&mut self, value: bool);
    fn buffer(&mut self, value: &[u8]);
    /// `dir`, a slash, and `number` in [`DIGITS`] digits, as a ustring.
    fn numbered_path(&mut self, dir: &[u8], number: u32);
    /// The world:anyone list that `ZooDefs.Ids.OPEN_ACL_UNSAFE` is.
    fn open_acl(&mut self);
}

impl Put for Vec<u8> {
    fn int(&mut self, value: i32) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn long(&mut self, value: i64) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn boolean(&mut self, value: bool) {
        self.push(u8::from(value));
    }

    fn buffer(&mut self, value: &[u8]) {
        self.int(value.len() as i32);
        self.extend_from_slice(value);
    }

    fn numbered_path(&mut self, dir: &[u8], number: u32) {
        self.int((dir.len() + 1 + DIGITS) as i32);
        self.extend_from_slice(dir);
        self.push(b'/');
        self.extend_from_slice(&digits(number));
    }

    fn open_acl(&mut self) {
        self.int(1);
        self.int(31);
        self.buffer(b"world");
        self.buffer(b"anyone");
    }
}

/// `number` in decimal, padded with zeros.
pub fn digits(mut number: u32) -> [u8; DIGITS] {
    let mut text = [b'0'; DIGITS];
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    text
}

/// The number at the end of a path written by [`Put::numbered_path`].
pub fn trailing_number(path: &[u8]) -> Option<u32> {
    let (rest, text) = path.split_at_checked(path.len().checked_sub(DIGITS)?)?;
    if !rest.ends_with(b"/") || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Appends one frame: the length prefix and whatever `body` writes.
pub fn frame(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.int(0);
    body(out);
    let length = (out.len() - at - 4) as i32;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

/// Appends a frame that starts with a `RequestHeader`.
pub fn request(out: &mut Vec<u8>, xid: i32, opcode: i32, body: impl FnOnce(&mut Vec<u8>)) {
    frame(out, |out| {
        out.int(xid);
        out.int(opcode);
        body(out);
    });
}

/// Appends the `ConnectRequest` of a new session.
pub fn connect(out: &mut Vec<u8>, timeout_ms: i32) {
    frame(out, |out| {
        out.int(0);
        out.long(0);
        out.int(timeout_ms);
        out.long(0);
        out.buffer(&[0; 16]);
        out.boolean(false);
    });
}

/// The body of a `CreateRequest` behind its path.
pub fn create_rest(out: &mut Vec<u8>, data: &[u8], flags: i32) {
    out.buffer(data);
    out.open_acl();
    out.int(flags);
}

/// A `MultiHeader` before one operation of a multi.
pub fn multi_header(out: &mut Vec<u8>, opcode: i32) {
    out.int(opcode);
    out.boolean(false);
    out.int(-1);
}

/// The `MultiHeader` that ends a multi.
pub fn multi_end(out: &mut Vec<u8>) {
    out.int(-1);
    out.boolean(true);
    out.int(-1);
}

/// A big-endian int at `at`, if the bytes are there.
pub fn int_at(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// A big-endian long at `at`, if the bytes are there.
pub fn long_at(bytes: &[u8], at: usize) -> Option<i64> {
    Some(i64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// The header of every frame a server sends after the `ConnectResponse`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReplyHeader {
    pub xid: i32,
    pub zxid: i64,
    pub err: i32,
}

impl ReplyHeader {
    /// The header and the body behind it; `None` when the frame is too short.
    pub fn split(frame: &[u8]) -> Option<(Self, &[u8])> {
        let header = Self { xid: int_at(frame, 0)?, zxid: long_at(frame, 4)?, err: int_at(frame, 12)? };
        Some((header, &frame[REPLY_HEADER_BYTES..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_create_has_the_bytes_the_java_client_sends() {
        let mut out = Vec::new();
        request(&mut out, 7, op::CREATE, |out| {
            out.numbered_path(b"/a", 42);
            create_rest(out, b"xy", EPHEMERAL);
        });
        let mut expected = vec![0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 13];
        expected.extend_from_slice(b"/a/0000000042\0\0\0\x02xy\0\0\0\x01\0\0\0\x1f");
        expected.extend_from_slice(b"\0\0\0\x05world\0\0\0\x06anyone\0\0\0\x01");
        expected[3] = (expected.len() - 4) as u8;
        assert_eq!(out, expected);
    }

    #[test]
    fn a_connect_request_is_45_bytes_behind_its_prefix() {
        let mut out = Vec::new();
        connect(&mut out, 30_000);
        assert_eq!(int_at(&out, 0), Some(45));
        assert_eq!(out.len(), 49);
        assert_eq!(int_at(&out, 16), Some(30_000));
    }

    #[test]
    fn frames_in_one_buffer_have_their_own_lengths() {
        let mut out = Vec::new();
        request(&mut out, 1, op::PING, |_| {});
        request(&mut out, 2, op::DELETE, |out| {
            out.numbered_path(b"", 1);
            out.int(-1);
        });
        assert_eq!(int_at(&out, 0), Some(8));
        assert_eq!(int_at(&out, 12), Some(8 + 4 + 11 + 4));
    }

    #[test]
    fn numbers_survive_the_path() {
        for number in [0, 9, 4_294_967_295] {
            let mut path = b"/zkload/".to_vec();
            path.extend_from_slice(&digits(number));
            assert_eq!(trailing_number(&path), Some(number));
        }
        assert_eq!(trailing_number(b"/short"), None);
        assert_eq!(trailing_number(b"/a/00000000x1"), None);
        assert_eq!(trailing_number(b"/a-0000000001"), None);
    }

    #[test]
    fn a_short_frame_has_no_header() {
        assert_eq!(ReplyHeader::split(&[0; 15]), None);
        let (header, body) = ReplyHeader::split(b"\0\0\0\x05\0\0\0\0\0\0\0\x09\xff\xff\xff\x9bz").unwrap();
        assert_eq!(header, ReplyHeader { xid: 5, zxid: 9, err: -101 });
        assert_eq!(body, b"z");
    }
}
