"""kill -9 at any moment: nothing acknowledged is lost, nothing refused comes back, sessions go on."""

from __future__ import annotations

import os
import random
import struct
import threading
import time

import pytest

from harness import jute, servers
from server import load

# In all tests together; `scripts/crash --kills N` makes it more.
KILLS = int(os.environ.get("CRASH_KILLS", "24"))
SEED = int(os.environ.get("CRASH_SEED", "0"))
TICK_MS = 250
STAYING_MS = 20_000
LEAVING_MS = 2_000
# Lines of this kind would mean that a start found something else than was promised, or that a check failed.
COMPLAINTS = (" ERROR ", "panicked", "digest", "damaged")


@pytest.fixture(autouse=True)
def only_zorilla(request):
    if request.config.getoption("--server") != "zorilla":
        pytest.skip("Apache takes seconds to start, and stops for good at a torn header")


def config(**more) -> dict:
    keys = {"maxClientCnxns": 0, "tickTime": TICK_MS, "maxSessionTimeout": 30_000, "4lw.commands.whitelist": "*"}
    return {**keys, **more}


def share(kills: int) -> int:
    """Of 24 kills; scaled to `KILLS`."""
    return max(1, round(KILLS * kills / 24))


class Herd:
    """Writers whose sessions are resumed after each kill, and writers whose sessions are left to expire."""

    def __init__(self, server, seed: int, data_bytes: int):
        self.server, self.data_bytes = server, data_bytes
        self.random = random.Random(seed)
        self.staying = [self.writer(f"stay{n}", STAYING_MS) for n in range(4)]
        self.gone: list[load.Writer] = []
        self.watcher = Watcher(server)
        self.kills = 0

    def writer(self, name: str, timeout_ms: int) -> load.Writer:
        return load.Writer(self.server, name, self.random.randrange(1 << 30), timeout_ms, self.data_bytes)

    def round(self, work_seconds: float) -> float:
        """Load, kill, restart, verify. Returns how long the restart took."""
        leaving = [self.writer(f"leave{self.kills}-{n}", LEAVING_MS) for n in range(2)]
        for writer in self.staying + leaving:
            writer.connect()
        for writer in self.staying + leaving:
            writer.start()
        self.watcher.arm()
        time.sleep(work_seconds)
        self.server.kill9()
        self.kills += 1
        for writer in self.staying + leaving:
            writer.finish()
            writer.stop.clear()
            writer.abandon()
        began = time.monotonic()
        self.server.restart()
        took = time.monotonic() - began
        with jute.Client(self.server) as client:
            for writer in self.staying + leaving:
                writer.reconcile(load.read_directory(client, writer.root))
            self.check_owners(client)
            self.watcher.check(client)
        self.gone += leaving
        return took

    def check_owners(self, client: jute.Client) -> None:
        for writer in self.staying:
            for name, node in writer.model.nodes.items():
                if node.ephemeral:
                    _, stat = client.get_data(f"{writer.root}/{name}")
                    assert stat.ephemeralOwner == writer.session.session_id

    def expire(self) -> None:
        """The sessions that nobody resumed end in time, with their ephemerals; the others are still there.

        Counted from the last start, which gives every session its whole time-out."""
        owners = {writer.session.session_id for writer in self.gone}
        deadline = time.monotonic() + LEAVING_MS / 1000 + TICK_MS / 1000 + 3.0
        while left := [s for s in owners if f"{s:x}" in self.server.four_letter("dump").decode()]:
            assert time.monotonic() < deadline, f"sessions {[hex(s) for s in left]} did not expire"
            time.sleep(0.05)
        with jute.Client(self.server) as client:
            for writer in self.gone:
                writer.reconcile(load.read_directory(client, writer.root), session_gone=True)
        for writer in self.staying:
            writer.connect()
            writer.abandon()

    def check_log(self) -> None:
        log = self.server.log_path.read_text(errors="replace")
        lines = [line for line in log.splitlines() if any(word in line for word in COMPLAINTS)]
        assert not lines, "\n".join(lines[:20])


