"""What the recordings do not hold: the clients that acted beside the recorded one, waiting, and free orders.

The other clients' writes are known from the recording's zxids (each write takes one) and from the events that the
recorded client saw.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from harness import jute
from wire.bindings import Bindings

SECRET = ((jute.ALL, "digest", "other:C9oU18wYV9MKI6QqDxMNatrbkNI="),)
SECRET_AUTH = b"other:pw"

# Frames whose order is chance: events of the ephemerals of one closed session, and the reply to an auth packet.
UNORDERED = {
    "ephemerals-on-close-seen-by-watcher": [range(15, 19)],
    "session-expiry": [range(17, 19)],
    "auth-reply-may-overtake-pipelined-writes": [range(5, 8)],
}

# Replies with an ACL in which `auth` was replaced by two identities of the connection, in no particular order.
ACL_ORDER_IS_FREE = {("create-acl-validation", 89)}

# Scenarios in which the server may take zxids for something not recorded, and how many: a node with a TTL of 1 ms
# is reaped; a write behind a closeSession may be logged as an error.
OWN_TXNS = {"createTTL-values": 1, "closeSession-with-pipelined-requests-after": 1}

# Closes before which Apache sometimes still answers what was pipelined behind closeSession, with SESSIONEXPIRED.
# Zorilla never does.
APACHE_MAY_SAY_EXPIRED = {("closeSession-with-pipelined-requests-after", 6)}


class Others:
    """The client that the recording does not show, driven frame by frame."""

    def __init__(self, scenario: str, server, bindings: Bindings):
        self.server = server
        self.bindings = bindings
        self.steps: dict[int, Callable[[Others], None]] = STEPS.get(scenario, {})
        self.client: jute.Client | None = None
        bindings.own_txns_left = OWN_TXNS.get(scenario, 0)

    def before(self, frame_number: int) -> None:
        """Does what happened just before this frame was recorded."""
        step = self.steps.get(frame_number)
        if step is not None:
            step(self)

    def connect(self) -> None:
        self.client = jute.Client(self.server)
        self.bindings.other_sessions.add(self.client.session.session_id)

    def leave(self) -> None:
        """Closes the session; its ephemerals go."""
        if self.client is not None:
            self.client.close()
            self.client = None

    def abandon(self) -> None:
        if self.client is not None:
            self.client.abandon()


def _while_disconnected(others: Others) -> None:
    client = others.client
    client.set_data("/sw-dd", b"1")
    client.delete("/sw-dx")
    client.create("/sw-ee")
    client.create("/sw-cc/x")
    client.delete("/sw-cx")
    client.set_data("/sw-p", b"1")


def _after_reconnect(others: Others) -> None:
    client = others.client
    client.set_data("/sw-d", b"1")
    client.create("/sw-e")
    client.create("/sw-c/x")
    client.set_data("/sw-p", b"2")
    client.create("/sw-r/z")


def _three_ephemerals(others: Others) -> None:
    others.connect()
    for name in ("e1", "e2", "e3"):
        others.client.create(f"/ec/{name}", flags=jute.EPHEMERAL)


def _connect_as_owner_of_secret(others: Others) -> None:
    others.connect()
    others.client.auth("digest", SECRET_AUTH)


def _open_secret_and_write(others: Others) -> None:
    others.client.set_acl("/secret", jute.OPEN)
    others.client.set_data("/secret", b"1")


def _close_secret_and_make_a_kid(others: Others) -> None:
    others.client.set_acl("/secret", SECRET)
    others.client.create("/secret/kid")
    others.client.delete("/secret/kid")


def _one_ephemeral(others: Others) -> None:
    others.connect()
    others.client.create("/pc/e", flags=jute.EPHEMERAL)


def _wait(seconds: float) -> Callable[[Others], None]:
    return lambda _others: time.sleep(seconds)


LEAVE = Others.leave

STEPS: dict[str, dict[int, Callable[[Others], None]]] = {
    "setWatches-after-reconnect": {2: Others.connect, 44: _while_disconnected, 54: _after_reconnect, 61: LEAVE},
    "ephemerals-on-close-seen-by-watcher": {4: _three_ephemerals, 15: LEAVE},
    "watch-acl-filter": {
        2: _connect_as_owner_of_secret,
        8: lambda others: others.client.create("/secret", acl=SECRET),
        11: _open_secret_and_write,
        14: _close_secret_and_make_a_kid,
        18: lambda others: others.client.delete("/secret"),
        21: LEAVE,
    },
    "ephemeral-and-sequential-cversion-pzxid-on-session-close": {4: _one_ephemeral, 6: LEAVE},
    # Here the recorded server reaped a node of the scenario before; the wait makes ours do it within that scenario.
    "createTTL-values": {20: _wait(2.2)},
    "create-acl-validation": {28: lambda others: others.bindings.skip_recorded_zxid()},
    # Nodes are reaped once a second; a TTL of 1500 ms counts from the last setData.
    "container-and-ttl-reaping (check interval 1s)": {28: _wait(2.5), 32: _wait(1.0), 34: _wait(0.8), 36: _wait(3.0)},
}
