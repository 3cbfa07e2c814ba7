"""Runs the suites of `suites/` against one server or both, and counts."""

from __future__ import annotations

import fnmatch
import hashlib
import importlib
import os
import pkgutil
import shlex
import shutil
import subprocess
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from harness import servers

TARGET = servers.COMPAT / "target" / "suites"
SKIPPED = servers.COMPAT / "skipped.toml"
SECONDS = 900.0
# One test alone, when it failed among others.
REPEAT_SECONDS = 180.0
DETAIL_LINES = 30
LOG_CHARS_MAX = 4_000_000

PASSED, FAILED, SKIPPED_ITSELF = "passed", "failed", "skipped"


class SuiteError(Exception):
    """A suite could not be resolved or built. The message carries the end of what the tool said."""


@dataclass(frozen=True)
class Outcome:
    """What became of one test: `passed`, `failed`, or `skipped` by the test itself, with what it said."""

    test_id: str
    result: str
    detail: str = ""


@dataclass
class Counts:
    """One suite against one kind of server."""

    passed: list[str] = field(default_factory=list)
    failed: list[Outcome] = field(default_factory=list)
    # Failed among others, passed alone.
    flaky: list[Outcome] = field(default_factory=list)
    # Skipped by the tests themselves, and those that skipped.toml leaves out: id -> reason.
    skipped: dict[str, str] = field(default_factory=dict)


@dataclass
class Report:
    """One suite against every kind of server asked for."""

    name: str
    title: str
    selected: int
    total: int
    missing: str | None = None
    counts: dict[str, Counts] = field(default_factory=dict)
    # Failed at Zorilla, and with Apache in its place as well, when each was run alone.
    fails_at_apache_too: list[str] = field(default_factory=list)

    def findings(self) -> list[Outcome]:
        """What Zorilla fails and Apache does not."""
        failed = self.counts["zorilla"].failed if "zorilla" in self.counts else []
        return [outcome for outcome in failed if outcome.test_id not in self.fails_at_apache_too]


def names() -> list[str]:
    """Every suite there is."""
    import suites

    return sorted(module.name for module in pkgutil.iter_modules(suites.__path__) if not module.name.startswith("_"))


def load(name: str) -> ModuleType:
    return importlib.import_module(f"suites.{name}")


def folder(name: str) -> Path:
    """Where a suite keeps what it resolved and built. Git ignores it."""
    path = TARGET / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def built(name: str, sources: list[Path], *words: str) -> bool:
    """Whether `mark_built` was called for exactly these sources and words (versions, say)."""
    stamp = folder(name) / "built.sha256"
    return stamp.exists() and stamp.read_text() == _digest(sources, words)


def mark_built(name: str, sources: list[Path], *words: str) -> None:
    (folder(name) / "built.sha256").write_text(_digest(sources, words))


def _digest(sources: list[Path], words: tuple[str, ...]) -> str:
    digest = hashlib.sha256(repr(words).encode())
    for source in sorted(sources):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def call(command: list, directory: Path | None = None, seconds: float = 900, env: dict | None = None) -> str:
    """Runs a tool that has to succeed and returns what it printed."""
    command = [str(word) for word in command]
    done = subprocess.run(
        command, cwd=directory, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds
    )
    if done.returncode != 0:
        raise SuiteError(f"{shlex.join(command)}: exit {done.returncode}\n{tail(done.stdout + done.stderr, 60)}")
    return done.stdout