class Watcher:
    """One session with watches of every kind, which it sets again after each restart, as client libraries do.

    What changed while it was away it is told at once, and of nothing else; what changes later it is told then."""

    ROOT = "/watched"
    KEPT, CHANGED = ("kept", "changed")

    def __init__(self, server):
        self.server = server
        self.session: jute.Session | None = None
        self.zxid = 0
        with jute.Client(server) as client:
            client.create(self.ROOT)
            for fate in (self.KEPT, self.CHANGED):
                for kind in ("data", "parent", "persistent", "recursive"):
                    client.create(f"{self.ROOT}/{kind}-{fate}")

    def path(self, kind: str, fate: str) -> str:
        return f"{self.ROOT}/{kind}-{fate}"

    def connect(self) -> None:
        self.client = jute.Client(self.server, STAYING_MS, self.session)
        if self.session is not None:
            assert self.client.session.session_id == self.session.session_id, "the watcher's session is gone"
        self.session = self.client.session

    def arm(self) -> None:
        """Leaves the watches. In the first round only: later ones find those that were set again, and what fired is
        set anew."""
        if self.session is None:
            self.connect()
        for fate in (self.KEPT, self.CHANGED):
            self.client.get_data(self.path("data", fate), watch=True)
            absent = self.client.request(jute.EXISTS, jute.read_body(self.path("none", fate), True))
            assert absent.err == jute.NO_NODE
            children = self.client.ok(jute.GET_CHILDREN, jute.read_body(self.path("parent", fate), True))
            self.zxid = max(self.zxid, children.zxid)
            for kind, mode in (("persistent", jute.ADD_WATCH_PERSISTENT), ("recursive", jute.ADD_WATCH_RECURSIVE)):
                self.client.ok(jute.ADD_WATCH, jute.add_watch_body(self.path(kind, fate), mode))
        assert not self.client.events, self.client.events

    def change(self, client: jute.Client, fate: str) -> None:
        client.set_data(self.path("data", fate), b"new")
        client.create(self.path("none", fate))
        client.create(self.path("parent", fate) + "/child")
        client.set_data(self.path("persistent", fate), b"new")
        client.create(self.path("recursive", fate) + "/child")

    def events(self, fate: str, away: bool) -> list[tuple]:
        """What it is told. Of persistent watches, nothing of the time when it was away."""
        told = [
            (jute.NODE_DATA_CHANGED, self.path("data", fate)),
            (jute.NODE_CREATED, self.path("none", fate)),
            (jute.NODE_CHILDREN_CHANGED, self.path("parent", fate)),
        ]
        if not away:
            told.append((jute.NODE_DATA_CHANGED, self.path("persistent", fate)))
            told.append((jute.NODE_CREATED, self.path("recursive", fate) + "/child"))
        return sorted(told)

    def set_again(self) -> None:
        """setWatches2, with xid -8 as clients send it."""
        every = [[self.path(kind, fate) for fate in (self.KEPT, self.CHANGED)]
                 for kind in ("data", "none", "parent", "persistent", "recursive")]
        body = struct.pack(">q", self.zxid) + b"".join(jute.put_strings(paths) for paths in every)
        self.client.ok(jute.SET_WATCHES2, body, -8)

    def told(self) -> list[tuple]:
        """Every event up to now: they come before the answer to a later request."""
        self.client.ok(jute.SYNC, jute.put_string("/"))
        events, self.client.events = self.client.events, []
        return sorted(event.event() for event in events)

    def check(self, other: jute.Client) -> None:
        """On a server that was started again."""
        self.change(other, self.CHANGED)
        self.client.abandon()
        self.connect()
        self.set_again()
        assert self.told() == self.events(self.CHANGED, away=True)
        self.change(other, self.KEPT)
        assert self.told() == self.events(self.KEPT, away=False)
        for fate in (self.KEPT, self.CHANGED):
            for path in (self.path("none", fate), self.path("parent", fate) + "/child",
                         self.path("recursive", fate) + "/child"):
                other.delete(path)
        # The persistent ones saw that: both were set again.
        deleted = [(jute.NODE_DELETED, self.path("recursive", fate) + "/child") for fate in (self.KEPT, self.CHANGED)]
        assert self.told() == sorted(deleted)


