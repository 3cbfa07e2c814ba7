"""Order: replies in the order of their requests, reads behind own writes, events before the data they announce."""

from __future__ import annotations

import random
import struct
import threading

import pytest

from harness import jute, servers

REQUESTS = 10_000
HAMMERED_WRITES = 20_000
WRITES_IN_FLIGHT = 50


@pytest.fixture
def server(request):
    with servers.start(request.config.getoption("--server")) as running:
        yield running


class Model:
    """What a handful of nodes must look like after each request, for one client that is alone with them."""

    def __init__(self, client: jute.Client, seed: int):
        self.client = client
        self.randomness = random.Random(seed)
        self.nodes: dict[str, tuple[bytes, int]] = {}

    def next(self) -> tuple[bytes, int, int, object]:
        """A request, its xid, the error it must be answered with, and what its body must hold."""
        path = f"/model/{self.randomness.randrange(8)}"
        op = self.randomness.choice(
            [jute.CREATE, jute.SET_DATA, jute.SET_DATA, jute.DELETE, jute.GET_DATA, jute.EXISTS, jute.GET_CHILDREN,
             jute.SYNC, jute.PING]
        )  # fmt: skip
        xid = jute.XID_PING if op == jute.PING else self.client.next_xid()
        body, err, expected = self._step(op, path, b"%d" % xid)
        return jute.request(xid, op, body), xid, err, expected

    def _step(self, op: int, path: str, data: bytes):
        known = self.nodes.get(path)
        missing = jute.OK if known else jute.NO_NODE
        if op == jute.CREATE:
            self.nodes.setdefault(path, (data, 0))
            return jute.create_body(path, data), jute.NODE_EXISTS if known else jute.OK, (op, path)
        if op == jute.SET_DATA:
            if known:
                self.nodes[path] = (data, known[1] + 1)
            return jute.set_data_body(path, data), missing, (op, self.nodes.get(path))
        if op == jute.DELETE:
            self.nodes.pop(path, None)
            return jute.delete_body(path), missing, (op, None)
        if op == jute.GET_CHILDREN:
            return jute.read_body("/model"), jute.OK, (op, sorted(name[len("/model/") :] for name in self.nodes))
        if op in (jute.GET_DATA, jute.EXISTS):
            return jute.read_body(path), missing, (op, known)
        if op == jute.SYNC:
            return jute.put_string(path), jute.OK, (op, path)
        return b"", jute.OK, (op, None)


def check_body(reply: jute.Reply, expected) -> None:
    op, value = expected
    reader = reply.reader()
    if op in (jute.CREATE, jute.SYNC):
        assert reader.string() == value
    elif op in (jute.SET_DATA, jute.EXISTS):
        assert reader.stat().version == value[1]
    elif op == jute.GET_DATA:
        assert (reader.buffer(), reader.stat().version) == value
    elif op == jute.GET_CHILDREN:
        assert sorted(reader.strings()) == value


@pytest.mark.parametrize("seed", range(3))
def test_ten_thousand_requests_in_one_go(server, seed):
    """Mixed reads and writes, all sent before any is answered: exact order, and every read sees the writes before it."""
    with jute.Client(server) as client:
        client.create("/model")
        model = Model(client, seed)
        requests, *rest = zip(*(model.next() for _ in range(REQUESTS)))
        sender = threading.Thread(target=client.connection.send, args=(b"".join(requests),), daemon=True)
        sender.start()
        zxid = 0
        for number, (xid, err, expected) in enumerate(zip(*rest)):
            reply = client.receive()
            assert (reply.xid, reply.err) == (xid, err), f"answer {number}, expected {expected}"
            assert reply.zxid >= zxid, f"answer {number}: the zxid went back"
            zxid = reply.zxid
            if err == jute.OK:
                check_body(reply, expected)
        sender.join(jute.IO_SECONDS)


class Hammer:
    """Sets `/hammered` as fast as it is answered, in a thread of its own."""

    def __init__(self, server):
        self.client = jute.Client(server)
        self.client.create("/hammered", struct.pack(">q", 0))
        self.failure: BaseException | None = None
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        try:
            for start in range(0, HAMMERED_WRITES, WRITES_IN_FLIGHT):
                for number in range(start, start + WRITES_IN_FLIGHT):
                    self.client.send(jute.SET_DATA, jute.set_data_body("/hammered", struct.pack(">q", number + 1)))
                for _ in range(WRITES_IN_FLIGHT):
                    assert self.client.reply().err == jute.OK
        except BaseException as failure:  # noqa: BLE001 - the test's own thread has to see it
            self.failure = failure
        finally:
            self.done.set()

    def __enter__(self) -> "Hammer":
        self.thread.start()
        return self

    def __exit__(self, kind, *_) -> None:
        self.thread.join(3 * jute.IO_SECONDS)
        self.client.abandon()
        if kind is None and self.failure is not None:
            raise AssertionError("the writer failed") from self.failure


