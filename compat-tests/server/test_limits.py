"""Limits: past each there is an answer or a closed connection with a logged reason, and nobody else notices."""

from __future__ import annotations

import contextlib
import resource
import threading
import time

import pytest

from harness import jute, servers

MEBIBYTE = 1 << 20


@pytest.fixture(autouse=True)
def only_zorilla(request):
    if request.config.getoption("--server") != "zorilla":
        pytest.skip("texts and memory bounds are Zorilla's own")


@pytest.fixture(autouse=True, scope="module")
def enough_descriptors():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(hard, 12_000), 12_000), max(hard, 12_000)))


@pytest.mark.parametrize("key", ["maxClientCnxns", "maxCnxns"])
def test_connections(tmp_path, key):
    settings = {"maxClientCnxns": 0, key: 5, "4lw.commands.whitelist": "*"}
    with servers.start("zorilla", settings, directory=tmp_path) as server, contextlib.ExitStack() as stack:
        time.sleep(0.2)
        clients = [stack.enter_context(jute.Client(server)) for _ in range(5)]
        refused = jute.Connection.open(server.host, server.port)
        stack.callback(refused.close)
        assert refused.drain(5.0) == b""
        for client in clients:
            client.ping()
        assert f"({key})" in server.log_path.read_text()
        # A place that becomes free is given away again.
        clients[0].close()
        deadline = time.monotonic() + 5
        while True:
            with contextlib.suppress(jute.Closed, ConnectionError):
                stack.enter_context(jute.Client(server))
                break
            assert time.monotonic() < deadline


def test_connection_without_a_session(tmp_path):
    properties = {"zookeeper.nio.sessionlessCnxnTimeout": 1000}
    with servers.start("zorilla", jvm=properties, directory=tmp_path) as server:
        began = time.monotonic()
        connection = jute.Connection.open(server.host, server.port)
        connection.drain(10.0)
        assert 0.8 < time.monotonic() - began < 4.0


def test_longest_request(tmp_path):
    with servers.start("zorilla", jvm={"jute.maxbuffer": 20_000}, directory=tmp_path) as server:
        with jute.Client(server) as client:
            client.create("/fits", bytes(15_000))
            client.send(jute.CREATE, jute.create_body("/too-long", bytes(25_000)))
            with pytest.raises((jute.Closed, ConnectionError)):
                client.reply()
        with jute.Client(server) as client:
            assert client.request(jute.EXISTS, jute.read_body("/too-long")).err == jute.NO_NODE


def test_flood_of_writes(tmp_path):
    """50 connections send all they can: 60 x 100 kB each, 300 MB, with a hundred outstanding."""
    settings = {"maxClientCnxns": 0, "zorilla.memoryBudget": "128m", "globalOutstandingLimit": 100}
    with servers.start("zorilla", settings, directory=tmp_path) as server:
        with jute.Client(server) as client:
            client.create("/flood")
        failures: list[str] = []

        def flood(number: int) -> None:
            try:
                with jute.Client(server, 60_000) as client:
                    client.create(f"/flood/{number}")
                    sender = threading.Thread(target=send, args=(client, number))
                    sender.start()
                    for _ in range(60):
                        assert client.reply(60.0).err == jute.OK
                    sender.join(60)
            except Exception as why:  # noqa: BLE001 - reported below
                failures.append(f"{number}: {type(why).__name__}: {why}")

        def send(client: jute.Client, number: int) -> None:
            body = jute.set_data_body(f"/flood/{number}", bytes(100_000))
            for _ in range(60):
                client.send(jute.SET_DATA, body)

        threads = [threading.Thread(target=flood, args=(number,)) for number in range(50)]
        for thread in threads:
            thread.start()
        slowest = 0.0
        with jute.Client(server) as bystander:
            while any(thread.is_alive() for thread in threads):
                began = time.monotonic()
                bystander.get_data("/flood")
                slowest = max(slowest, time.monotonic() - began)
                time.sleep(0.01)
        for thread in threads:
            thread.join(60)
        assert not failures, failures[:3]
        print(f"300 MB by 50 connections: peak {servers.rss_mib(server.pid, 'VmHWM')} MiB, slowest read {slowest:.2f} s")
        assert servers.rss_mib(server.pid, "VmHWM") < 128 * 16 // 10 + 64
        assert slowest < 2.0


def test_watchers_that_never_read(tmp_path):
    """Each is dropped at its own bound; who reads gets every event."""
    settings = {"maxClientCnxns": 0, "zorilla.maxOutgoingBytes": "1m", "zorilla.memoryBudget": "128m"}
    with servers.start("zorilla", settings, directory=tmp_path) as server, contextlib.ExitStack() as stack:
        writer = stack.enter_context(jute.Client(server, 60_000))
        path = "/watched-" + "x" * 2000
        writer.create(path)
        deaf = [jute.Client(server, 60_000, receive_buffer_bytes=4096) for _ in range(40)]
        for client in deaf:
            stack.callback(client.abandon)
            client.ok(jute.ADD_WATCH, jute.add_watch_body(path, jute.ADD_WATCH_PERSISTENT))
        listener = stack.enter_context(jute.Client(server, 60_000))
        listener.ok(jute.ADD_WATCH, jute.add_watch_body(path, jute.ADD_WATCH_PERSISTENT))
        for _ in range(4000):
            writer.set_data(path, b"x")
            assert listener.receive().is_event
        print(f"40 clients that never read 8 MB each: peak {servers.rss_mib(server.pid, 'VmHWM')} MiB")
        assert servers.rss_mib(server.pid, "VmHWM") < 128 * 16 // 10 + 64
        assert server.log_path.read_text().count("does not read its events") == len(deaf)


def test_5000_idle_sessions(tmp_path):
    settings = {"maxClientCnxns": 0, "maxSessionTimeout": 120_000}
    count = 5000
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count + 500:
        pytest.skip(f"only {soft} file descriptors")
    with servers.start("zorilla", settings, directory=tmp_path) as server, contextlib.ExitStack() as stack:
        before = servers.rss_mib(server.pid)
        clients = []
        for begin in range(0, count, 500):
            opened = [jute.Connection.open(server.host, server.port) for _ in range(500)]
            for connection in opened:
                stack.callback(connection.close)
                connection.send(jute.frame(jute.connect_body(120_000)))
            for connection in opened:
                connection.receive()
            clients += opened
        taken = servers.rss_mib(server.pid) - before
        print(f"{count} idle sessions: {taken} MiB, {taken * 1024 / count:.1f} KiB each")
        assert taken < count * 24 / 1024, "more than 24 KiB each"
        for connection in clients[:: count // 50]:
            connection.send(jute.request(jute.XID_PING, jute.PING))
            assert jute.Reply.parse(connection.receive()).err == jute.OK
