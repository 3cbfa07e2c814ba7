"""Where the fields of a server's frame lie, by the opcode it answers.

For two things only: to put lists whose order is chance into one order before bytes are compared, and to name the
field in which two frames differ. Offsets count from the frame's length prefix.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from harness import jute

HEADER = (("length", 4), ("xid", 4), ("zxid", 8), ("err", 4))
HEADER_BYTES = 20
CONNECT_RESPONSE = (
    ("length", 4), ("protocolVersion", 4), ("timeOut", 4), ("sessionId", 8),
    ("passwd length", 4), ("passwd", 16), ("readOnly", 1),
)  # fmt: skip
STAT = (
    ("czxid", 8), ("mzxid", 8), ("ctime", 8), ("mtime", 8), ("version", 4), ("cversion", 4), ("aversion", 4),
    ("ephemeralOwner", 8), ("dataLength", 4), ("numChildren", 4), ("pzxid", 8),
)  # fmt: skip
BODIES = {
    jute.CREATE: "path", jute.CREATE2: "path stat", jute.CREATE_CONTAINER: "path stat", jute.CREATE_TTL: "path stat",
    jute.EXISTS: "stat", jute.SET_DATA: "stat", jute.SET_ACL: "stat", jute.GET_DATA: "data stat",
    jute.GET_ACL: "acl stat", jute.GET_CHILDREN: "names", jute.GET_CHILDREN2: "names stat", jute.SYNC: "path",
    jute.GET_EPHEMERALS: "names", jute.WHO_AM_I: "identities", jute.GET_ALL_CHILDREN_NUMBER: "number",
    jute.ADD_WATCH: "number", jute.RECONFIG: "data stat", jute.SASL: "data",
}  # fmt: skip


@dataclass
class Layout:
    """Fields as (name, start, end), and the items of every list whose order the server may choose."""

    fields: list[tuple[str, int, int]] = field(default_factory=list)
    unordered: list[list[tuple[int, int]]] = field(default_factory=list)
    # An ACL keeps the order it was given; only what `auth` stands for has none.
    acl_items: list[list[tuple[int, int]]] = field(default_factory=list)

    def name_at(self, offset: int) -> str:
        for name, start, end in self.fields:
            if start <= offset < end:
                return name
        return f"byte {offset}"


def of_connect_response() -> Layout:
    layout = Layout()
    _fixed(layout, CONNECT_RESPONSE, 0)
    return layout


def of_reply(data: bytes, op: int | None) -> Layout:
    """The layout of a reply to opcode `op`, or of an event; as far as it can be made out, when it is malformed."""
    layout = Layout()
    _fixed(layout, HEADER, 0)
    try:
        reply = jute.Reply.parse(data[4:])
        reader = jute.Reader(data)
        reader.take(HEADER_BYTES)
        if reply.is_event:
            _fixed(layout, (("event type", 4), ("event state", 4)), HEADER_BYTES)
            reader.take(8)
            _one(layout, reader, "path")
        elif op in (jute.MULTI, jute.MULTI_READ):
            _multi(layout, reader)
        elif op in BODIES:
            for part in BODIES[op].split():
                _one(layout, reader, part)
    except (ValueError, IndexError):
        pass
    return layout


def canonical(data: bytes, layout: Layout, acl_order_is_free: bool = False) -> bytes:
    """The frame with every list of free order sorted. No other byte moves."""
    out = bytearray(data)
    for items in layout.unordered + (layout.acl_items if acl_order_is_free else []):
        if items:
            out[items[0][0] : items[-1][1]] = b"".join(sorted(data[start:end] for start, end in items))
    return bytes(out)


def _fixed(layout: Layout, fields, at: int) -> int:
    for name, length in fields:
        layout.fields.append((name, at, at + length))
        at += length
    return at


def _one(layout: Layout, reader: jute.Reader, part: str) -> None:
    start = reader.at
    if part == "stat":
        reader.stat()
        _fixed(layout, STAT, start)
        return
    if part == "number":
        reader.int()
    elif part in ("path", "data"):
        reader.buffer()
    else:
        fields_each = {"names": 1, "identities": 2, "acl": 2}[part]
        _list(layout, reader, fields_each, perms=part == "acl")
    layout.fields.append((part, start, reader.at))


def _list(layout: Layout, reader: jute.Reader, strings_each: int, perms: bool) -> None:
    items = []
    for _ in range(max(reader.int(), 0)):
        start = reader.at
        if perms:
            reader.int()
        for _ in range(strings_each):
            reader.buffer()
        items.append((start, reader.at))
    (layout.acl_items if perms else layout.unordered).append(items)


def _multi(layout: Layout, reader: jute.Reader) -> None:
    for result in range(1 << 20):
        at = reader.at
        kind, done = reader.int(), reader.bool()
        reader.int()
        label = "end of results" if done else f"result {result}"
        fields = ((f"{label}: type", 4), (f"{label}: done", 1), (f"{label}: err", 4))
        _fixed(layout, fields, at)
        if done:
            return
        if kind == -1:
            _one(layout, reader, "number")
        for part in BODIES.get(kind, "").split():
            _one(layout, reader, part)
