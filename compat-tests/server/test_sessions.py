"""Sessions by the clock: when they expire, what keeps them alive, and how they move."""

from __future__ import annotations

import contextlib
import time

import pytest

from harness import jute, servers

TICK_MS = 200
TIMEOUT_MS = 1000
# Expiry comes in whole ticks, up to one later, and is looked for by polling on a machine with other things to do.
SLACK_SECONDS = 0.6


@pytest.fixture
def server(request, tmp_path):
    kind = request.config.getoption("--server")
    settings = {"tickTime": TICK_MS, "maxClientCnxns": 0}
    properties = {"znode.container.checkIntervalMs": 300, "zookeeper.extendedTypesEnabled": True}
    with servers.start(kind, settings, properties, directory=tmp_path) as running:
        yield running


def gone_after(server, path: str, since: float, limit_seconds: float) -> float:
    """Seconds from `since` until there is no such znode."""
    with jute.Client(server, 4000) as client:
        while client.request(jute.EXISTS, jute.read_body(path)).err == jute.OK:
            assert time.monotonic() - since < limit_seconds, f"{path} is still there after {limit_seconds} s"
            time.sleep(0.02)
    return time.monotonic() - since


def test_expiry_is_on_time(server):
    client = jute.Client(server, TIMEOUT_MS)
    client.create("/mine", b"", jute.EPHEMERAL)
    heard = time.monotonic()
    client.abandon()
    took = gone_after(server, "/mine", heard, 5.0)
    print(f"expired after {took:.2f} s")
    assert TIMEOUT_MS / 1000 - 0.05 <= took <= (TIMEOUT_MS + TICK_MS) / 1000 + SLACK_SECONDS


@pytest.mark.parametrize("how", ["ping", "read", "write"])
def test_whatever_a_client_sends_keeps_its_session(server, how):
    with jute.Client(server, TIMEOUT_MS) as client:
        client.create("/mine", b"", jute.EPHEMERAL)
        until = time.monotonic() + 3 * TIMEOUT_MS / 1000
        while time.monotonic() < until:
            time.sleep(TIMEOUT_MS / 3000)
            if how == "ping":
                client.ping()
            elif how == "read":
                client.get_data("/mine")
            else:
                client.set_data("/mine", b"x")
        assert client.request(jute.EXISTS, jute.read_body("/mine")).err == jute.OK


def test_events_do_not_keep_a_session(server):
    """A client that is gone without a word, while the server goes on sending events to it."""
    dead = jute.Client(server, TIMEOUT_MS)
    with jute.Client(server, 4000) as other:
        other.create("/busy")
        dead.ok(jute.ADD_WATCH, jute.add_watch_body("/busy", jute.ADD_WATCH_PERSISTENT))
        dead.create("/dead", b"", jute.EPHEMERAL)
        heard = time.monotonic()
        while other.request(jute.EXISTS, jute.read_body("/dead")).err == jute.OK:
            other.set_data("/busy", b"x")
            assert time.monotonic() - heard < 5.0, "events kept a dead client's session alive"
            time.sleep(0.02)
    assert time.monotonic() - heard <= (TIMEOUT_MS + TICK_MS) / 1000 + SLACK_SECONDS
    dead.abandon()


def test_a_move_closes_the_old_connection(server):
    first = jute.Client(server, 4000)
    first.create("/mine", b"", jute.EPHEMERAL)
    second = jute.Client(server, 4000, first.session)
    assert second.session.session_id == first.session.session_id
    first.connection.drain(5.0)
    # The old connection's end must not take the session with it.
    second.ping()
    assert second.request(jute.EXISTS, jute.read_body("/mine")).err == jute.OK
    assert second.get_data("/mine")[1].ephemeralOwner == first.session.session_id
    second.close()
    with jute.Client(server) as client:
        assert client.request(jute.EXISTS, jute.read_body("/mine")).err == jute.NO_NODE


def test_a_wrong_password_is_refused(server):
    with jute.Client(server, 4000) as client:
        forged = jute.Session(client.session.session_id, b"x" * 16, 4000)
        refused = jute.Client(server, 4000, forged)
        assert (refused.session.session_id, refused.session.timeout_ms) == (0, 0)
        refused.abandon()


def test_expired_session_cannot_be_resumed(server):
    client = jute.Client(server, TIMEOUT_MS)
    client.create("/mine", b"", jute.EPHEMERAL)
    client.abandon()
    gone_after(server, "/mine", time.monotonic(), 5.0)
    late = jute.Client(server, TIMEOUT_MS, client.session)
    assert late.session.session_id == 0
    late.abandon()


def test_a_restart_gives_the_whole_time_out_and_no_more(server):
    client = jute.Client(server, TIMEOUT_MS)
    client.create("/mine", b"", jute.EPHEMERAL)
    client.abandon()
    server.kill9()
    time.sleep(2 * TIMEOUT_MS / 1000)
    server.restart()
    since = time.monotonic()
    with contextlib.closing(jute.Client(server, 4000).connection) as _:
        pass
    took = gone_after(server, "/mine", since, 5.0)
    # The start itself took some of it before it answered.
    assert TIMEOUT_MS / 1000 - 0.5 <= took <= (TIMEOUT_MS + TICK_MS) / 1000 + SLACK_SECONDS


def test_containers_and_ttl_nodes_are_reaped(server):
    with jute.Client(server, 4000) as client:
        client.ok(jute.CREATE_CONTAINER, jute.create_body("/container", b"", 4))
        client.create("/container/child")
        ttl = jute.create_body("/ttl", b"", 5) + (800).to_bytes(8, "big")
        client.ok(jute.CREATE_TTL, ttl)
        made = time.monotonic()
        time.sleep(0.6)
        assert client.request(jute.EXISTS, jute.read_body("/container")).err == jute.OK, "it has a child"
        client.delete("/container/child")
    took = gone_after(server, "/ttl", made, 10.0)
    print(f"a TTL of 0.8 s was reaped after {took:.2f} s")
    assert took >= 0.8
    gone_after(server, "/container", time.monotonic(), 10.0)
