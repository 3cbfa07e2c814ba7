"""Workloads that are recorded: together they make the server do everything it does to files."""

from __future__ import annotations

import errno
import random
import time
from pathlib import Path

from crash.shim import ShimmedServer
from harness import jute
from server import load

TICK_MS = 250
STAYING_MS = 20_000
LEAVING_MS = 1_000


class Herd:
    """Writers over the lives of a server. What each one was told is checked against its own model at every start."""

    def __init__(self, server: ShimmedServer, seed: int, writers: int, data_bytes: int):
        self.server, self.random, self.data_bytes = server, random.Random(seed), data_bytes
        load.make_root(server)
        self.staying = [self.writer(f"stay{n}", STAYING_MS) for n in range(writers)]
        self.leaving = 0

    def writer(self, name: str, timeout_ms: int) -> load.Writer:
        seed = self.random.randrange(1 << 30)
        return load.Writer(self.server, name, seed, timeout_ms, self.data_bytes, refusable=True)

    def work(self, seconds: float, end=None, rules: tuple = ()) -> None:
        """Load for a while; then `end`, if given, ends the server, else the writers stop and are answered."""
        leaving = [self.writer(f"leave{self.leaving}", LEAVING_MS)]
        self.leaving += 1
        everyone = self.staying + leaving
        for writer in everyone:
            writer.connect()
        self.server.faults.set(*rules)
        for writer in everyone:
            writer.stop.clear()
            writer.start()
        time.sleep(seconds)
        self.server.faults.set()
        if end is not None:
            end()
        for writer in everyone:
            writer.stop.set()
        for writer in everyone:
            writer.finish()
            if end is None and self.server.alive():
                writer.drain()
            writer.abandon()

    def check(self) -> None:
        with jute.Client(self.server) as client:
            for writer in self.staying:
                writer.reconcile(load.read_directory(client, writer.root))

    def answers(self) -> int:
        return sum(writer.acknowledged for writer in self.staying)


def lives(server: ShimmedServer, herd: Herd, count: int, seconds: float) -> None:
    """Loaded, killed, started again, and at last stopped in an orderly way; twice as often killed as stopped."""
    for life in range(count):
        herd.work(seconds, server.stop if life % 3 == 2 else server.kill9)
        server.snapshot()
        server.launch()
        herd.check()
    server.stop()
    server.snapshot()


def rolls(server: ShimmedServer, scale: float) -> None:
    """Small log files, few and many; kills, and an orderly stop."""
    server.launch()
    lives(server, Herd(server, 1, 2, 200), 3, 0.4 * scale)


def full_disks(server: ShimmedServer, scale: float) -> None:
    """The log's disk is full again and again: each time, what was being written is taken back, a checkpoint is
    written and log files are deleted."""
    server.launch()
    herd = Herd(server, 2, 2, 300)
    rng = random.Random(5)
    for round_ in range(max(2, int(4 * scale))):
        # Among the writes of records, or at the beginning of a file, or at its padding.
        op, glob = rng.choice([("write", "log.*"), ("write", "log.*"), ("create", "log.*"), ("truncate", "log.*")])
        kind = rng.choice([errno.ENOSPC, errno.ENOSPC, errno.EDQUOT])
        rules = [(op, glob, rng.randrange(1, 6), rng.randrange(1, 4), kind)]
        if round_ % 2:
            rules.append(("write", "log.*", rng.randrange(1, 4), 1, "short"))
        herd.work(0.8, None if round_ % 3 else server.kill9, tuple(rules))
        if not server.alive():
            server.snapshot()
            server.launch()
        else:
            settle(server)
        herd.check()
    server.stop()
    server.snapshot()


def settle(server: ShimmedServer) -> None:
    """Waits until writes are accepted again."""
    deadline = time.monotonic() + 20
    while True:
        try:
            # Opening a session is a write, too.
            with jute.Client(server) as client:
                client.create("/settle")
                client.delete("/settle")
                return
        except (jute.Closed, AssertionError, OSError):
            assert time.monotonic() < deadline, "writes are not accepted again"
            time.sleep(0.1)


def checkpoints(server: ShimmedServer, scale: float) -> None:
    """Large znodes under the smallest budget: the store is flushed, and its files are merged."""
    server.launch()
    herd = Herd(server, 3, 1, 200)
    for life in range(max(2, int(2 * scale))):
        with jute.Client(server) as client:
            client.request(jute.CREATE, jute.create_body("/ballast"))
            for number in range(28):
                # Does not compress in the log; does in the store.
                path = f"/ballast/{life}-{number}"
                client.send(jute.CREATE, jute.create_body(path, bytes([number]) * 800_000))
                if number >= 6:
                    client.send(jute.DELETE, jute.delete_body(f"/ballast/{life}-{number - 6}"))
                    assert client.reply().err == jute.OK
                assert client.reply().err == jute.OK
        herd.work(0.3, server.kill9)
        server.snapshot()
        server.launch()
        herd.check()
    server.stop()
    server.snapshot()


def failing(server: ShimmedServer, scale: float) -> None:
    """Operations on the log and the store fail while it works: the server ends, by itself, and is started again."""
    server.launch()
    herd = Herd(server, 4, 2, 200)
    rng = random.Random(6)
    cases = [("sync", "log.*"), ("write", "log.*"), ("sync", "version-2"), ("create", "log.*"), ("truncate", "log.*")]
    for round_ in range(max(3, int(5 * scale))):
        op, glob = cases[round_ % len(cases)]
        herd.work(0.8, None, ((op, glob, rng.randrange(0, 8), -1, errno.EIO),))
        if server.alive():
            server.kill9()
        else:
            assert server.process.wait() == 1, server.log_tail()
        server.snapshot()
        server.launch()
        herd.check()
    server.stop()
    server.snapshot()


BASE = {"tickTime": TICK_MS, "maxSessionTimeout": 30_000, "zorilla.memoryBudget": "128m"}
WORKLOADS = {
    "rolls": (rolls, {"snapCount": 150, "preAllocSize": 64}),
    "apart": (rolls, {"snapCount": 400, "preAllocSize": 2048, "dataLogDir": "logs"}),
    "full": (full_disks, {"snapCount": 100, "preAllocSize": 64}),
    "failing": (failing, {"snapCount": 120, "preAllocSize": 64}),
    "checkpoints": (checkpoints, {"snapCount": 20, "preAllocSize": 128}),
}


def record(name: str, directory: Path, scale: float = 1.0) -> ShimmedServer:
    """Runs a workload in `directory`, and returns the server, which has ended."""
    workload, config = WORKLOADS[name]
    config = {**BASE, **config}
    if "dataLogDir" in config:
        config["dataLogDir"] = directory.resolve() / "disk" / config["dataLogDir"]
    server = ShimmedServer(config, directory, record=True)
    server.log_name = Path(config["dataLogDir"]).name if "dataLogDir" in config else "data"
    try:
        workload(server, scale)
    finally:
        if server.alive():
            server.kill9()
    return server
