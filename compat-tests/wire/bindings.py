"""What this run's server gave where the recorded one gave something else: session ids, passwords, zxids, times.

A volatile value is free only the first time. From then on the recorded value and this server's belong together,
and zxids and times have to keep the relations that they had in the recording.
"""

from __future__ import annotations

import struct
import time

CLOCK_SLACK_MS = 600_000
PASSWORD_MASK = 0xB3415C00
SERVER_ID = 1

# In a Stat, ctime lies 16 bytes behind czxid, and mtime 16 bytes behind mzxid.
TIME_TO_ZXID_BYTES = 16


class Contradiction(Exception):
    """A value that cannot be: (expected, actual), both as text."""

    def __init__(self, expected: str, actual: str):
        super().__init__(f"expected {expected}, got {actual}")
        self.expected = expected
        self.actual = actual


class Bindings:
    """Recorded value -> this server's value, over all scenarios that share one server."""

    def __init__(self):
        self.sessions: dict[int, int] = {}
        self.passwords: dict[bytes, bytes] = {}
        self.times: dict[int, int] = {}
        self.other_sessions: set[int] = set()
        self.session_named_last = 0
        # (recorded zxid, actual zxid): from the first on, until the next entry, both count alike.
        self.segments: list[tuple[int, int]] = []
        self.scenario_has_segment = False
        # How many txns of the server's own may still come in this scenario, at a moment nobody can tell.
        self.own_txns_left = 0
        self.zxid_recorded_max = 0
        self.zxid_actual_max = 0

    def begin_scenario(self) -> None:
        """Between scenarios other sessions may end, so that the distance of the two zxids may change."""
        self.scenario_has_segment = False
        self.own_txns_left = 0
        self.other_sessions = set()

    def skip_recorded_zxid(self) -> None:
        """The recorded server took a zxid of its own here, and this one did so earlier, or did not."""
        skipped = self.zxid_recorded_max + 1
        actual = self.zxid(self.zxid_recorded_max)
        self.segments += [(skipped, actual), (skipped + 1, actual + 1)]

    def to_server(self, field: str, recorded: bytes) -> bytes:
        """What to send where the recording had `recorded`. Values never received are literal."""
        if field == "sessionId":
            return _long(self.sessions.get(_signed(recorded), _signed(recorded)))
        if field == "passwd":
            return self.passwords.get(recorded, recorded)
        zxid = _signed(recorded)
        return _long(self.zxid(zxid)) if 0 < zxid <= self.zxid_recorded_max else recorded

    def from_server(self, field: str, recorded: bytes, actual: bytes, frame: bytes, offset: int) -> None:
        """Accepts the server's value, or raises `Contradiction`. `frame` is the recorded one."""
        if field == "sessionId":
            self._session(_signed(recorded), _signed(actual))
        elif field == "passwd":
            self._password(recorded, actual)
        elif field == "ephemeralOwner":
            self._owner(_signed(recorded), _signed(actual))
        elif field in ("ctime", "mtime"):
            at = offset - TIME_TO_ZXID_BYTES
            self._time(_signed(frame[at : at + 8]), _signed(actual))
        elif field in ("zxid", "czxid", "mzxid", "pzxid"):
            self._zxid(_signed(recorded), _signed(actual), may_begin=field == "zxid")
        else:
            raise AssertionError(f"the recording has a volatile field {field!r} that nobody knows")

    def zxid(self, recorded: int) -> int:
        """This server's zxid for a recorded one."""
        before = [segment for segment in self.segments if segment[0] <= recorded]
        recorded_start, actual_start = before[-1] if before else self.segments[0]
        return actual_start + recorded - recorded_start

    def _zxid(self, recorded: int, actual: int, may_begin: bool) -> None:
        if not self.scenario_has_segment and (may_begin or not self.segments):
            if actual <= self.zxid_actual_max:
                raise Contradiction(f"a zxid above {self.zxid_actual_max:x}", f"{actual:016x}")
            self.segments.append((recorded, actual))
            self.scenario_has_segment = True
        expected = self.zxid(recorded)
        if may_begin and 0 < actual - expected <= self.own_txns_left:
            expected = self._own_txns(recorded, actual, actual - expected)
        if actual != expected:
            raise Contradiction(f"{expected:016x}", f"{actual & (1 << 64) - 1:016x}")
        self.zxid_recorded_max = max(self.zxid_recorded_max, recorded)
        self.zxid_actual_max = max(self.zxid_actual_max, actual)

    def _own_txns(self, recorded: int, actual: int, count: int) -> int:
        """The server took zxids of its own; what follows counts from there. Returns the zxid now expected."""
        self.own_txns_left -= count
        was_read = recorded <= self.zxid_recorded_max
        self.segments.append((recorded + was_read, actual + was_read))
        return actual

    def _time(self, recorded_zxid: int, actual: int) -> None:
        now = int(time.time() * 1000)
        if abs(now - actual) > CLOCK_SLACK_MS:
            raise Contradiction(f"a time near {now}", str(actual))
        known = self.times.setdefault(recorded_zxid, actual)
        if known != actual:
            raise Contradiction(f"{known} (as this txn had before)", str(actual))

    def _session(self, recorded: int, actual: int) -> None:
        self.session_named_last = actual
        known = self.sessions.get(recorded)
        if known is None:
            if actual in self.sessions.values() or actual >> 56 != SERVER_ID:
                raise Contradiction("a new session id with the server's id in its high byte", f"{actual:016x}")
            self.sessions[recorded] = actual
        elif known != actual:
            raise Contradiction(f"{known:016x}", f"{actual:016x}")

    def _owner(self, recorded: int, actual: int) -> None:
        if recorded in self.sessions:
            self._session(recorded, actual)
        elif actual in self.other_sessions:
            self.sessions[recorded] = actual
        else:
            raise Contradiction("the session of the client that created it", f"{actual:016x}")

    def _password(self, recorded: bytes, actual: bytes) -> None:
        expected = password_of(self.session_named_last)
        if actual != expected:
            raise Contradiction(expected.hex(), actual.hex())
        self.passwords[recorded] = actual


def password_of(session_id: int) -> bytes:
    """Java: SessionTrackerImpl and ZooKeeperServer.generatePasswd, `new Random(id ^ superSecret).nextBytes`."""
    multiplier, mask = 0x5DEECE66D, (1 << 48) - 1
    seed = ((session_id ^ PASSWORD_MASK) ^ multiplier) & mask
    words = []
    for _ in range(4):
        seed = (seed * multiplier + 0xB) & mask
        words.append(seed >> 16)
    return struct.pack("<4I", *words)


def _signed(data: bytes) -> int:
    return struct.unpack(">q", data)[0]


def _long(value: int) -> bytes:
    return struct.pack(">q", value)
