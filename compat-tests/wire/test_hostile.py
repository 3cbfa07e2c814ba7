"""Clients that send garbage, stop half-way, claim huge lengths or never read: they harm nobody but themselves.

During each attack a well-behaved client works on, and has to get every answer in order, none of them late. Zorilla's
memory has to stay under a stated bound as well (Apache's is what its heap was given).
"""

from __future__ import annotations

import contextlib
import random
import resource
import socket
import struct
import threading
import time

import pytest

from harness import jute, servers
from harness.bystander import Bystander

# The most resident memory that Zorilla may ever have had, whatever clients did to it. Bytes that a hostile client
# could make it hold, were nothing bounded, are at least twice this in each test that names the bound.
RSS_BOUND_MIB = 512
SLOWEST_BATCH_SECONDS = 5.0
MEBIBYTE = 1 << 20
BIG_NODE_BYTES = MEBIBYTE - 1024
SILENCE_SECONDS = 45.0
HANDSHAKE = jute.frame(jute.connect_body(30000))
SHORT_SESSION = jute.frame(jute.connect_body(4000))


@pytest.fixture(autouse=True, scope="module")
def enough_descriptors():
    """A thousand sockets on this side too."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))


# What Apache keeps on its heap, however much it is: room for frames that were only announced, events that are not
# read, and the last 500 writes.
APACHE_UNBOUNDED = {
    "test_largest_length_and_no_body",
    "test_a_hundred_watches_and_never_read",
    "test_big_writes_and_never_read",
}


@pytest.fixture
def server(request):
    if request.config.getoption("--server") == "apache" and request.node.name in APACHE_UNBOUNDED:
        pytest.skip("Apache keeps all of this on its heap and runs out of memory")
    # All clients come from one address, and more than the 60 that are allowed by default.
    with servers.start(request.config.getoption("--server"), {"maxClientCnxns": 0}) as running:
        yield running
        assert running.alive(), f"the server ended:\n{running.log_tail()}"
        if running.kind == "zorilla":
            peak = servers.rss_mib(running.pid, "VmHWM")
            assert peak < RSS_BOUND_MIB, f"the server's memory reached {peak} MiB"


@pytest.fixture
def bystander(server):
    with Bystander(server) as working:
        yield working
        # It has to get on after the attack as well.
        batches = working.batches
        wait_until(lambda: working.failure or working.batches > batches, "the well-behaved client to go on")
    assert working.slowest_seconds < SLOWEST_BATCH_SECONDS, f"a batch took {working.slowest_seconds:.1f} s"


def wait_until(condition, what: str, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.01)


@contextlib.contextmanager
def connections(server, count: int):
    """`count` sockets without a session, closed at the end."""
    with contextlib.ExitStack() as stack:
        opened = [jute.Connection.open(server.host, server.port) for _ in range(count)]
        for connection in opened:
            stack.callback(connection.close)
        yield opened


def send_quietly(connection: jute.Connection, data: bytes) -> None:
    """Sends to a server that may close at any byte."""
    with contextlib.suppress(ConnectionError, TimeoutError):
        connection.send(data)


def assert_ends(connection: jute.Connection, seconds: float = jute.IO_SECONDS) -> bytes:
    """The server closes it; returns what it said before that."""
    try:
        return connection.drain(seconds)
    except TimeoutError:
        pytest.fail(f"the server kept a connection open for {seconds:.0f} s that it should have closed")


def test_garbage(server, bystander):
    """Random bytes, on fresh connections and behind a handshake. Seeded, so that a failure comes again."""
    randomness = random.Random(1)
    with connections(server, 200) as attackers:
        for number, attacker in enumerate(attackers):
            garbage = randomness.randbytes(randomness.randrange(1, 5000))
            send_quietly(attacker, (HANDSHAKE if number % 2 else b"") + garbage)


def test_garbage_bodies_behind_good_headers(server, bystander):
    """Every opcode with a random body: each is answered or ends the connection, and nothing else happens."""
    randomness = random.Random(2)
    for op in [*range(-12, 25), *range(98, 110), 1 << 31 - 1]:
        with connections(server, 1) as (attacker,):
            attacker.send(HANDSHAKE)
            attacker.receive()
            for xid in range(1, 20):
                send_quietly(attacker, jute.request(xid, op, randomness.randbytes(randomness.randrange(0, 60))))
            send_quietly(attacker, jute.request(20, jute.CLOSE_SESSION))
            assert_ends(attacker)


@pytest.mark.parametrize("length", [-1, -(1 << 31), MEBIBYTE, (1 << 31) - 1], ids=str)
@pytest.mark.parametrize("handshake", [False, True], ids=["first", "after-handshake"])
def test_impossible_lengths(server, bystander, length, handshake):
    """A length below zero or above jute.maxbuffer ends the connection at once, before any byte of it is awaited."""
    with connections(server, 50) as attackers:
        for attacker in attackers:
            if handshake:
                attacker.send(HANDSHAKE)
                attacker.receive()
            send_quietly(attacker, struct.pack(">i", length) + b"x" * 1000)
        for attacker in attackers:
            assert assert_ends(attacker) == b""


def test_largest_length_and_no_body(server, bystander):
    """600 announcements of the largest frame there may be, and then nothing: a claim must not cost memory."""
    with connections(server, 600) as attackers:
        for attacker in attackers:
            attacker.send(HANDSHAKE)
            attacker.receive()
            attacker.send(struct.pack(">i", MEBIBYTE - 1) + b"x" * 10)
        time.sleep(1.0)


def test_half_frames_then_silence(server, bystander):
    """The session behind half a frame expires like any silent one, and the connection goes with it."""
    with connections(server, 100) as attackers:
        for number, attacker in enumerate(attackers):
            attacker.send(SHORT_SESSION)
            attacker.receive()
            request = jute.request(1, jute.EXISTS, jute.read_body("/zookeeper"))
            attacker.send(request[: 1 + number % (len(request) - 1)])
        for attacker in attackers:
            assert assert_ends(attacker, SILENCE_SECONDS) == b""


def test_half_handshakes(server, bystander):
    """Whoever never finishes the handshake is closed in the end."""
    with connections(server, 2 * len(HANDSHAKE)) as attackers:
        for number, attacker in enumerate(attackers):
            attacker.send(HANDSHAKE[: number % len(HANDSHAKE)])
        for attacker in attackers:
            assert assert_ends(attacker, SILENCE_SECONDS) == b""


def test_a_thousand_idle_sockets(server, bystander):
    with connections(server, 1000):
        with jute.Client(server) as newcomer:
            assert newcomer.session.session_id != 0
            newcomer.create("/newcomer")
            newcomer.close()


def test_slow_writers(server, bystander):
    """Byte by byte, and each gets the right answer in the end."""
    ping = jute.request(jute.XID_PING, jute.PING)
    exists = jute.request(1, jute.EXISTS, jute.read_body("/bystander"))
    with connections(server, 50) as attackers:
        for byte in HANDSHAKE + ping + exists:
            for attacker in attackers:
                attacker.send(bytes([byte]))
            time.sleep(0.02)
        for attacker in attackers:
            assert struct.unpack_from(">i", attacker.receive(), 4)[0] == 30000
            assert jute.Reply.parse(attacker.receive()).xid == jute.XID_PING
            reply = jute.Reply.parse(attacker.receive())
            assert (reply.xid, reply.err) == (1, jute.OK)


def send_until_stuck(sock: socket.socket, data: bytes, seconds: float) -> int:
    """Sends until all is sent, the server stops reading, or it closes. Returns the bytes that went."""
    sock.settimeout(seconds)
    sent = 0
    with contextlib.suppress(OSError):
        while sent < len(data):
            sent += sock.send(data[sent : sent + 65536])
    return sent


def test_getdata_of_a_big_node_and_never_read(server, bystander):
    """2000 pipelined getData of a 1 MiB node, answers never read: 2 GiB, were they kept."""
    with jute.Client(server) as owner:
        owner.create("/big", b"x" * BIG_NODE_BYTES)
        attacker = jute.Client(server, receive_buffer_bytes=4096)
        requests = b"".join(jute.request(xid, jute.GET_DATA, jute.read_body("/big")) for xid in range(1, 2001))
        send_until_stuck(attacker.connection.sock, requests, 2.0)
        time.sleep(3.0)
        attacker.abandon()
        data, _ = owner.get_data("/big")
        assert len(data) == BIG_NODE_BYTES


def test_big_answers_are_all_there_for_a_slow_reader(server, bystander):
    """Who reads slowly, but reads, loses nothing: 100 answers of 1 MiB, in order."""
    with jute.Client(server, receive_buffer_bytes=65536) as owner:
        owner.create("/big", b"x" * BIG_NODE_BYTES)
        first = owner.xid + 1
        requests = [jute.request(owner.next_xid(), jute.GET_DATA, jute.read_body("/big")) for _ in range(100)]
        owner.connection.send(b"".join(requests))
        for number in range(100):
            reply = owner.receive()
            assert (reply.xid, reply.err) == (first + number, jute.OK)
            assert len(reply.reader().buffer()) == BIG_NODE_BYTES
            time.sleep(0.02)


def test_a_hundred_watches_and_never_read(server, bystander):
    """Events for a client that never reads are bounded, or the client is dropped: 1 GiB of them, were they kept.

    Each path is 9000 bytes, so that its event is, too.
    """
    paths = [f"/{number:03}" + "w" * 9000 for number in range(100)]
    writes = 1200
    with jute.Client(server) as writer:
        for path in paths:
            writer.create(path)
        attackers = [jute.Client(server, receive_buffer_bytes=4096) for _ in range(100)]
        for attacker in attackers:
            for path in paths:
                attacker.send(jute.ADD_WATCH, jute.add_watch_body(path, jute.ADD_WATCH_PERSISTENT))
            for _ in paths:
                assert attacker.reply().err == jute.OK
        requests = b"".join(
            jute.request(writer.next_xid(), jute.SET_DATA, jute.set_data_body(paths[number % 100], b""))
            for number in range(writes)
        )
        sender = threading.Thread(target=send_quietly, args=(writer.connection, requests), daemon=True)
        sender.start()
        first = writer.xid - writes + 1
        for number in range(writes):
            reply = writer.receive()
            assert (reply.xid, reply.err) == (first + number, jute.OK)
        sender.join(jute.IO_SECONDS)
        for attacker in attackers:
            attacker.abandon()


def test_big_writes_and_never_read(server, bystander):
    """300 writes of 1 MiB in one go from a client that does not read its answers."""
    with jute.Client(server) as owner:
        owner.create("/fat")
        attacker = jute.Client(server)
        body = jute.set_data_body("/fat", b"y" * BIG_NODE_BYTES)
        for _ in range(300):
            if send_until_stuck(attacker.connection.sock, jute.request(1, jute.SET_DATA, body), 10.0) < len(body):
                break
        attacker.abandon()
        owner.delete("/fat")


def test_sessions_opened_and_dropped(server, bystander):
    """3000 sessions, each abandoned at once with a watch and a request under way."""
    for _ in range(3000):
        with connections(server, 1) as (attacker,):
            attacker.send(SHORT_SESSION + jute.request(1, jute.EXISTS, jute.read_body("/bystander", watch=True)))