def survive(server, kills: int, data_bytes: int, longest_seconds: float, seed: int) -> None:
    seed += SEED
    kills = share(kills)
    print(f"seed {seed}")
    load.make_root(server)
    herd = Herd(server, seed, data_bytes)
    restarts = [herd.round(herd.random.uniform(0.02, longest_seconds)) for _ in range(kills)]
    herd.expire()
    herd.check_log()
    answers = sum(writer.acknowledged for writer in herd.staying + herd.gone)
    print(f"{kills} kills survived, {answers} answers checked, slowest restart {max(restarts):.2f} s")


def test_random_moments(tmp_path):
    with servers.start("zorilla", config(), directory=tmp_path) as server:
        survive(server, kills=8, data_bytes=300, longest_seconds=0.8, seed=7)


def test_right_after_log_rolls(tmp_path):
    """A log file of a thousand txns is full every few milliseconds."""
    with servers.start("zorilla", config(snapCount=1000), directory=tmp_path) as server:
        survive(server, kills=6, data_bytes=100, longest_seconds=0.5, seed=8)
        assert len(list((tmp_path / "data/version-2").glob("log.*"))) > 6


def test_during_checkpoints(tmp_path):
    """Large data and the smallest budget: the store is being written at most moments."""
    with servers.start("zorilla", config(**{"zorilla.memoryBudget": "128m"}), directory=tmp_path) as server:
        with Ballast(server):
            survive(server, kills=6, data_bytes=20_000, longest_seconds=0.9, seed=9)
        assert "checkpoint found" in server.log_path.read_text()


class Ballast:
    """Keeps replacing large znodes, across restarts, so that checkpoints are large and many."""

    def __init__(self, server):
        self.server = server
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.work)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join(60)

    def work(self) -> None:
        while not self.stop.is_set():
            try:
                with jute.Client(self.server) as client:
                    self.replace(client)
            except (OSError, jute.Closed):
                time.sleep(0.05)

    def replace(self, client: jute.Client) -> None:
        client.request(jute.CREATE, jute.create_body("/ballast"))
        number = 0
        while not self.stop.is_set():
            for _ in range(16):
                number += 1
                path = f"/ballast/{number % 256}"
                client.send(jute.DELETE, jute.delete_body(path))
                client.send(jute.CREATE, jute.create_body(path, bytes(150_000)))
            for _ in range(32):
                client.reply()


def test_sequence_numbers_never_repeat(tmp_path):
    """Many sessions create below one parent and delete it all again, and the server is killed in between."""
    with servers.start("zorilla", config(), directory=tmp_path) as server:
        with jute.Client(server) as client:
            client.create("/queue")
        names: list[str] = []
        for _ in range(share(4)):
            queues = [Queue(server) for _ in range(4)]
            time.sleep(0.4)
            server.kill9()
            for queue in queues:
                names += queue.finish()
            server.restart()
        assert len(names) > 400
        assert len(set(names)) == len(names), "a sequence number was given twice"
        print(f"{len(names)} sequential names, none twice")


class Queue:
    """Creates sequential znodes, and deletes them, until the connection ends."""

    BURST = 16

    def __init__(self, server):
        self.names: list[str] = []
        self.client = jute.Client(server)
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self) -> None:
        try:
            while True:
                self.burst()
        except (OSError, jute.Closed):
            pass

    def burst(self) -> None:
        for _ in range(self.BURST):
            self.client.send(jute.CREATE, jute.create_body("/queue/n-", b"", jute.SEQUENTIAL))
        for _ in range(self.BURST):
            self.names.append(self.client.reply().reader().string())
        # An emptied queue must not begin again at 0.
        for path in self.names[-self.BURST :]:
            self.client.send(jute.DELETE, jute.delete_body(path))
        for _ in range(self.BURST):
            self.client.reply()

    def finish(self) -> list[str]:
        self.thread.join(30)
        self.client.abandon()
        return self.names
