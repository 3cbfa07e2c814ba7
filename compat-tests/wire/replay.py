"""Replays recorded scenarios against a running server, frame by frame, and compares what it says byte for byte."""

from __future__ import annotations

import re
import struct
import time
from dataclasses import dataclass, field

from harness import jute
from harness.servers import Server
from wire import layout
from wire.bindings import Bindings, Contradiction
from wire.recording import Frame, Scenario
from wire.unrecorded import ACL_ORDER_IS_FREE, APACHE_MAY_SAY_EXPIRED, UNORDERED, Others

FRAME_SECONDS = 20.0
CLOSE_SECONDS = 20.0
SHOWN_BYTES = 200


class Mismatch(Exception):
    """The server did something else than was recorded. The first line says where and what."""

    def __init__(self, scenario: str, number: int, what: str, expected: str, actual: str, note: str = ""):
        line = f"scenario {scenario!r}, frame {number}, {what}: expected {expected}, got {actual}"
        super().__init__(f"{line}\n  recorded: {note}" if note else line)


@dataclass(frozen=True)
class Difference:
    """Where Zorilla, on purpose, answers something else.

    `err` (and `zxid`) in place of the reply, and perhaps a close; or the recorded reply, for which it took no zxid.
    """

    err: int | None = None
    zxid: int | None = None
    then_close: bool = False
    takes_no_zxid: bool = False


@dataclass
class Line:
    """One TCP connection of a scenario, and what the scenario has asked on it so far."""

    connection: jute.Connection
    ops: dict[int, list[int]] = field(default_factory=dict)
    handshake_answered: bool = False
    session: int = 0
    passwd: bytes = b""
    session_closing: bool = False
    gone: bool = False

    def asked(self, xid: int) -> int | None:
        """The opcode that a reply with this xid answers: the oldest of that xid that has no answer yet."""
        waiting = self.ops.get(xid)
        return waiting.pop(0) if waiting else None


