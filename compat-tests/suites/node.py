"""zookeeper 7.3.0 and node-zookeeper-client 1.1.3 (Node.js), their own tests and ours.

Their tests cover little of the server's side (the second's none), so programs of ours over both stand beside them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

from clients import programs
from harness import foreign
from harness.foreign import FAILED, PASSED, SKIPPED_ITSELF, Outcome

FILES = Path(__file__).parent / "node"
OURS = ("native.test.js", "pure.test.js")
SOURCES = [FILES / name for name in ("package.json", "package-lock.json", *OURS)]
FILE_SECONDS = 120.0

QUICK = ["*"]
SECONDS = 600.0


def missing() -> str | None:
    lacking = [tool for tool in ("node", "npm", "make", "c++") if not shutil.which(tool)]
    return f"not installed: {', '.join(lacking)}" if lacking else None


def prepare() -> None:
    if foreign.built("node", SOURCES):
        return
    here = foreign.folder("node")
    for source in SOURCES:
        shutil.copy(source, here)
    # The native package builds Apache's C client from its own sources.
    foreign.call(["npm", "ci", "--no-audit", "--no-fund"], here)
    # ava runs nothing below a node_modules.
    shutil.rmtree(here / "zookeeper", ignore_errors=True)
    shutil.copytree(here / "node_modules" / "zookeeper", here / "zookeeper", symlinks=True)
    foreign.mark_built("node", SOURCES)


def tests() -> list[str]:
    """Every test as `FILE: TITLE`. The titles of ava and node:test are read from the sources: neither can list them."""
    listed = []
    for path in [*_ava_files(), *_our_files()]:
        titles = re.findall(r"""^test\(\s*(['"])(.+?)\1,""", path.read_text(), re.MULTILINE)
        listed += [f"{_name(path)}: {title}" for _, title in titles]
    return listed + [outcome.test_id for outcome in _mocha("zorilla")]


def run(kind: str, selection: list[str], timeout_seconds: float) -> list[Outcome]:
    outcomes = []
    with programs.start(kind) as server:
        environment = {**os.environ, "ZOOKEEPER_ADDRESS": server.address}
        for path in _ava_files():
            if _is_selected(_name(path), selection):
                command = [_bin("ava"), "--tap", path.relative_to(_package()), "--", server.address]
                outcomes += _tap(path, kind, foreign.call_bounded(command, FILE_SECONDS, _package(), environment)[1])
        for path in _our_files():
            if _is_selected(_name(path), selection):
                command = ["node", "--test-reporter=tap", path]
                outcomes += _tap(path, kind, foreign.call_bounded(command, FILE_SECONDS, path.parent, environment)[1])
    if _is_selected("node-zookeeper-client", selection):
        outcomes += _mocha(kind)
    return [outcome for outcome in outcomes if outcome.test_id in selection]


def _is_selected(name: str, selection: list[str]) -> bool:
    return any(test.startswith(f"{name}: ") for test in selection)


def _tap(path: Path, kind: str, said: str) -> list[Outcome]:
    foreign.keep_log("node", kind, said)
    outcomes = []
    for verdict in re.finditer(r"^(not )?ok \d+ - (.*?)( # (?:SKIP|TODO).*)?\n((?:  .*\n|\n)*)", said, re.MULTILINE):
        # ava puts the file before the title when it feels like it.
        title = verdict[2].split(" › ")[-1]
        result = SKIPPED_ITSELF if verdict[3] else FAILED if verdict[1] else PASSED
        outcomes.append(Outcome(f"{_name(path)}: {title}", result, foreign.tail(verdict[4]) if verdict[1] else ""))
    return outcomes


def _mocha(kind: str) -> list[Outcome]:
    """node-zookeeper-client's tests, which need no server."""
    package = foreign.folder("node") / "node_modules" / "node-zookeeper-client"
    _, said = foreign.call_bounded([_bin("mocha"), "--recursive", "--reporter", "json", "test"], FILE_SECONDS, package)
    foreign.keep_log("node", kind, said)
    report = json.loads(said[said.index("{") :])
    failed = {test["fullTitle"]: test["err"].get("stack", "") for test in report["failures"]}
    pending = {test["fullTitle"] for test in report["pending"]}
    return [
        Outcome(
            f"node-zookeeper-client: {test['fullTitle']}",
            FAILED if test["fullTitle"] in failed else SKIPPED_ITSELF if test["fullTitle"] in pending else PASSED,
            failed.get(test["fullTitle"], ""),
        )
        for test in report["tests"]
    ]


def _ava_files() -> list[Path]:
    tests_of_theirs = _package() / "tests"
    return sorted([*tests_of_theirs.glob("unit/*/*.js"), *tests_of_theirs.glob("integration/*.js")])


def _our_files() -> list[Path]:
    return [foreign.folder("node") / name for name in OURS]


def _name(path: Path) -> str:
    return path.name if path.name in OURS else f"zookeeper/{path.relative_to(_package() / 'tests')}"


def _package() -> Path:
    return foreign.folder("node") / "zookeeper"


def _bin(name: str) -> Path:
    return foreign.folder("node") / "node_modules" / ".bin" / name
