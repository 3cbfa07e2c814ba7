"""A raw ZooKeeper client: frames and records by hand, with nothing hidden.

For tests that look at bytes, at order and at what happens to connections. It never reconnects, never pings by
itself and never reorders; every wait is bounded.
"""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import dataclass, field

CREATE, DELETE, EXISTS, GET_DATA, SET_DATA, GET_ACL, SET_ACL, GET_CHILDREN, SYNC = range(1, 10)
PING, GET_CHILDREN2, CHECK, MULTI, CREATE2, RECONFIG, CHECK_WATCHES, REMOVE_WATCHES = range(11, 19)
CREATE_CONTAINER, DELETE_CONTAINER, CREATE_TTL, MULTI_READ = range(19, 23)
AUTH, SET_WATCHES, SASL, GET_EPHEMERALS, GET_ALL_CHILDREN_NUMBER = range(100, 105)
SET_WATCHES2, ADD_WATCH, WHO_AM_I = range(105, 108)
CREATE_SESSION, CLOSE_SESSION = -10, -11

XID_EVENT, XID_PING, XID_AUTH = -1, -2, -4

OK, MARSHALLING_ERROR, UNIMPLEMENTED, BAD_ARGUMENTS = 0, -5, -6, -8
NO_NODE, NO_AUTH, BAD_VERSION, NODE_EXISTS, NOT_EMPTY = -101, -102, -103, -110, -111
SESSION_EXPIRED, THROTTLED_OP = -112, -127

PERSISTENT, EPHEMERAL, SEQUENTIAL = 0, 1, 2
NODE_CREATED, NODE_DELETED, NODE_DATA_CHANGED, NODE_CHILDREN_CHANGED = 1, 2, 3, 4
ADD_WATCH_PERSISTENT, ADD_WATCH_RECURSIVE = 0, 1

ALL, READ = 31, 1
OPEN = ((ALL, "world", "anyone"),)

IO_SECONDS = 20.0


class Closed(Exception):
    """The server closed the connection."""


# Records: what goes out.


def put_buffer(data: bytes | None) -> bytes:
    return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data


def put_string(text: str | None) -> bytes:
    return put_buffer(None if text is None else text.encode())


def put_strings(texts) -> bytes:
    return struct.pack(">i", len(texts)) + b"".join(put_string(text) for text in texts)


def put_acl(entries) -> bytes:
    """`entries` are (perms, scheme, id)."""
    body = b"".join(struct.pack(">i", perms) + put_string(scheme) + put_string(id_) for perms, scheme, id_ in entries)
    return struct.pack(">i", len(entries)) + body


def create_body(path: str, data: bytes | None = b"", flags: int = PERSISTENT, acl=OPEN) -> bytes:
    return put_string(path) + put_buffer(data) + put_acl(acl) + struct.pack(">i", flags)


def delete_body(path: str, version: int = -1) -> bytes:
    return put_string(path) + struct.pack(">i", version)


def set_data_body(path: str, data: bytes | None, version: int = -1) -> bytes:
    return put_string(path) + put_buffer(data) + struct.pack(">i", version)


def set_acl_body(path: str, acl, version: int = -1) -> bytes:
    return put_string(path) + put_acl(acl) + struct.pack(">i", version)


def read_body(path: str, watch: bool = False) -> bytes:
    """exists, getData, getChildren and getChildren2 all look like this."""
    return put_string(path) + struct.pack(">?", watch)


def add_watch_body(path: str, mode: int) -> bytes:
    return put_string(path) + struct.pack(">i", mode)


def auth_body(scheme: str, auth: bytes) -> bytes:
    return struct.pack(">i", 0) + put_string(scheme) + put_buffer(auth)


def connect_body(timeout_ms: int, session_id: int = 0, passwd: bytes = bytes(16), last_zxid_seen: int = 0) -> bytes:
    head = struct.pack(">iqiq", 0, last_zxid_seen, timeout_ms, session_id)
    return head + put_buffer(passwd) + struct.pack(">?", False)