def call_bounded(command: list, seconds: float, directory: Path | None = None, env: dict | None = None) -> tuple[int, str]:
    """Runs a test program with its process group; returns the exit code (-1: ended by us, out of time) and all it said."""
    process = subprocess.Popen(
        [str(word) for word in command],
        cwd=directory,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    out_of_time = False
    try:
        said, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        out_of_time = True
    finally:
        # Also when this runner is being ended, and also servers that the program left behind.
        end_group(process)
    if out_of_time:
        said, _ = process.communicate()
    return -1 if out_of_time else process.returncode, said.decode(errors="replace")


def in_pieces(once, selection: list[str], seconds: float) -> list[Outcome]:
    """Runs `once(tests, seconds)` until every test has an outcome.

    A test that hangs or panics may take the process with it: the first that said nothing has failed, and those behind it
    get a process of their own.
    """
    deadline = time.monotonic() + seconds
    outcomes: list[Outcome] = []
    left = list(selection)
    while left and time.monotonic() < deadline:
        outcomes += once(left, deadline - time.monotonic())
        known = {outcome.test_id for outcome in outcomes}
        left = [test for test in left if test not in known]
        if left:
            outcomes.append(Outcome(left.pop(0), FAILED, "the process ended, or was ended, without an outcome"))
    return outcomes


def end_group(process: subprocess.Popen) -> None:
    """Ends a process that was started in a session of its own, with all its children (the servers it started)."""
    try:
        os.killpg(process.pid, 9)
    except ProcessLookupError:
        pass


def zk_server_script(kind: str, directory: Path) -> Path:
    """Writes `zkServer.sh`, as Apache's distribution has it: `start-foreground CONFIG`, with SERVER_JVMFLAGS.

    It becomes the server by exec: who ends its process ends the server.
    """
    directory.mkdir(parents=True, exist_ok=True)
    script = directory / "zkServer.sh"
    given = {"PROPERTIES": "${SERVER_JVMFLAGS:-}", "CONFIG": '"$2"'}
    words = servers.command(kind, Path("CONFIG"), ["PROPERTIES"])
    script.write_text(f"#!/bin/sh\nexec {' '.join(given.get(word) or shlex.quote(word) for word in words)}\n")
    script.chmod(0o755)
    return script


def patch(path: Path, old: str, new: str) -> None:
    """Replaces a piece of a copied source, which has to be there exactly once."""
    text = path.read_text()
    if text.count(old) != 1:
        raise SuiteError(f"{path.name} holds {old!r} {text.count(old)} times, expected once")
    path.write_text(text.replace(old, new))


def keep_log(name: str, kind: str, said: str) -> None:
    """Keeps what a run said, for whoever looks into a failure: the last runs of a suite, the newest at the end."""
    path = folder(name) / f"{kind}.log"
    before = path.read_text()[-LOG_CHARS_MAX:] if path.exists() else ""
    path.write_text(before + said)


def tail(text: str, lines: int = DETAIL_LINES) -> str:
    return "\n".join(text.rstrip().splitlines()[-lines:])


class Skips:
    """`skipped.toml`: `[NAME]` is run against neither server, `[NAME-zorilla]` only against Apache. Names may be patterns."""

    def __init__(self) -> None:
        self.sections: dict[str, dict[str, str]] = tomllib.loads(SKIPPED.read_text())

    def reason(self, suite: str, kind: str, test_id: str) -> str | None:
        return next((why for pattern, why in self._patterns(suite, kind).items() if matches(test_id, [pattern])), None)

    def unused(self, suite: str, tests: list[str]) -> list[str]:
        """Entries that name no test of the suite any more."""
        patterns = self._patterns(suite, "zorilla")
        return [pattern for pattern in patterns if not any(matches(test, [pattern]) for test in tests)]

    def _patterns(self, suite: str, kind: str) -> dict[str, str]:
        return {**self.sections.get(suite, {}), **self.sections.get(f"{suite}-{kind}", {})}


def matches(test_id: str, patterns: list[str]) -> bool:
    # Ids have brackets (parametrised tests): only * and ? are special.
    return any(fnmatch.fnmatchcase(test_id, pattern.replace("[", "[[]")) for pattern in patterns)


def run(name: str, kinds: list[str], whole: bool, only: list[str], say) -> Report:
    """Runs one suite: all of it, its quick selection, or the tests that match `only`."""
    suite = load(name)
    why = suite.missing() if hasattr(suite, "missing") else None
    if why:
        return Report(name, title(suite), 0, 0, missing=why)
    say(f"{name}: preparing")
    suite.prepare()
    tests, skips = suite.tests(), Skips()
    unused = skips.unused(name, tests)
    if unused:
        raise SuiteError(f"skipped.toml names tests that {name} does not have: {', '.join(unused)}")
    patterns = only or (["*"] if whole else suite.QUICK)
    selection = [test for test in tests if matches(test, patterns)]
    if not selection and not only:
        raise SuiteError(f"the quick selection of {name} matches no test")
    report = Report(name, title(suite), len(selection), len(tests))
    for kind in kinds:
        report.counts[kind] = _against(suite, name, kind, selection, skips, say)
    _apache_too(suite, report, say)
    return report


def title(suite: ModuleType) -> str:
    return (suite.__doc__ or suite.__name__).strip().splitlines()[0].rstrip(".")


def _against(suite: ModuleType, name: str, kind: str, selection: list[str], skips: Skips, say) -> Counts:
    counts = Counts()
    wanted = []
    for test in selection:
        reason = skips.reason(name, kind, test)
        if reason:
            counts.skipped[test] = reason
        else:
            wanted.append(test)
    say(f"{name}: {len(wanted)} tests against {kind}")
    outcomes = _outcomes(suite, kind, wanted, getattr(suite, "SECONDS", SECONDS)) if wanted else []
    for outcome in outcomes:
        if outcome.result == PASSED:
            counts.passed.append(outcome.test_id)
        elif outcome.result == SKIPPED_ITSELF:
            counts.skipped[outcome.test_id] = outcome.detail or "skipped by the test"
        else:
            _repeat(suite, kind, outcome, counts, say)
    return counts


def _repeat(suite: ModuleType, kind: str, failure: Outcome, counts: Counts, say) -> None:
    """A test that failed among others is run once more alone."""
    say(f"  failed, once more alone: {failure.test_id}")
    again = _outcomes(suite, kind, [failure.test_id], REPEAT_SECONDS)[0]
    (counts.flaky if again.result == PASSED else counts.failed).append(failure)


def _apache_too(suite: ModuleType, report: Report, say) -> None:
    """What Zorilla failed is run alone against Apache, unless it was run against it already."""
    for failure in report.counts["zorilla"].failed if "zorilla" in report.counts else []:
        if "apache" in report.counts:
            fails = any(outcome.test_id == failure.test_id for outcome in report.counts["apache"].failed)
        else:
            say(f"  the same against apache: {failure.test_id}")
            fails = _outcomes(suite, "apache", [failure.test_id], REPEAT_SECONDS)[0].result == FAILED
        if fails:
            report.fails_at_apache_too.append(failure.test_id)


def _outcomes(suite: ModuleType, kind: str, selection: list[str], seconds: float) -> list[Outcome]:
    """One outcome for each test of the selection, in its order: a test that said nothing has failed."""
    given = {outcome.test_id: outcome for outcome in suite.run(kind, selection, seconds)}
    unknown = set(given) - set(selection)
    if unknown:
        raise SuiteError(f"{suite.__name__} reports tests that it was not asked for: {', '.join(sorted(unknown))}")
    return [given.get(test) or Outcome(test, FAILED, "did not report an outcome") for test in selection]


def table(reports: list[Report], kinds: list[str]) -> str:
    """The counts, as Markdown."""
    head = ["suite", "tests"] + [f"{kind}: {word}" for kind in kinds for word in ("passed", "failed", "flaky", "skipped")]
    rows = [head, ["---"] + ["---:"] * (len(head) - 1)]
    for report in reports:
        if report.missing:
            rows.append([report.title, "not run: " + report.missing] + [""] * (len(head) - 2))
            continue
        of = f"{report.selected}" if report.selected == report.total else f"{report.selected} of {report.total}"
        row = [report.title, of]
        for kind in kinds:
            counts = report.counts[kind]
            row += [str(len(which)) for which in (counts.passed, counts.failed, counts.flaky, counts.skipped)]
        rows.append(row)
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def reasons(report: Report, kind: str) -> list[str]:
    """Why tests were skipped, the most frequent reason first."""
    why: dict[str, int] = {}
    for reason in report.counts[kind].skipped.values():
        why[reason] = why.get(reason, 0) + 1
    return [f"{count} x {reason}" for reason, count in sorted(why.items(), key=lambda item: -item[1])]


def clean(name: str) -> None:
    """Forgets what a suite resolved and built."""
    shutil.rmtree(TARGET / name, ignore_errors=True)
