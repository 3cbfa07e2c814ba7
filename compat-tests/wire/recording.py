"""The recorded conversations, as data.

`testdata/client-transcripts.json` was recorded between clients and an Apache ZooKeeper 3.9.4 server; its `_README`
entry says how. This module loads it, and puts right the few places where the recorder could not see enough.
"""

from __future__ import annotations

import json
import struct
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from harness import jute

HERE = Path(__file__).resolve().parent
TRANSCRIPTS = HERE / "testdata" / "client-transcripts.json"

# The recorder took this ConnectResponse for a reply, because it answers a request that no client sends.
CREATE_SESSION_SCENARIO, CREATE_SESSION_FRAME = "createSession-opcode-from-client", 3
CONNECT_RESPONSE_VOLATILE = ({"offset": 12, "len": 8, "field": "sessionId"}, {"offset": 24, "len": 16, "field": "passwd"})

# The reply to an exists with xid -1, which the recorder took for an event.
XID_SCENARIO, XID_FRAME = "xid-is-echoed-not-validated", 11
XID_VOLATILE = ({"offset": 8, "len": 8, "field": "zxid"}, {"offset": 80, "len": 8, "field": "pzxid"})

# getData of the largest node that fits a frame: only its first bytes were kept, the rest follows from the request.
BIG_DATA = b"x" * 1048524
STAT_BYTES = 68


@dataclass(frozen=True)
class Volatile:
    """A range of a frame whose value depends on the run."""

    offset: int
    length: int
    field: str


@dataclass(frozen=True)
class Frame:
    """One thing that happened on one connection. `number` is its place in the recorded scenario."""

    number: int
    conn: int
    from_client: bool
    is_close: bool
    data: bytes
    note: str
    volatile: tuple[Volatile, ...]

    @property
    def is_raw(self) -> bool:
        """A four-letter word or its answer: bytes without a frame around them."""
        return self.note.startswith("raw bytes")


@dataclass
class Scenario:
    name: str
    frames: list[Frame] = field(default_factory=list)

    @property
    def family(self) -> str:
        """The name up to its details: `ensemble-3`, `enforced-auth`; what decides which server it runs against."""
        return self.name.split(":")[0].split(" ")[0]


def load(path: Path = TRANSCRIPTS) -> list[Scenario]:
    """All scenarios, in the order in which they were recorded."""
    entries = json.loads(path.read_text())
    return [_scenario(entry) for entry in entries if entry["scenario"] != "_README"]


def load_table(name: str) -> dict:
    """A TOML table that lies beside the tests."""
    return tomllib.loads((HERE / name).read_text())


def _scenario(entry: dict) -> Scenario:
    frames = []
    for number, raw in enumerate(entry["frames"]):
        if raw["dir"] != "note":
            frames.append(_frame(entry["scenario"], number, raw))
    return Scenario(entry["scenario"], _request_before_its_close(frames))


def _frame(scenario: str, number: int, raw: dict) -> Frame:
    volatile = raw.get("volatile", ())
    if (scenario, number) == (CREATE_SESSION_SCENARIO, CREATE_SESSION_FRAME):
        volatile = CONNECT_RESPONSE_VOLATILE
    if (scenario, number) == (XID_SCENARIO, XID_FRAME):
        volatile = XID_VOLATILE
    data = bytes.fromhex(raw.get("hex", ""))
    ranges = [Volatile(v["offset"], v["len"], v["field"]) for v in volatile]
    if "full_len" in raw:
        data, more = _complete(data, raw)
        ranges += more
    is_close = raw.get("event") == "close"
    return Frame(number, raw["conn"], raw["dir"] == "c2s", is_close, data, raw.get("note", ""), tuple(ranges))


def _complete(head: bytes, raw: dict) -> tuple[bytes, list[Volatile]]:
    """The whole of a frame of which only the head was kept, and the volatile ranges in its lost part."""
    if raw["dir"] == "c2s":
        whole = jute.request(1, jute.CREATE, jute.create_body("/big", BIG_DATA))
        more = []
    else:
        zxid = head[8:16]
        time = struct.pack(">q", 0)
        stat = zxid + zxid + time + time + struct.pack(">iiiqii", 0, 0, 0, 0, len(BIG_DATA), 0) + zxid
        whole = jute.frame(head[4:20] + jute.put_buffer(BIG_DATA) + stat)
        at = len(whole) - STAT_BYTES
        names = (("czxid", 0), ("mzxid", 8), ("ctime", 16), ("mtime", 24), ("pzxid", 60))
        more = [Volatile(at + offset, 8, name) for name, offset in names]
    assert whole.startswith(head) and len(whole) == raw["full_len"], "the lost part is not what the note says"
    return whole, more


def _request_before_its_close(frames: list[Frame]) -> list[Frame]:
    """A request that was still being written when the server closed was recorded behind the close it caused."""
    ordered: list[Frame] = []
    for frame in frames:
        at = len(ordered)
        if frame.from_client and not frame.is_close:
            while at and ordered[at - 1].is_close and ordered[at - 1].conn == frame.conn:
                at -= 1
        ordered.insert(at, frame)
    return ordered