class Replay:
    """One scenario on its way. Use `run`."""

    def __init__(self, scenario: Scenario, server: Server, bindings: Bindings, differences: dict[int, Difference]):
        self.scenario = scenario
        self.server = server
        self.bindings = bindings
        self.differences = differences
        self.lines: dict[int, Line] = {}
        self.others: Others | None = None

    def run(self) -> None:
        """Raises `Mismatch` at the first thing that is not as recorded. Leaves no session behind."""
        self.bindings.begin_scenario()
        self.others = Others(self.scenario.name, self.server, self.bindings)
        try:
            self._frames()
        finally:
            self._clean_up()

    def _frames(self) -> None:
        frames = self.scenario.frames
        at = 0
        while at < len(frames):
            frame = frames[at]
            self.others.before(frame.number)
            count = self._group(frames, at)
            group = frames[at : at + count]
            if frame.conn in self.lines and self.lines[frame.conn].gone:
                pass
            elif frame.is_close:
                self._close(frame)
            elif frame.from_client:
                self._send(group)
            elif count > 1:
                self._receive_in_any_order(group)
            else:
                self._receive(frame)
            at += count

    def _group(self, frames: list[Frame], at: int) -> int:
        """How many frames belong together: requests written at once, or answers whose order is free."""
        first = frames[at]
        if first.from_client:
            same = lambda f: f.from_client and not f.is_close and f.conn == first.conn and not first.is_close  # noqa: E731
        else:
            free = next((r for r in UNORDERED.get(self.scenario.name, ()) if first.number in r), range(0))
            same = lambda f: f.number in free  # noqa: E731
        end = at + 1
        while end < len(frames) and same(frames[end]):
            end += 1
        return end - at

    # Client to server.

    def _send(self, group: list[Frame]) -> None:
        line = self.lines.get(group[0].conn)
        if line is None:
            line = Line(jute.Connection.open(self.server.host, self.server.port))
            self.lines[group[0].conn] = line
        data = b"".join(self._outgoing(frame) for frame in group)
        for frame in group:
            self._note_request(line, frame)
        try:
            line.connection.send(data)
        except ConnectionError:
            self._fail(group[0], "send", "a connection that takes it", "a closed connection")

    def _outgoing(self, frame: Frame) -> bytes:
        data = bytearray(frame.data)
        for volatile in frame.volatile:
            end = volatile.offset + volatile.length
            data[volatile.offset : end] = self.bindings.to_server(volatile.field, frame.data[volatile.offset : end])
        return bytes(data)

    def _note_request(self, line: Line, frame: Frame) -> None:
        if frame.note.startswith("ConnectRequest") or len(frame.data) < 12:
            return
        xid, op = struct.unpack_from(">ii", frame.data, 4)
        line.ops.setdefault(jute.XID_PING if op == jute.PING else xid, []).append(op)
        if op == jute.CLOSE_SESSION:
            line.session_closing = True

    # Server to client.

    def _receive(self, frame: Frame) -> None:
        line = self._line(frame)
        if frame.is_raw:
            self._receive_raw(line, frame)
            return
        data = self._next(line, frame)
        difference = self.differences.get(frame.number)
        if difference is not None and difference.takes_no_zxid:
            self.bindings.skip_recorded_zxid()
        if difference is not None and difference.err is not None:
            self._compare_difference(line, frame, difference, data)
        else:
            self._compare(line, frame, data)

    def _receive_in_any_order(self, group: list[Frame]) -> None:
        """Each frame that comes has to be one of the group, and each of the group has to come once."""
        line = self._line(group[0])
        waiting = list(group)
        while waiting:
            data = self._next(line, waiting[0])
            matching = [frame for frame in waiting if _shape(frame.data, frame) == _shape(data, frame)]
            frame = matching[0] if matching else waiting[0]
            self._compare(line, frame, data)
            waiting.remove(frame)

    def _next(self, line: Line, frame: Frame) -> bytes:
        try:
            return jute.frame(line.connection.receive(FRAME_SECONDS))
        except jute.Closed:
            self._fail(frame, "frame", _hex(frame.data), "a closed connection")
        except TimeoutError:
            self._fail(frame, "frame", _hex(frame.data), f"nothing for {FRAME_SECONDS:.0f} s")

    def _compare(self, line: Line, frame: Frame, data: bytes) -> None:
        places, recorded, actual = self._aligned(line, frame, data)
        if recorded[:4] != actual[:4]:
            self._fail(frame, "length", _hex(recorded), _hex(actual))
        expected = bytearray(recorded)
        for volatile in frame.volatile:
            at = slice(volatile.offset, volatile.offset + volatile.length)
            expected[at] = actual[at]
        for offset, (want, got) in enumerate(zip(expected, actual)):
            if want != got:
                what = f"{places.name_at(offset)} (offset {offset})"
                self._fail(frame, what, _hex(expected, offset), _hex(actual, offset))
        self._bind(line, frame, recorded, actual)

    def _aligned(self, line: Line, frame: Frame, data: bytes) -> tuple[layout.Layout, bytes, bytes]:
        """Both frames with lists of free order sorted. Also notes what the first frame of a connection tells."""
        # Also the answer to a createSession request is a ConnectResponse, and looks like nothing else.
        is_handshake = not line.handshake_answered or any(v.field == "passwd" for v in frame.volatile)
        if is_handshake:
            if not line.handshake_answered and len(data) >= 40:
                line.session = struct.unpack_from(">q", data, 12)[0]
                line.passwd = data[24:40]
            line.handshake_answered = True
            return layout.of_connect_response(), frame.data, data
        op = line.asked(struct.unpack_from(">i", frame.data, 4)[0])
        places = layout.of_reply(frame.data, op)
        free = (self.scenario.name, frame.number) in ACL_ORDER_IS_FREE
        recorded = layout.canonical(frame.data, places, free)
        return places, recorded, layout.canonical(data, layout.of_reply(data, op), free)

    def _bind(self, line: Line, frame: Frame, recorded: bytes, actual: bytes) -> None:
        for volatile in frame.volatile:
            at = slice(volatile.offset, volatile.offset + volatile.length)
            try:
                self.bindings.from_server(volatile.field, recorded[at], actual[at], recorded, volatile.offset)
            except Contradiction as wrong:
                what = f"{volatile.field} (offset {volatile.offset}, volatile)"
                self._fail(frame, what, wrong.expected, wrong.actual)

    def _compare_difference(self, line: Line, frame: Frame, difference: Difference, data: bytes) -> None:
        recorded_xid = next(iter(line.ops)) if len(line.ops) == 1 else struct.unpack_from(">i", frame.data, 4)[0]
        line.asked(recorded_xid)
        reply = jute.Reply.parse(data[4:])
        got = (reply.xid, reply.err, reply.body)
        if got != (recorded_xid, difference.err, b""):
            what = f"an answer with xid {recorded_xid}, err {difference.err} and no body (a declared difference)"
            self._fail(frame, "reply", what, _hex(data))
        if difference.zxid is not None and reply.zxid != difference.zxid:
            self._fail(frame, "zxid (a declared difference)", str(difference.zxid), str(reply.zxid))
        if difference.then_close:
            self._expect_end(line, frame)
            line.gone = True

    def _receive_raw(self, line: Line, frame: Frame) -> None:
        try:
            answer = line.connection.drain(CLOSE_SECONDS)
        except TimeoutError:
            self._fail(frame, "close", "an answer and then a close", "an open connection")
        if _four_letter(answer) != _four_letter(frame.data):
            self._fail(frame, "answer", repr(_four_letter(frame.data)), repr(_four_letter(answer)))
        line.gone = True

    def _close(self, frame: Frame) -> None:
        """A close by the server has to come. After closeSession it comes from the server too, whoever was first."""
        line = self._line(frame)
        if not frame.from_client or line.session_closing:
            self._expect_end(line, frame)
        line.connection.close()
        line.gone = True

    def _expect_end(self, line: Line, frame: Frame) -> None:
        try:
            surplus = line.connection.drain(CLOSE_SECONDS)
        except TimeoutError:
            self._fail(frame, "close", "a close by the server", f"an open connection after {CLOSE_SECONDS:.0f} s")
        may_say_expired = self.server.kind == "apache" and (self.scenario.name, frame.number) in APACHE_MAY_SAY_EXPIRED
        if surplus and not (may_say_expired and _only_expired(surplus)):
            self._fail(frame, "close", "a close without further bytes", _hex(surplus))

    def _line(self, frame: Frame) -> Line:
        if frame.conn not in self.lines:
            self.lines[frame.conn] = Line(jute.Connection.open(self.server.host, self.server.port))
        return self.lines[frame.conn]

    def _fail(self, frame: Frame, what: str, expected: str, actual: str):
        raise Mismatch(self.scenario.name, frame.number, what, expected, actual, frame.note[:SHOWN_BYTES]) from None

    def _clean_up(self) -> None:
        """Ends the sessions that the scenario left open, so that none expires in the middle of a later one."""
        for line in self.lines.values():
            line.connection.close()
        try:
            self.others.leave()
        except (jute.Closed, TimeoutError, OSError):
            self.others.abandon()
        if self.scenario.family == "enforced-auth":
            return
        for line in self.lines.values():
            if line.session and not line.session_closing:
                self._end_session(jute.Session(line.session, line.passwd, 0))

    def _end_session(self, session: jute.Session) -> None:
        try:
            with jute.Client(self.server, session=session) as client:
                if client.session.session_id:
                    client.close()
        except (jute.Closed, TimeoutError, OSError, AssertionError):
            # The server is broken or gone: the failure that matters has its own report.
            return


