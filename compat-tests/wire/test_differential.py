"""The same random history sent to two servers: the one under test, and a real Apache. Every answer has to agree.

Two connections act on each server, one request at a time, so that nothing is left to chance: even the zxids are the
same. Compared are replies, events and their order; not wall-clock times and session ids. With `--server apache` two
Apache servers are compared, which proves that the histories hold nothing that is chance.
"""

from __future__ import annotations

import pytest

from harness import jute, servers
from wire import layout
from wire.histories import History

STEPS = 500
RECONNECT_EVERY = 90
AUTH = b"bob:pw"
CONFIG = {"maxClientCnxns": 0}
PROPERTIES = {"zookeeper.extendedTypesEnabled": True, "zookeeper.enforceQuota": True}


class Side:
    """One of the two servers, with two clients: the first is bob, the second nobody."""

    def __init__(self, server: servers.Server):
        self.server = server
        self.sessions: list[int] = []
        self.clients = [self._connect(0), self._connect(1)]

    def _connect(self, who: int) -> jute.Client:
        client = jute.Client(self.server)
        self.sessions.append(client.session.session_id)
        if who == 0:
            client.auth("digest", AUTH)
        return client

    def reconnect(self, who: int) -> list:
        """Ends a session, with all its ephemerals, and makes another. Returns what the other client saw of it."""
        self.clients[who].close()
        self.clients[who] = self._connect(who)
        return sorted(event for events in self.events() for event in events)

    def step(self, who: int, op: int, body: bytes) -> tuple:
        """Everything that a request causes: its reply, and the events on both connections."""
        client = self.clients[who]
        try:
            reply = client.request(op, body, jute.XID_PING if op == jute.PING else None)
            answer = self._comparable(reply, op)
        except jute.Closed:
            self.clients[who] = self._connect(who)
            answer = "closed"
        return answer, self.events()

    def events(self) -> list[list[tuple]]:
        """What has arrived on each connection since the last look; a ping brings in what is under way."""
        seen = []
        for client in self.clients:
            client.ping()
            seen.append([(event.zxid, *event.event()) for event in client.events])
            client.events.clear()
        return seen

    def _comparable(self, reply: jute.Reply, op: int) -> tuple:
        data = bytes(20) + reply.body
        data = jute.frame(data[4:16] + reply.err.to_bytes(4, "big", signed=True) + reply.body)
        places = layout.of_reply(data, op)
        out = bytearray(layout.canonical(data, places))
        for name, start, end in places.fields:
            if name in ("ctime", "mtime"):
                out[start:end] = bytes([any(out[start:end])] * 8)
            elif name == "ephemeralOwner":
                owner = int.from_bytes(out[start:end], "big", signed=True)
                out[start:end] = (self.sessions.index(owner) + 1 if owner else 0).to_bytes(8, "big")
        body = bytes(out[layout.HEADER_BYTES :])
        return reply.xid, reply.zxid, reply.err, body.hex()


@pytest.fixture
def sides(request):
    kind = request.config.getoption("--server")
    with servers.start(kind, CONFIG, PROPERTIES) as tested, servers.start("apache", CONFIG, PROPERTIES) as reference:
        yield Side(tested), Side(reference)


@pytest.mark.parametrize("seed", range(6))
def test_same_history_same_answers(sides, seed):
    tested, reference = sides
    history = History(seed)
    zxid = 0
    for number in range(STEPS):
        who = history.random.randrange(2)
        if number % RECONNECT_EVERY == RECONNECT_EVERY - 1:
            assert tested.reconnect(who) == reference.reconnect(who), f"seed {seed}, step {number}: events of a close"
            continue
        op, body = history.next(zxid)
        got, wanted = tested.step(who, op, body), reference.step(who, op, body)
        if got != wanted:
            pytest.fail(describe(seed, number, who, op, body, got, wanted), pytrace=False)
        if wanted[0] != "closed":
            zxid = max(zxid, wanted[0][1])


def describe(seed: int, number: int, who: int, op: int, body: bytes, got: tuple, wanted: tuple) -> str:
    return (
        f"seed {seed}, step {number}, client {who}, opcode {op}, body {body!r}\n"
        f"  answer:    {got[0]}\n  Apache's:  {wanted[0]}\n"
        f"  events:    {got[1]}\n  Apache's:  {wanted[1]}"
    )