def read_once(client: jute.Client, watch: bool) -> tuple[jute.Stat, list[jute.Reply]]:
    """One getData with a ping behind it, so that answers and events interleave.

    Returns the Stat and every event that came before the answer, those behind the answer of the read before included.
    """
    requests = jute.request(client.next_xid(), jute.GET_DATA, jute.read_body("/hammered", watch))
    client.connection.send(requests + jute.request(jute.XID_PING, jute.PING))
    reply = client.reply()
    assert (reply.xid, reply.err) == (client.xid, jute.OK)
    before, client.events = client.events, []
    reader = reply.reader()
    reader.buffer()
    stat = reader.stat()
    assert reply.zxid >= stat.mzxid
    assert client.reply().xid == jute.XID_PING
    return stat, before


def test_persistent_watch_event_comes_before_the_data(server):
    """Whoever holds a persistent watch has seen the event of exactly those writes whose data it can read."""
    with Hammer(server) as hammer, jute.Client(server) as reader:
        reader.ok(jute.ADD_WATCH, jute.add_watch_body("/hammered", jute.ADD_WATCH_PERSISTENT))
        seen = 0
        reads = 0
        while not (hammer.done.is_set() and reads > 100):
            stat, events = read_once(reader, watch=False)
            for event in events:
                assert event.event() == (jute.NODE_DATA_CHANGED, "/hammered")
                assert event.zxid > seen, "an event came twice, or out of order"
                seen = event.zxid
            if seen:
                assert stat.mzxid == seen, f"read the write {stat.mzxid:x}, last event {seen:x}"
            reads += 1


def test_one_shot_watch_event_comes_before_newer_data(server):
    """A read that sets a watch, then newer data: the event lies between, always, and exactly once."""
    with Hammer(server) as hammer, jute.Client(server) as reader:
        fired = 0
        watched: jute.Stat | None = None
        while not hammer.done.is_set():
            stat, events = read_once(reader, watch=True)
            if watched is None or stat.mzxid > watched.mzxid:
                wanted = 0 if watched is None else 1
                assert len(events) == wanted, f"{len(events)} events before newer data"
            else:
                assert stat.mzxid == watched.mzxid, "the data went back"
                assert not events, "an event, and then the old data"
            for event in events:
                assert watched.mzxid < event.zxid <= stat.mzxid
                fired += 1
            watched = stat
        assert fired > 10, f"only {fired} events: the reader never met the writer"


def test_events_reach_every_watcher_once_per_write(server):
    """Twenty persistent watchers each get all events of all writes, in the order of their zxids."""
    with jute.Client(server) as writer:
        writer.create("/many")
        watchers = [jute.Client(server) for _ in range(20)]
        for watcher in watchers:
            watcher.ok(jute.ADD_WATCH, jute.add_watch_body("/many", jute.ADD_WATCH_PERSISTENT))
        for number in range(500):
            writer.send(jute.SET_DATA, jute.set_data_body("/many", b"%d" % number))
        zxids = [writer.reply().zxid for _ in range(500)]
        for watcher in watchers:
            assert [watcher.receive().zxid for _ in range(500)] == zxids
            watcher.abandon()


def test_an_event_stands_behind_the_replies_to_earlier_writes(server):
    """Also when the server applies a burst of writes at once: the order on the connection is that of the zxids."""
    with jute.Client(server) as client:
        client.create("/watched")
        client.ok(jute.ADD_WATCH, jute.add_watch_body("/watched", jute.ADD_WATCH_PERSISTENT))
        writes = [
            jute.request(client.next_xid(), jute.DELETE, jute.delete_body("/missing")),
            jute.request(client.next_xid(), jute.SET_DATA, jute.set_data_body("/watched", b"x")),
        ] * 200
        client.connection.send(b"".join(writes))
        frames = [client.receive() for _ in range(600)]
        zxids = [frame.zxid for frame in frames]
        assert zxids == sorted(zxids)
        assert [frame.is_event for frame in frames] == [False, True, False] * 200
        client.close()
