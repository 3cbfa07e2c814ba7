"""Runs test classes from jars: a JVM for each class, as their own builds do, three at a time.

`java/` has the classes that put Zorilla in the place of the server within the JVM. Against Apache they are left out, and
the tests run as they are.
"""

from __future__ import annotations

import base64
import os
import shutil
import tempfile
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness import foreign, servers
from harness.foreign import FAILED, Outcome

JAVA = Path(__file__).resolve().parent / "java"
# Classes at the same time: most of them sleep most of the time.
WORKERS = 3
# One class, however many tests it has.
CLASS_SECONDS = 600.0
# Tests are short: what the compiler costs is more than what it brings.
FLAGS = ["-Xmx768m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
STAND_INS = ["-Dzookeeper.serverCnxnFactory=org.apache.zookeeper.server.ZorillaCnxnFactory"]
_building = threading.Lock()


def missing() -> str | None:
    absent = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    return f"{' and '.join(absent)} not installed" if absent else None


def prepare() -> None:
    """Resolves the jars and compiles the stand-ins, for both suites at once."""
    sources = [JAVA / "pom.xml", *JAVA.rglob("*.java")]
    with _building:
        if foreign.built("java", sources):
            return
        target = foreign.folder("java")
        shutil.rmtree(target, ignore_errors=True)
        foreign.call(["mvn", "-q", "-B", "-f", JAVA / "pom.xml", f"-Dtarget={target}", "process-classes"])
        shutil.copytree(target / "classes" / "zorilla", target / "runner" / "zorilla")
        foreign.mark_built("java", sources)


class Suite:
    """The test classes of some jars."""

    def __init__(self, name: str, jars: list[str], prefix: str, flags: list[str], class_flags: dict[str, list[str]]):
        self.name = name
        self.jars = jars
        # What every class name begins with, left out of the ids.
        self.prefix = prefix
        # For the JVM of every class, and by the id of a class for its own.
        self.flags = flags
        self.class_flags = class_flags

    def tests(self) -> list[str]:
        """`package.Class#method`, without the prefix; one that cannot be read here has one, `unreadable`."""
        return list(self._unique_ids())

    def run(self, kind: str, selection: list[str], timeout_seconds: float) -> list[Outcome]:
        deadline = time.monotonic() + timeout_seconds
        ids = self._unique_ids()
        by_class: dict[str, list[str]] = {}
        for test in selection:
            by_class.setdefault(test.split("#")[0], []).append(test)
        free = list(range(1, WORKERS + 1))

        def one(tests: list[str]) -> list[Outcome]:
            worker = free.pop()
            try:
                seconds = min(CLASS_SECONDS, deadline - time.monotonic())
                return self._run_class(kind, worker, {ids[test]: test for test in tests}, seconds) if seconds > 0 else []
            finally:
                free.append(worker)

        with ThreadPoolExecutor(WORKERS) as pool:
            # The classes with the most tests first, so that the last one is a short one.
            every = sorted(by_class.values(), key=len, reverse=True)
            return [outcome for outcomes in pool.map(one, every) for outcome in outcomes]

    def _unique_ids(self) -> dict[str, str]:
        """Test id -> JUnit's unique id. Asked of JUnit once for each build."""
        listed = foreign.folder("java") / f"{self.name}-tests.txt"
        if not listed.exists():
            classes = foreign.folder("java") / f"{self.name}-classes.txt"
            classes.write_text("\n".join(self._classes()) + "\n")
            command = ["java", *FLAGS, "-cp", _class_path("zorilla"), "zorilla.suites.Runner", "list", classes]
            said = foreign.call(command, foreign.folder("java"))
            listed.write_text("".join(f"{line}\n" for line in said.splitlines() if "\t" in line))
        lines = (line.split("\t") for line in listed.read_text().splitlines())
        return {name.removeprefix(self.prefix): unique for name, unique in lines}

    def _classes(self) -> list[str]:
        names = []
        for jar in self.jars:
            with zipfile.ZipFile(_libraries() / jar) as file:
                names += [name[: -len(".class")].replace("/", ".") for name in file.namelist() if name.endswith(".class")]
        return sorted(name for name in names if "$" not in name and "Test" in name.rsplit(".", 1)[1])

    def _run_class(self, kind: str, worker: int, tests: dict[str, str], seconds: float) -> list[Outcome]:
        unreadable = {unique: test for unique, test in tests.items() if unique.startswith("!")}
        if unreadable:
            return [Outcome(test, FAILED, unique) for unique, test in unreadable.items()]
        name = next(iter(tests.values())).split("#")[0]
        directory = Path(tempfile.mkdtemp(prefix=f"{self.name}-{kind}-"))
        try:
            (directory / "tmp").mkdir()
            (directory / "tests.txt").write_text("".join(f"{test}\t{unique}\n" for unique, test in tests.items()))
            properties = [
                f"-Djava.io.tmpdir={directory / 'tmp'}",
                f"-Dbuild.test.dir={directory / 'tmp'}",
                f"-Dlogback.configurationFile={JAVA / 'logback.xml'}",
                f"-Dtest.junit.threads={WORKERS}",
                f"-Dzookeeper.junit.threadid={worker}",
                *self.flags,
                *self.class_flags.get(name, []),
                *(STAND_INS if kind == "zorilla" else []),
            ]
            runner = ["zorilla.suites.Runner", "run", directory / "tests.txt", directory / "results.txt"]
            environment = {key: value for key, value in os.environ.items() if key != "ZORILLA_BIN"}
            environment["SUITES_DIRECTORY"] = str(directory)
            if kind == "zorilla":
                environment["ZORILLA_BIN"] = str(servers.zorilla_binary())
            command = ["java", *FLAGS, *properties, "-cp", _class_path(kind), *runner]
            _, said = foreign.call_bounded(command, seconds, directory, environment)
            outcomes = _outcomes(directory / "results.txt")
            if len(outcomes) < len(tests) or any(outcome.result == FAILED for outcome in outcomes):
                self._keep(kind, name, directory, said)
            return outcomes
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def _keep(self, kind: str, name: str, directory: Path, said: str) -> None:
        """The logs of a class that failed, for whoever looks into it."""
        kept = foreign.folder(self.name) / kind / name
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        (kept / "tests.log").write_text(said)
        for path in [*directory.glob("server-*"), *directory.glob("*.txt")]:
            shutil.copy(path, kept)


def _outcomes(results: Path) -> list[Outcome]:
    if not results.exists():
        return []
    outcomes = {}
    for line in results.read_text().splitlines():
        test, result, detail = line.split("\t")
        text = base64.b64decode(detail).decode(errors="replace")
        # The message and the frames nearest to it say most.
        outcomes.setdefault(test, Outcome(test, result, "\n".join(text.splitlines()[:12])))
    return list(outcomes.values())


def _libraries() -> Path:
    return foreign.folder("java") / "lib"


def _class_path(kind: str) -> str:
    """Against Apache only the runner is ours: the stand-ins have a folder of their own."""
    target = foreign.folder("java")
    ours = [target / "classes"] if kind == "zorilla" else [target / "runner"]
    return os.pathsep.join([*(str(path) for path in ours), str(_libraries() / "*")])
