"""Power cuts: what a recorded server may find of its files is rebuilt and opened, state by state.

`CRASH_STATES` (states in all, default 320) and `CRASH_SCALE` (length of the recordings) make it long;
`scripts/crash` does.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import tempfile
import zlib
from pathlib import Path

import pytest

from crash import recording, shim
from harness import jute, servers

STATES = int(os.environ.get("CRASH_STATES", "320"))
SCALE = float(os.environ.get("CRASH_SCALE", "1"))
SEED = int(os.environ.get("CRASH_SEED", "1"))
# Every so many states, one is started with the real server as well; no fewer than three of each workload.
SERVED_EVERY = 100


@pytest.fixture(autouse=True)
def only_zorilla(request):
    if request.config.getoption("--server") != "zorilla":
        pytest.skip("Apache's files have states of their own")


@pytest.fixture
def directory(tmp_path_factory):
    """In memory, where possible."""
    path = Path(tempfile.mkdtemp(prefix="zorilla-crash-", dir=shim.fast_directory()))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def test_a_record_that_a_kill_cut_short_is_dropped(tmp_path):
    trace = tmp_path / "trace"
    whole = b"".join(struct.pack(">I", length).ljust(length, b"x") for length in (40, 49))
    for cut in (b"", b"\0", struct.pack(">I", 60), struct.pack(">I", 900_000).ljust(70_000, b"x")):
        trace.write_bytes(whole + cut)
        assert shim.drop_cut_record(trace) == len(cut)
        assert trace.read_bytes() == whole


@pytest.mark.parametrize("workload", recording.WORKLOADS)
def test_every_state_starts(workload, directory):
    server = recording.record(workload, directory / "recording", SCALE)
    states = STATES // len(recording.WORKLOADS)
    keep = directory / "kept"
    keep.mkdir()
    every = min(SERVED_EVERY, max(states // 3, 1))
    command = [
        shim.checker(), "power", "--trace", server.trace, "--root", server.disk, "--log", server.log_name,
        "--work", directory / "work", "--states", states, "--seed", SEED, "--keep", keep, "--keep-every", every,
    ]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=7200)
    print(done.stdout, done.stderr[-2000:])
    assert done.returncode == 0, f"{done.stdout}{done.stderr[-4000:]}"
    report = json.loads(done.stdout)
    assert report["states"] >= states * 0.9, "the recording is too short for so many states"
    assert report["answers"] > 100
    assert report["refusals"] > 0 or workload != "full"
    served = [serve(state, server.log_name, directory / "served") for state in sorted(keep.glob("state-*.json"))]
    print(f"{workload}: {report['states']} states, {len(served)} of them served")
    assert len(served) >= min(3, states // every)


def serve(description: Path, log_name: str, directory: Path) -> int:
    """Starts the real server on a state; a real client reads everything."""
    expected = json.loads(description.read_text())
    state = description.with_suffix("")
    config = {"dataDir": state / "data", "dataLogDir": state / log_name, "maxSessionTimeout": 600_000}
    with servers.start("zorilla", config, directory=directory / state.name) as server:
        with jute.Client(server, 600_000) as client:
            seen = walk(client)
        log = server.log_path.read_text(errors="replace")
    assert "panicked" not in log and " ERROR " not in log, log
    # Sessions of the recording expire in their own time; what they owned may be gone already.
    assert persistent(seen) == persistent(expected["znodes"])
    assert seen.items() <= expected["znodes"].items()
    return len(seen)


def persistent(znodes: dict[str, str]) -> dict[str, str]:
    return {path: text for path, text in znodes.items() if text.endswith(" 0")}


def walk(client: jute.Client) -> dict[str, str]:
    """Path -> what `zkcrash` says of a znode: CRC of the data, czxid, mzxid, version, owner."""
    seen = {}
    left = ["/"]
    while left:
        path = left.pop()
        data, stat = client.get_data(path)
        names = client.ok(jute.GET_CHILDREN, jute.read_body(path)).reader().strings()
        left += [path.rstrip("/") + "/" + name for name in names]
        seen[path] = f"{zlib.crc32(data or b'')} {stat.czxid} {stat.mzxid} {stat.version} {stat.ephemeralOwner}"
    return seen
