"""The memory budget: a tree several times larger than it is loaded and served within bounds, and restarts quickly."""

from __future__ import annotations

import random
import struct
import threading
import time
from pathlib import Path

import pytest

from harness import jute, servers

BUDGET_MIB = 128
# What the process may ever take: the budget, as much again that the allocator keeps in pages which are only partly in
# use (small znodes pushed out by large ones), threads and code.
BOUND_MIB = BUDGET_MIB * 2 + 80
PARENTS = 300
CHILDREN = 5000
SMALL = PARENTS * CHILDREN
RESTART_SECONDS = 10.0


@pytest.fixture(autouse=True)
def only_zorilla(request):
    if request.config.getoption("--server") != "zorilla":
        pytest.skip("Apache's tree has to fit on its heap")


def path_of(parent: int, child: int) -> str:
    return f"/small/{parent:03d}/child-{child:06d}"


def data_of(parent: int, child: int) -> bytes:
    return b"%d/%d " % (parent, child) * 6


def big_data(number: int) -> bytes:
    """From 1 KiB to almost 1 MiB, reproducible by number."""
    size = (1 << 10) + number * 37_813 % ((1 << 20) - (8 << 10))
    return random.Random(number).randbytes(size)


BIG = 160
TAIL = struct.pack(">i?i", -1, True, -1)


def multi_create(nodes) -> bytes:
    part = struct.pack(">i?i", jute.CREATE, False, -1)
    return b"".join(part + jute.create_body(path, data) for path, data in nodes) + TAIL


def load_small(server) -> None:
    """In multis of 500, eight under way."""
    client = jute.Client(server, 60_000)
    client.create("/small")
    for parent in range(PARENTS):
        client.send(jute.CREATE, jute.create_body(f"/small/{parent:03d}"))
    for _ in range(PARENTS):
        assert client.reply().err == jute.OK
    due = 0
    for parent in range(PARENTS):
        for begin in range(0, CHILDREN, 500):
            nodes = ((path_of(parent, child), data_of(parent, child)) for child in range(begin, begin + 500))
            client.send(jute.MULTI, multi_create(nodes))
            due += 1
            if due >= 8:
                assert client.reply(60.0).err == jute.OK
                due -= 1
    for _ in range(due):
        assert client.reply(60.0).err == jute.OK
    client.close()


def load_big(server) -> None:
    client = jute.Client(server, 60_000)
    client.create("/big")
    for number in range(BIG):
        client.send(jute.CREATE, jute.create_body(f"/big/{number}", big_data(number)))
        if number >= 8:
            assert client.reply(60.0).err == jute.OK
    for _ in range(8):
        assert client.reply(60.0).err == jute.OK
    client.close()


def read_at_random(server, seed: int, seconds: float, failures: list[str]) -> None:
    """Data, listings, missing nodes and writes, with every answer compared."""
    randomness = random.Random(seed)
    try:
        with jute.Client(server, 60_000) as client:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                read_burst(client, randomness)
    except Exception as why:  # noqa: BLE001 - reported by the test's own thread
        failures.append(f"{type(why).__name__}: {why}")


def read_burst(client: jute.Client, randomness: random.Random) -> None:
    wanted = [(randomness.randrange(PARENTS), randomness.randrange(CHILDREN)) for _ in range(100)]
    for parent, child in wanted:
        client.send(jute.GET_DATA, jute.read_body(path_of(parent, child)))
        client.send(jute.EXISTS, jute.read_body(path_of(parent, child) + "x"))
    for parent, child in wanted:
        reply = client.reply()
        assert reply.err == jute.OK, f"{path_of(parent, child)}: {reply.err}"
        assert reply.reader().buffer() == data_of(parent, child)
        assert client.reply().err == jute.NO_NODE
    parent = randomness.randrange(PARENTS)
    names = client.ok(jute.GET_CHILDREN, jute.read_body(f"/small/{parent:03d}")).reader().strings()
    assert sorted(names) == [f"child-{child:06d}" for child in range(CHILDREN)]
    number = randomness.randrange(BIG)
    assert client.get_data(f"/big/{number}")[0] == big_data(number)
    parent, child = randomness.randrange(PARENTS), randomness.randrange(CHILDREN)
    assert client.set_data(path_of(parent, child), data_of(parent, child)).dataLength == len(data_of(parent, child))


def serve_reads(server, threads: int = 4, seconds: float = 8.0) -> None:
    failures: list[str] = []
    readers = [threading.Thread(target=read_at_random, args=(server, n, seconds, failures)) for n in range(threads)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(120)
    assert not failures, failures


def assert_bounded(server, when: str) -> None:
    rss, peak = servers.rss_mib(server.pid, "VmRSS"), servers.rss_mib(server.pid, "VmHWM")
    print(f"{when}: RSS {rss} MiB, peak {peak} MiB (bound {BOUND_MIB})")
    assert peak <= BOUND_MIB, f"{when}: {peak} MiB"


def test_tree_larger_than_the_budget(tmp_path):
    settings = {"zorilla.memoryBudget": f"{BUDGET_MIB}m", "snapCount": 500, "maxClientCnxns": 0}
    with servers.start("zorilla", settings, directory=tmp_path) as server:
        logs = tmp_path / "data/version-2"
        began = time.monotonic()
        load_small(server)
        print(f"{SMALL} znodes loaded in {time.monotonic() - began:.1f} s")
        assert_bounded(server, "loaded small znodes")
        load_big(server)
        assert_bounded(server, "loaded large znodes")
        serve_reads(server)
        assert_bounded(server, "after reads")
        kept = log_bytes(logs)
        print(f"log files kept: {len(list(logs.glob('log.*')))}, {kept >> 20} MiB")
        assert not (logs / "log.1").exists(), "no log file was purged"
        server.kill9()
        began = time.monotonic()
        server.restart()
        took = time.monotonic() - began
        print(f"restart behind kill -9: {took:.2f} s")
        assert took < RESTART_SECONDS
        serve_reads(server, seconds=4.0)
        assert_bounded(server, "after a restart and reads")
        # An orderly stop, and back.
        assert server.stop() == 0
        began = time.monotonic()
        server.restart()
        print(f"restart behind a stop: {time.monotonic() - began:.2f} s")
        assert " ERROR " not in server.log_path.read_text()


def log_bytes(logs: Path) -> int:
    return sum(path.stat().st_size for path in logs.glob("log.*"))
