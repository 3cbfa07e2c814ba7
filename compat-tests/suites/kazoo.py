"""kazoo 2.11.0, its own tests.

From the sdist. The module with which its harness starts servers is replaced by one of ours (kazoo/common.py).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tarfile
from pathlib import Path

from harness import foreign
from harness.foreign import FAILED, PASSED, SKIPPED_ITSELF, Outcome

VERSION = "2.11.0"
FILES = Path(__file__).parent / "kazoo"
SOURCES = [FILES / "common.py", FILES / "outcomes.py", FILES / "requirements.txt"]
RESULTS = {"passed": PASSED, "failed": FAILED, "skipped": SKIPPED_ITSELF}
TEST_SECONDS = 120

QUICK = [
    "test_barrier.py::*",
    "test_client.py::TestAuthentication::*",
    "test_client.py::TestClient::*",
    "test_client.py::TestClientTransactions::*",
    "test_client.py::TestNonChrootClient::*",
    "test_connection.py::*",
    "test_counter.py::*",
    "test_lease.py::*",
    "test_lock.py::*",
    "test_party.py::*",
    "test_queue.py::*",
    "test_watchers.py::*",
]
SECONDS = 1500.0


def prepare() -> None:
    if foreign.built("kazoo", SOURCES, VERSION):
        return
    here = foreign.folder("kazoo")
    pip = [_python(), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    foreign.call([sys.executable, "-m", "venv", "--clear", here / "venv"])
    foreign.call([*pip, "install", "-r", FILES / "requirements.txt"])
    foreign.call([*pip, "download", "--no-deps", "--no-binary", ":all:", "-d", here, f"kazoo=={VERSION}"])
    shutil.rmtree(_sources(), ignore_errors=True)
    with tarfile.open(here / f"kazoo-{VERSION}.tar.gz") as archive:
        archive.extractall(here, filter="data")
    shutil.copy(FILES / "common.py", _sources() / "kazoo" / "testing" / "common.py")
    shutil.copy(FILES / "outcomes.py", here)
    foreign.mark_built("kazoo", SOURCES, VERSION)


def tests() -> list[str]:
    said = foreign.call([*_pytest(), "--collect-only", "-q", "kazoo/tests"], _sources(), env=_environment("zorilla"))
    listed = [line.removeprefix("kazoo/tests/") for line in said.splitlines() if "::" in line]
    return listed


def run(kind: str, selection: list[str], timeout_seconds: float) -> list[Outcome]:
    # A test that hangs is ended with the whole process.
    return foreign.in_pieces(lambda left, seconds: _run_once(kind, left, seconds), selection, timeout_seconds)


def _run_once(kind: str, selection: list[str], timeout_seconds: float) -> list[Outcome]:
    log = foreign.folder("kazoo") / f"outcomes-{kind}.jsonl"
    log.unlink(missing_ok=True)
    environment = {**_environment(kind), "OUTCOMES": str(log)}
    limit = ["-o", f"timeout={TEST_SECONDS}", "-o", "timeout_method=thread"]
    command = [*_pytest(), "-p", "outcomes", *limit, *(f"kazoo/tests/{test}" for test in selection)]
    _, said = foreign.call_bounded(command, timeout_seconds, _sources(), environment)
    foreign.keep_log("kazoo", kind, said)
    return _outcomes(log)


def _outcomes(log: Path) -> list[Outcome]:
    """A test reports its call, and its set-up or tear-down when they went wrong: the worst counts."""
    found: dict[str, Outcome] = {}
    for line in log.read_text().splitlines() if log.exists() else []:
        node, when, result, detail = json.loads(line)
        test = node.removeprefix("kazoo/tests/")
        if test not in found or result == "failed":
            told = detail.removeprefix("Skipped: ") if result == "skipped" else foreign.tail(f"{when}: {detail}")
            found[test] = Outcome(test, RESULTS[result], told)
    return list(found.values())


def _pytest() -> list:
    # Their own options show every log line.
    return [_python(), "-m", "pytest", "-p", "no:cacheprovider", "-o", "addopts=", "-o", "log_cli=false"]


def _environment(kind: str) -> dict[str, str]:
    scripts = foreign.zk_server_script(kind, foreign.folder("kazoo") / f"bin-{kind}").parent
    ours = {
        "ZOOKEEPER_PATH": str(scripts),
        "ZOOKEEPER_VERSION": "3.9.4",
        "ZOOKEEPER_CLUSTER_SIZE": "1",
        "PYTHONPATH": os.pathsep.join([str(foreign.folder("kazoo")), str(_sources())]),
    }
    # CI makes them wait for ensembles to settle.
    return {key: value for key, value in os.environ.items() if key != "CI"} | ours


def _python() -> Path:
    return foreign.folder("kazoo") / "venv" / "bin" / "python"


def _sources() -> Path:
    return foreign.folder("kazoo") / f"kazoo-{VERSION}"
