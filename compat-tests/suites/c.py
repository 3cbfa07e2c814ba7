"""Apache's C client 3.8.0 as Debian packages it, with threads (mt) and without (st): programs of ours.

Debian ships no test suite of it.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from clients import programs
from harness import foreign
from harness.foreign import FAILED, PASSED, Outcome

FILES = Path(__file__).parent / "c"
SOURCES = sorted([*FILES.glob("*.c"), *FILES.glob("*.h")])
BOTH = ["suite.c", "async.c", "sessions.c"]
# The development package of the one excludes that of the other; to link, the library itself is enough.
VARIANTS = {
    "mt": [*BOTH, "sync.c", "-DTHREADED", "-l:libzookeeper_mt.so.2", "-lpthread"],
    "st": [*BOTH, "-l:libzookeeper_st.so.2"],
}
TEST_SECONDS = 100.0

QUICK = ["*"]
SECONDS = 600.0


def missing() -> str | None:
    if not shutil.which("cc"):
        return "cc is not installed"
    if not programs.C_HEADER.exists():
        return "the C client (Debian: libzookeeper-mt-dev) is not installed"
    if not list(Path("/usr/lib").glob("*/libzookeeper_st.so.2")):
        return "the C client without threads (Debian: libzookeeper-st2) is not installed"
    return None


def prepare() -> None:
    if foreign.built("c", SOURCES, *sum(VARIANTS.values(), [])):
        return
    for variant, words in VARIANTS.items():
        flags = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror"]
        foreign.call(["cc", *flags, "-o", _binary(variant), *words], FILES)
    foreign.mark_built("c", SOURCES, *sum(VARIANTS.values(), []))


def tests() -> list[str]:
    return [f"{variant}/{test}" for variant in VARIANTS for test in foreign.call([_binary(variant), "--list"]).split()]


def run(kind: str, selection: list[str], timeout_seconds: float) -> list[Outcome]:
    deadline = time.monotonic() + timeout_seconds
    outcomes = []
    for variant in VARIANTS:
        # One server for each library: the tests of both use the same paths.
        with programs.start(kind) as server:
            for test in (test for test in selection if test.startswith(f"{variant}/")):
                if time.monotonic() < deadline:
                    outcomes.append(_outcome(test, server))
    return outcomes


def _outcome(test: str, server) -> Outcome:
    variant, name = test.split("/")
    try:
        programs.run([str(_binary(variant)), name], server, TEST_SECONDS, restarts=int(name.startswith("restart")))
    except AssertionError as failure:
        if not server.alive():
            server.restart()
        return Outcome(test, FAILED, str(failure).partition("--- the server's log")[0])
    return Outcome(test, PASSED)


def _binary(variant: str) -> Path:
    return foreign.folder("c") / f"suite-{variant}"