def throttled(replay: Replay) -> None:
    """The one scenario in which which request fails is chance: the shape of the answers is compared.

    Every request is answered in order; each answer is the ordinary one or THROTTLEDOP without a body; requests that
    were throttled took no zxid; some were throttled.
    """
    scenario = replay.scenario
    requests = [f for f in scenario.frames if f.from_client and not f.is_close]
    connection = jute.Connection.open(replay.server.host, replay.server.port)
    try:
        connection.send(requests[0].data)
        connection.receive()
        connection.send(b"".join(f.data for f in requests[1:-1]))
        zxid = None
        refused = 0
        for request in requests[1:-1]:
            xid, op = struct.unpack_from(">ii", request.data, 4)
            reply = jute.Reply.parse(connection.receive())
            if reply.xid != xid or reply.err not in (jute.OK, jute.THROTTLED_OP):
                replay._fail(request, "reply", f"xid {xid} with err 0 or -127", f"xid {reply.xid} err {reply.err}")
            refused += reply.err == jute.THROTTLED_OP
            took_zxid = op == jute.CREATE and reply.err == jute.OK
            if reply.err == jute.THROTTLED_OP and reply.body:
                replay._fail(request, "body", "none", _hex(reply.body))
            if zxid is not None and reply.zxid != zxid + took_zxid:
                replay._fail(request, "zxid", str(zxid + took_zxid), str(reply.zxid))
            zxid = reply.zxid
        if refused == 0:
            replay._fail(requests[0], "throttling", "some THROTTLEDOP", "none")
    finally:
        connection.close()


def _only_expired(data: bytes) -> bool:
    """Whether these are whole frames that say SESSIONEXPIRED and nothing else."""
    size = layout.HEADER_BYTES
    replies = [data[at : at + size] for at in range(0, len(data), size)]
    return all(len(r) == size and jute.Reply.parse(r[4:]).err == jute.SESSION_EXPIRED for r in replies)


def _shape(data: bytes, frame: Frame) -> bytes:
    """The bytes that are not volatile."""
    out = bytearray(data)
    for volatile in frame.volatile:
        out[volatile.offset : volatile.offset + volatile.length] = bytes(volatile.length)
    return bytes(out)


def _four_letter(answer: bytes) -> list[str]:
    """The lines of an answer, with the values that depend on the run blanked."""
    text = answer.decode(errors="replace")
    text = re.sub(r"(?m)^(Zookeeper version:) \S.*, built on .*$", r"\1 *", text)
    text = re.sub(r"(?m)^(Latency min/avg/max:) \d+/\d+(\.\d+)?/\d+$", r"\1 *", text)
    text = re.sub(r"(?m)^(Received|Sent|Connections): \d+$", r"\1: *", text)
    return re.sub(r"(?m)^(Zxid:) 0x[0-9a-f]+$", r"\1 *", text).splitlines()


def _hex(data: bytes, around: int = 0) -> str:
    """Hex, shortened around an offset when it is long."""
    data = bytes(data)
    if len(data) <= SHOWN_BYTES:
        return data.hex()
    start = max(0, around - SHOWN_BYTES // 2)
    window = data[start : start + SHOWN_BYTES].hex()
    return f"{'..' if start else ''}{window}.. ({len(data)} bytes, shown from {start})"


def timed(replay: Replay) -> float:
    """Runs it and returns the seconds it took."""
    began = time.monotonic()
    (throttled if replay.scenario.family == "throttled-op" else Replay.run)(replay)
    return time.monotonic() - began