def frame(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


def request(xid: int, op: int, body: bytes = b"") -> bytes:
    """A whole request frame."""
    return frame(struct.pack(">ii", xid, op) + body)


# Records: what comes in.


class Reader:
    """Reads fields off the front of a body; raises `ValueError` when they are not there."""

    def __init__(self, data: bytes):
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        if count < 0 or self.at + count > len(self.data):
            raise ValueError(f"{count} bytes wanted at {self.at} of {len(self.data)}")
        self.at += count
        return self.data[self.at - count : self.at]

    def int(self) -> int:
        return struct.unpack(">i", self.take(4))[0]

    def long(self) -> int:
        return struct.unpack(">q", self.take(8))[0]

    def bool(self) -> bool:
        return self.take(1) != b"\0"

    def buffer(self) -> bytes | None:
        length = self.int()
        return None if length == -1 else self.take(length)

    def string(self) -> str | None:
        data = self.buffer()
        return None if data is None else data.decode()

    def strings(self) -> list[str | None]:
        return [self.string() for _ in range(max(self.int(), 0))]

    def stat(self) -> "Stat":
        return Stat(*struct.unpack(">qqqqiiiqiiq", self.take(68)))


@dataclass(frozen=True)
class Stat:
    czxid: int
    mzxid: int
    ctime: int
    mtime: int
    version: int
    cversion: int
    aversion: int
    ephemeralOwner: int
    dataLength: int
    numChildren: int
    pzxid: int


@dataclass(frozen=True)
class Reply:
    """A reply, or an event when `xid` is -1."""

    xid: int
    zxid: int
    err: int
    body: bytes

    @staticmethod
    def parse(data: bytes) -> "Reply":
        if len(data) < 16:
            raise ValueError(f"a reply of {len(data)} bytes has no room for its header: {data.hex()}")
        xid, zxid, err = struct.unpack_from(">iqi", data)
        return Reply(xid, zxid, err, data[16:])

    def reader(self) -> Reader:
        return Reader(self.body)

    @property
    def is_event(self) -> bool:
        return self.xid == XID_EVENT

    def event(self) -> tuple[int, str | None]:
        """(type, path) of an event."""
        reader = self.reader()
        kind, _state = reader.int(), reader.int()
        return kind, reader.string()


@dataclass(frozen=True)
class Session:
    session_id: int
    passwd: bytes
    timeout_ms: int


@dataclass
class Connection:
    """One TCP connection that speaks frames. `buffered` holds what arrived and was not read yet."""

    sock: socket.socket
    buffered: bytearray = field(default_factory=bytearray)

    @staticmethod
    def open(host: str, port: int, receive_buffer_bytes: int | None = None) -> "Connection":
        sock = socket.socket()
        sock.settimeout(IO_SECONDS)
        if receive_buffer_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        sock.connect((host, port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Connection(sock)

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def receive(self, seconds: float = IO_SECONDS) -> bytes:
        """The next frame without its length. `Closed` when the server closed first, `TimeoutError` when it is silent."""
        deadline = time.monotonic() + seconds
        while True:
            if len(self.buffered) >= 4:
                length = struct.unpack_from(">i", self.buffered)[0]
                if length < 0:
                    raise ValueError(f"the server sent a frame of length {length}")
                if len(self.buffered) >= 4 + length:
                    body = bytes(self.buffered[4 : 4 + length])
                    del self.buffered[: 4 + length]
                    return body
            if not self.fill(deadline):
                raise Closed(f"closed by the server with {bytes(self.buffered).hex() or 'nothing'} unread")

    def fill(self, deadline: float) -> bool:
        """Waits for some bytes; false at the end of the stream, be it a FIN or a reset."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the server is silent")
        self.sock.settimeout(left)
        try:
            chunk = self.sock.recv(1 << 18)
        except ConnectionError:
            return False
        except TimeoutError:
            raise TimeoutError("the server is silent") from None
        finally:
            self.sock.settimeout(IO_SECONDS)
        self.buffered += chunk
        return bool(chunk)

    def drain(self, seconds: float = IO_SECONDS) -> bytes:
        """Everything up to the end of the stream; `TimeoutError` when the server keeps it open."""
        deadline = time.monotonic() + seconds
        while self.fill(deadline):
            pass
        rest = bytes(self.buffered)
        self.buffered.clear()
        return rest

    def close(self) -> None:
        self.sock.close()


class Client:
    """A session on one connection. `request` waits for its answer, and keeps the events that came before it."""

    def __init__(self, server, timeout_ms: int = 30000, session: Session | None = None, **open_options):
        self.connection = Connection.open(server.host, server.port, **open_options)
        self.xid = 0
        self.events: list[Reply] = []
        known = session or Session(0, bytes(16), 0)
        self.connection.send(frame(connect_body(timeout_ms, known.session_id, known.passwd)))
        reader = Reader(self.connection.receive())
        reader.int()
        timeout = reader.int()
        self.session = Session(reader.long(), reader.buffer() or b"", timeout)

    def next_xid(self) -> int:
        self.xid += 1
        return self.xid

    def send(self, op: int, body: bytes = b"", xid: int | None = None) -> int:
        """Sends a request and does not wait. Returns its xid."""
        xid = self.next_xid() if xid is None else xid
        self.connection.send(request(xid, op, body))
        return xid

    def receive(self, seconds: float = IO_SECONDS) -> Reply:
        """The next reply or event, whichever comes."""
        return Reply.parse(self.connection.receive(seconds))

    def reply(self, seconds: float = IO_SECONDS) -> Reply:
        """The next reply; the events before it go to `events`."""
        while (reply := self.receive(seconds)).is_event:
            self.events.append(reply)
        return reply

    def request(self, op: int, body: bytes = b"", xid: int | None = None) -> Reply:
        xid = self.send(op, body, xid)
        reply = self.reply()
        assert reply.xid == xid, f"asked with xid {xid}, answered with {reply.xid}"
        return reply

    def ok(self, op: int, body: bytes = b"", xid: int | None = None) -> Reply:
        reply = self.request(op, body, xid)
        assert reply.err == OK, f"opcode {op}: error {reply.err}"
        return reply

    def create(self, path: str, data: bytes | None = b"", flags: int = PERSISTENT, acl=OPEN) -> str:
        return self.ok(CREATE, create_body(path, data, flags, acl)).reader().string()

    def delete(self, path: str) -> None:
        self.ok(DELETE, delete_body(path))

    def set_data(self, path: str, data: bytes) -> Stat:
        return self.ok(SET_DATA, set_data_body(path, data)).reader().stat()

    def get_data(self, path: str, watch: bool = False) -> tuple[bytes | None, Stat]:
        reader = self.ok(GET_DATA, read_body(path, watch)).reader()
        return reader.buffer(), reader.stat()

    def set_acl(self, path: str, acl) -> None:
        self.ok(SET_ACL, set_acl_body(path, acl))

    def auth(self, scheme: str, auth: bytes) -> None:
        self.ok(AUTH, auth_body(scheme, auth), XID_AUTH)

    def ping(self) -> Reply:
        return self.ok(PING, xid=XID_PING)

    def close(self) -> None:
        """Ends the session, and waits until the server closes the connection."""
        self.ok(CLOSE_SESSION)
        self.connection.drain()
        self.connection.close()

    def abandon(self) -> None:
        """Closes the connection; the session lives on until it expires."""
        self.connection.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_) -> None:
        self.connection.close()
