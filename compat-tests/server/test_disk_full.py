"""A disk that fills up: reads go on, writes fail cleanly, nothing is lost, and it resumes by itself.

The disk is a small tmpfs; only root can mount one.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import time
from pathlib import Path

import pytest

from harness import jute, servers
from server import load

MEBIBYTE = 1 << 20
RESUME_SECONDS = 10.0


@pytest.fixture(autouse=True)
def only_zorilla(request):
    if request.config.getoption("--server") != "zorilla":
        pytest.skip("Apache ends when the disk is full")


@contextlib.contextmanager
def small_disk(path: Path, mebibytes: int):
    """A file system of its own; skips where it cannot be mounted."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "zorilla-test", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"cannot mount a small disk: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def free_bytes(path: Path) -> int:
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize


def take(path: Path, leave_bytes: int) -> Path:
    """A ballast file that leaves that much room."""
    ballast = path / "ballast"
    with open(ballast, "wb") as file:
        while (free := free_bytes(path)) > leave_bytes:
            file.write(bytes(min(free - leave_bytes, MEBIBYTE)))
            file.flush()
    return ballast


def writers_for(server, count: int, data_bytes: int) -> list[load.Writer]:
    made = [load.Writer(server, f"w{n}", n, 8000, data_bytes, refusable=True) for n in range(count)]
    for writer in made:
        writer.connect()
    return made


def run_until(writers: list[load.Writer], condition, what: str, seconds: float = 40.0) -> None:
    """Lets them work until it is so; every answer was checked."""
    for writer in writers:
        writer.stop.clear()
        writer.start()
    deadline = time.monotonic() + seconds
    try:
        while not condition():
            assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
            assert not any(writer.failure for writer in writers), [w.failure for w in writers if w.failure]
            time.sleep(0.02)
    finally:
        for writer in writers:
            writer.stop.set()
        for writer in writers:
            writer.finish()
    for writer in writers:
        writer.drain()


def assert_all_there(server, writers: list[load.Writer], reader: jute.Client) -> None:
    for writer in writers:
        assert writer.reconcile(load.read_directory(reader, writer.root)) == 0, "an answer was still due"


def assert_sessions_live(writers: list[load.Writer]) -> None:
    for writer in writers:
        writer.client.ping()


def count_refused(writers: list[load.Writer]) -> int:
    return sum(writer.refused for writer in writers)


def resumes(writers: list[load.Writer]) -> float:
    """Seconds until every writer has written again."""
    began = time.monotonic()
    before = [writer.acknowledged for writer in writers]
    run_until(
        writers,
        lambda: all(w.acknowledged > b + load.WINDOW for w, b in zip(writers, before)),
        "writes to be accepted again",
        RESUME_SECONDS,
    )
    return time.monotonic() - began


def config(**more) -> dict:
    keys = {"maxClientCnxns": 0, "zorilla.memoryBudget": "128m", "preAllocSize": 1024, "tickTime": 500,
            "maxSessionTimeout": 60_000}
    return {**keys, **more}


def test_log_and_tree_on_a_full_disk(tmp_path):
    with small_disk(tmp_path / "disk", 96) as disk:
        settings = config(dataDir=disk / "data")
        with servers.start("zorilla", settings, directory=tmp_path / "server") as server:
            load.make_root(server)
            reader = jute.Client(server, 60_000)
            ballast = take(disk, 12 * MEBIBYTE)
            writers = writers_for(server, 4, 3000)
            run_until(writers, lambda: all(w.refused > 3 for w in writers), "the disk to be full")
            # Longer than a session may be silent, with pings: none may expire, and reads go on.
            until = time.monotonic() + 9.0
            while time.monotonic() < until:
                assert_sessions_live(writers)
                assert_all_there(server, writers, reader)
                time.sleep(0.5)
            refused = count_refused(writers)
            answer = writers[0].client.request(jute.CREATE, jute.create_body("/load/refused"))
            assert answer.err == load.SYSTEM_ERROR
            ballast.unlink()
            took = resumes(writers)
            print(f"{refused} writes refused, resumed {took:.1f} s after there was room")
            assert reader.request(jute.EXISTS, jute.read_body("/load/refused")).err == jute.NO_NODE
            # Full again, and killed while full: what was refused must not come back, what was answered must be there.
            ballast = take(disk, 3 * MEBIBYTE)
            run_until(writers, lambda: count_refused(writers) > refused + 8, "the disk to be full again")
            server.kill9()
            take_all(disk)
            server.restart()
            for writer in writers:
                writer.connect()
            reader = jute.Client(server, session=reader.session)
            assert_all_there(server, writers, reader)
            ballast.unlink()
            (disk / "more-ballast").unlink()
            print(f"resumed {resumes(writers):.1f} s after there was room, behind a restart while full")
            assert_all_there(server, writers, reader)
            assert server.stop() == 0
            assert "panicked" not in server.log_path.read_text()


def take_all(disk: Path) -> None:
    """Not a byte left."""
    with contextlib.suppress(OSError), open(disk / "more-ballast", "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_tree_on_a_full_disk_and_the_log_elsewhere(tmp_path):
    """Checkpoints wait, so writers have to, at last; reads go on, and memory does not grow."""
    with small_disk(tmp_path / "disk", 64) as disk:
        settings = config(dataDir=disk / "data", dataLogDir=tmp_path / "log")
        with servers.start("zorilla", settings, directory=tmp_path / "server") as server:
            with jute.Client(server, 60_000) as client:
                client.create("/big")
            ballast = take(disk, 6 * MEBIBYTE)
            randomness = random.Random(3)
            data = [randomness.randbytes(100_000) for _ in range(10)]
            client = jute.Client(server, 60_000)
            reader = jute.Client(server, 60_000)
            sent = acknowledged = 0
            with pytest.raises(TimeoutError):
                while sent < 3000:
                    while sent - acknowledged < 20:
                        client.send(jute.CREATE, jute.create_body(f"/big/{sent}", data[sent % 10]))
                        sent += 1
                    assert client.reply(4.0).err == jute.OK
                    acknowledged += 1
            print(f"writers wait after {acknowledged} x 100 kB, RSS {servers.rss_mib(server.pid)} MiB")
            assert servers.rss_mib(server.pid) < 128 + 128
            for number in range(0, acknowledged, 7):
                assert reader.get_data(f"/big/{number}")[0] == data[number % 10]
            reader.ping()
            # A restart while full: everything that was answered is there.
            server.kill9()
            began = time.monotonic()
            server.restart()
            print(f"restart while full: {time.monotonic() - began:.1f} s, RSS {servers.rss_mib(server.pid)} MiB")
            reader = jute.Client(server, session=reader.session)
            for number in range(acknowledged):
                assert reader.get_data(f"/big/{number}")[0] == data[number % 10]
            ballast.unlink()
            took = writes_again(server)
            print(f"writers go on {took:.1f} s after there was room")
            assert servers.rss_mib(server.pid, "VmHWM") < 128 + 128
            assert "panicked" not in server.log_path.read_text()


def writes_again(server) -> float:
    began = time.monotonic()
    with jute.Client(server, 60_000) as client:
        client.send(jute.CREATE, jute.create_body("/big/again"))
        assert client.reply(RESUME_SECONDS).err == jute.OK
    return time.monotonic() - began
