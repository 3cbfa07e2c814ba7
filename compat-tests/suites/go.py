"""go-zookeeper/zk 1.0.4, its own tests.

They start their servers by a `zkServer.sh` of their choice: ours starts the server under test. Whether it serves they ask
in a way that fails with every server since 3.6, so that question is put differently (go/started_test.go).
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from harness import foreign
from harness.foreign import FAILED, PASSED, SKIPPED_ITSELF, Outcome

VERSION = "1.0.4"
MODULE = f"github.com/go-zookeeper/zk@v{VERSION}"
# Which outcome of Go's is which of ours.
RESULTS = {"PASS": PASSED, "FAIL": FAILED, "SKIP": SKIPPED_ITSELF}

SHIM = Path(__file__).parent / "go" / "started_test.go"
HARNESS = "server_help_test.go"
PATCHES = {
    "_, ok := FLWSrvr(serverAddrs, time.Second)": "ok := allServe(serverAddrs, time.Second)",
    # A JVM takes its time to start on a busy machine.
    "cluster.waitForStart(30, time.Second)": "cluster.waitForStart(120, time.Second)",
}

QUICK = ["Test*"]
SECONDS = 600.0


def missing() -> str | None:
    return None if shutil.which("go") else "go is not installed"


def prepare() -> None:
    if foreign.built("go", [SHIM], MODULE, *PATCHES.values()):
        return
    here = foreign.folder("go")
    (here / "go.mod").write_text("module resolve\n")
    found = foreign.call(["go", "mod", "download", "-json", MODULE], here)
    cached = Path(re.search(r'"Dir": "([^"]+)"', found)[1])
    shutil.rmtree(_sources(), ignore_errors=True)
    # The module cache is read-only.
    shutil.copytree(cached, _sources(), copy_function=shutil.copyfile)
    for folder in [_sources(), *(path for path in _sources().rglob("*") if path.is_dir())]:
        folder.chmod(0o755)
    shutil.copy(SHIM, _sources())
    for theirs, ours in PATCHES.items():
        foreign.patch(_sources() / HARNESS, theirs, ours)
    foreign.call(["go", "test", "-c", "-o", _binary(), "."], _sources())
    foreign.mark_built("go", [SHIM], MODULE, *PATCHES.values())


def tests() -> list[str]:
    return foreign.call([_binary(), "-test.list", "^Test"], _sources()).split()


def run(kind: str, selection: list[str], timeout_seconds: float) -> list[Outcome]:
    scripts = foreign.zk_server_script(kind, foreign.folder("go") / f"bin-{kind}").parent
    environment = {**os.environ, "ZOOKEEPER_BIN_PATH": str(scripts)}

    def once(left: list[str], seconds: float) -> list[Outcome]:
        command = [_binary(), "-test.v", "-test.run", f"^({'|'.join(left)})$", "-test.timeout", f"{int(seconds) + 1}s"]
        _, said = foreign.call_bounded(command, seconds + 10, _sources(), environment)
        foreign.keep_log("go", kind, said)
        return _outcomes(said)

    return foreign.in_pieces(once, selection, timeout_seconds)


def _outcomes(said: str) -> list[Outcome]:
    """Each test's verdict with what was said since it began. The verdict may stand behind a server's unfinished line."""
    outcomes = []
    for verdict in re.finditer(r"--- (PASS|FAIL|SKIP): (\w+) \(", said):
        result, test = RESULTS[verdict[1]], verdict[2]
        began = said.rfind(f"=== RUN   {test}\n", 0, verdict.start())
        rest = said[verdict.start() : said.find("\n=== RUN", verdict.start())]
        story = said[max(began, 0) : verdict.start()] + rest if result == FAILED else rest
        outcomes.append(Outcome(test, result, foreign.tail(story)))
    return outcomes


def _sources() -> Path:
    return foreign.folder("go") / "zk"


def _binary() -> Path:
    return foreign.folder("go") / "zk.test"
