"""Single faults: what a start makes of a damaged file, and what a server does whose file operations fail.

Either everything acknowledged is there, or the server refuses, or stops, and names file and remedy. `CRASH_FAULTS=all`
makes it long; `scripts/crash` does.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from crash import recording, shim
from harness import jute, servers
from server import load

ALL = os.environ.get("CRASH_FAULTS") == "all"
SEED = int(os.environ.get("CRASH_SEED", "1"))
REMEDIES = ("Restore", "restore", "Put", "Check", "check", "must be writable", "move it away", "remov", "read again")


@pytest.fixture(autouse=True)
def only_zorilla(request):
    if request.config.getoption("--server") != "zorilla":
        pytest.skip("the texts are Zorilla's own")


@pytest.fixture
def directory():
    path = Path(tempfile.mkdtemp(prefix="zorilla-faults-", dir=shim.fast_directory()))
    yield path
    shutil.rmtree(path, ignore_errors=True)


# Damaged files.


def test_damaged_files(directory):
    """Every file of a server that was killed, with a checkpoint, damaged in every way, one at a time."""
    server = recording.record("full", directory / "recording")
    each = 40 if ALL else 3
    command = [shim.checker(), "faults", "--dir", server.disk, "--work", directory / "work", "--each", each, "--seed", SEED]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=3600)
    assert done.returncode in (0, 1), done.stderr[-4000:]
    report = json.loads(done.stdout)
    for row, counts in report["table"].items():
        print(f"{row:50} {counts}")
    assert report["tried"] > 100
    assert report["failed"] == 0, json.dumps(report["wrong"], indent=1)


# Operations that fail while the server works.

ERRORS = {errno.EIO: "EIO", errno.ENOSPC: "ENOSPC", "short": "short"}
# What, which files, what happens to it, how many are let through, and whether the server may go on.
RUNNING = [
    ("sync", "log.*", errno.EIO, 20, False),
    ("write", "log.*", errno.EIO, 20, False),
    ("write", "log.*", errno.ENOSPC, 20, True),
    ("write", "log.*", "short", 20, True),
    # What was being written cannot be taken back durably either, as every sync fails.
    ("sync", "log.*", errno.ENOSPC, 20, None),
    ("create", "log.*", errno.EIO, 0, False),
    ("create", "log.*", errno.EMFILE, 0, False),
    ("create", "log.*", errno.ENOSPC, 0, True),
    ("truncate", "log.*", errno.EIO, 0, False),
    # Mostly when a full file gives its padding back: no disk needs room for that.
    ("truncate", "log.*", errno.ENOSPC, 0, None),
    ("sync", "version-2", errno.EIO, 0, False),
    ("unlink", "log.*", errno.EIO, 0, None),
    ("write", "checkpoint.new", errno.EIO, 0, False),
    ("write", "checkpoint.new", errno.ENOSPC, 0, True),
    ("write", "checkpoint.new", "short", 0, True),
    ("sync", "checkpoint.new", errno.EIO, 0, False),
    ("create", "checkpoint.new", errno.EIO, 0, False),
    ("create", "checkpoint.new", errno.ENOSPC, 0, True),
    ("link", "*.sst", errno.EIO, 0, None),
    ("sync", "*.sst", errno.EIO, 0, False),
    ("sync", "tree", errno.EIO, 0, False),
    ("write", "MANIFEST-*", errno.EIO, 0, False),
    ("write", "MANIFEST-*", errno.ENOSPC, 0, True),
    ("sync", "MANIFEST-*", errno.EIO, 0, False),
    ("write", "LOG", errno.EIO, 0, True),
]


def case_name(case: tuple) -> str:
    op, glob, action, *_ = case
    return f"{op} {glob} {ERRORS.get(action, action)}"


@pytest.mark.parametrize("case", RUNNING if ALL else RUNNING[::3], ids=case_name)
def test_an_operation_fails_while_running(case, directory):
    op, glob, action, skip, may_go_on = case
    config = {**recording.BASE, "snapCount": 60, "preAllocSize": 64}
    server = shim.ShimmedServer(config, directory / "server", record=False)
    with server:
        server.launch()
        herd = recording.Herd(server, SEED, 2, 200)
        herd.work(0.2)
        ballast = Ballast(server)
        fired = herd_under_fault(herd, ballast, (op, glob, skip, -1, action))
        if server.alive():
            assert may_go_on is not False or not fired, f"goes on, {fired} operations failed"
        else:
            ended(server)
            assert may_go_on is not True, server.log_tail()
        print(f"{case_name(case)}: {fired} failed, {'goes on' if server.alive() else 'stopped'}")
        assert fired or may_go_on is None, "nothing failed: the case is not reached"
        again(server, herd, ballast)


def herd_under_fault(herd: recording.Herd, ballast: "Ballast", rule: tuple) -> int:
    """Load with the fault in place, large znodes for a checkpoint among it. How many operations failed."""
    server = herd.server
    everyone = herd.staying
    for writer in everyone:
        writer.connect()
    server.faults.set(rule)
    for writer in everyone:
        writer.stop.clear()
        writer.start()
    ballast.write()
    deadline = time.monotonic() + 2.0
    while server.alive() and time.monotonic() < deadline:
        time.sleep(0.05)
    fired = server.faults.fired()
    server.faults.set()
    for writer in everyone:
        writer.stop.set()
    for writer in everyone:
        writer.finish()
        if server.alive():
            writer.drain()
        writer.abandon()
    return fired


class Ballast:
    """Znodes large enough, together, to begin a checkpoint. Remembers what was acknowledged."""

    def __init__(self, server):
        self.server = server
        self.acknowledged: dict[str, int] = {}
        self.tried: set[str] = set()

    def write(self) -> None:
        try:
            with jute.Client(self.server) as client:
                client.request(jute.CREATE, jute.create_body("/ballast"))
                for number in range(20):
                    path = f"/ballast/{number}"
                    self.tried.add(path)
                    client.send(jute.CREATE, jute.create_body(path, bytes([number]) * 800_000))
                    if client.reply(10.0).err == jute.OK:
                        self.acknowledged[path] = number
        except (jute.Closed, OSError, AssertionError):
            # The server stopped, or waits for room.
            pass

    def check(self, client: jute.Client) -> None:
        for path, number in self.acknowledged.items():
            assert client.get_data(path)[0] == bytes([number]) * 800_000


def ended(server) -> None:
    """Exit code 1, and a last line for the operator."""
    code = server.process.wait(20)
    text = server.log_path.read_text(errors="replace")
    assert code == 1, f"exit code {code}\n{server.log_tail()}"
    assert "panicked" not in text, server.log_tail()
    line = text.strip().splitlines()[-1]
    assert str(server.disk) in line, f"names no file: {line}"
    assert any(word in line for word in REMEDIES), f"says nothing to do: {line}"


def again(server, herd: recording.Herd, ballast: Ballast) -> None:
    """With the fault gone: everything acknowledged is there, and nothing that was refused."""
    if server.alive():
        server.kill9()
    server.launch()
    herd.check()
    with jute.Client(server) as client:
        ballast.check(client)
    herd.work(0.1)
    herd.check()
    assert server.stop() == 0
    assert "panicked" not in server.log_path.read_text(errors="replace")


# Operations that fail at start.


@pytest.mark.parametrize("op", ["open", "create", "read", "write", "sync", "rename", "truncate", "unlink", "mkdir"])
def test_an_operation_fails_at_start(op, directory):
    """The first, the second, ... of its kind: each start either works, or ends and says why. None harms anything."""
    config = {**recording.BASE, "snapCount": 60, "preAllocSize": 64}
    server = shim.ShimmedServer(config, directory / "server", record=False)
    with server:
        server.launch()
        herd = recording.Herd(server, SEED, 2, 200)
        ballast = Ballast(server)
        ballast.write()
        herd.work(0.3, server.kill9)
        started = refused = 0
        number = 0
        while True:
            server.faults.set((op, "*", number, 1, errno.EIO))
            try:
                server.launch()
                started += 1
                done = server.faults.fired() == 0
                server.kill9()
            except servers.ServerError:
                refused += 1
                done = server.faults.fired() == 0
                refused_well(server)
            number += 1 if ALL else 9
            if done:
                break
        server.faults.set()
        print(f"{op}: {started} starts worked, {refused} were refused")
        again(server, herd, ballast)


def refused_well(server) -> None:
    code = server.process.wait(20)
    text = server.log_path.read_text(errors="replace")
    line = text.strip().splitlines()[-1]
    assert code in (1, 2, 3), f"exit code {code}: {line}"
    assert "panicked" not in text, server.log_tail()
    assert str(server.disk) in line, f"names no file: {line}"
    # 2: a configuration file, myid, could not be read.
    assert code == 2 or any(word in line for word in REMEDIES), f"says nothing to do: {line}"
