//! What clients send, and what is sent to them.

use crate::input::Input;
use crate::{FIELD_BYTES_MAX, both_ways, bounded};
use bytes::{Bytes, BytesMut};
use zorilla_protocol::frame::{BadLength, put_frame, take_frame};
use zorilla_protocol::irregular::{ConnectRequest, ConnectResponse, MultiRequest, MultiResponse};
use zorilla_protocol::ops::{BadRequest, Request, route_of};
use zorilla_protocol::records::*;
use zorilla_protocol::{Code, Jute, Reader};

/// A handshake in every form, and its answer.
pub fn connect(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    if let Some(request) = both_ways::<ConnectRequest>(&bytes) {
        assert_eq!(request.read_only.is_some(), 28 + request.passwd.as_ref().map_or(0, Bytes::len) < data.len());
    }
    both_ways::<ConnectResponse>(&bytes);
}

/// A frame as the connection decodes it: the header, then the body that it announces.
pub fn requests(data: &[u8]) {
    let frame = Bytes::copy_from_slice(data);
    let (header, decoded) = bounded(data.len(), || {
        let mut r = Reader::with_limit(&frame, FIELD_BYTES_MAX);
        let Ok(header) = RequestHeader::get(&mut r) else { return (None, None) };
        let decoded = Request::decode(header.kind, &mut r);
        (Some(header), Some(decoded))
    });
    let (Some(header), Some(decoded)) = (header, decoded) else { return };
    match decoded {
        Ok(request) => {
            assert_eq!(Some(request.route()), route_of(header.kind), "{}", request.name());
            assert_eq!(request.code(), header.kind);
            if !matches!(request, Request::Multi(Err(_)) | Request::MultiRead(Err(_))) {
                written_alike(&request);
            }
        }
        Err(BadRequest::UnknownOp(op)) => assert!(op == header.kind && route_of(op).is_none()),
        Err(bad) => assert_eq!(Code::from(bad), Code::MarshallingError, "{bad}"),
    }
    both_ways::<MultiRequest>(&frame.slice(8..));
}

fn written_alike(request: &Request) {
    let write = |request: &Request| {
        let mut out = BytesMut::new();
        request.put(&mut out);
        out.freeze()
    };
    let written = write(request);
    let mut r = Reader::new(&written);
    let back = Request::decode(request.code(), &mut r).unwrap_or_else(|why| panic!("{request:?}: {why}"));
    assert!(r.is_empty(), "{request:?}: not read to its end");
    assert_eq!(&back, request);
    assert_eq!(write(&back), written);
}

macro_rules! one_of {
    ($which:expr, $bytes:expr, $($ty:ty)*) => {{
        let readers: &[fn(&Bytes)] = &[$(|bytes| {
            both_ways::<$ty>(bytes);
        }),*];
        readers[$which % readers.len()]($bytes)
    }};
}

/// A reply's header and one of the bodies; the first byte says which.
pub fn replies(data: &[u8]) {
    let mut input = Input(data);
    let which = usize::from(input.byte());
    let bytes = Bytes::copy_from_slice(input.0);
    both_ways::<ReplyHeader>(&bytes);
    one_of!(which, &bytes,
        WatcherEvent ErrorResponse CreateResponse Create2Response ExistsResponse GetDataResponse SetDataResponse
        GetAclResponse SetAclResponse GetChildrenResponse GetChildren2Response GetAllChildrenNumberResponse
        SyncResponse MultiResponse GetEphemeralsResponse WhoAmIResponse SetSaslResponse GetMaxChildrenResponse
        GetSaslRequest Stat StatPersisted);
}

/// A stream that arrives in pieces gives the same frames as one that is there at once, and an
/// announced length costs nothing.
pub fn stream(data: &[u8]) {
    let mut input = Input(data);
    let frame_bytes_max = input.pick(&[0xf_ffff, 64, 0, i32::MAX as usize]);
    let step = 1 + usize::from(input.byte());
    let whole = input.0;
    let (frames, bad) = bounded(whole.len(), || {
        let mut received = BytesMut::new();
        let mut frames = Vec::new();
        for piece in whole.chunks(step) {
            received.extend_from_slice(piece);
            loop {
                match take_frame(&mut received, frame_bytes_max) {
                    Ok(Some(frame)) => frames.push(frame),
                    Ok(None) => break,
                    Err(bad) => return (frames, Some(bad)),
                }
            }
        }
        (frames, None)
    });
    let (expected, refused) = frames_of(whole, frame_bytes_max);
    assert_eq!(frames, expected);
    assert_eq!(bad.map(|bad: BadLength| bad.length), refused);
    let mut again = BytesMut::new();
    frames.iter().for_each(|frame| put_frame(&mut again, |out| out.extend_from_slice(frame)));
    assert!(whole.starts_with(&again), "frames are written as they came");
    frames.iter().for_each(|frame| requests(frame));
}

/// The rule, said once more.
fn frames_of(mut rest: &[u8], frame_bytes_max: usize) -> (Vec<&[u8]>, Option<i32>) {
    let mut frames = Vec::new();
    while let Some((length, body)) = rest.split_first_chunk::<4>() {
        let length = i32::from_be_bytes(*length);
        if length < 0 || length as usize > frame_bytes_max {
            return (frames, Some(length));
        }
        let Some((frame, behind)) = body.split_at_checked(length as usize) else { break };
        frames.push(frame);
        rest = behind;
    }
    (frames, None)
}
