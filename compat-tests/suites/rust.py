"""zookeeper-client 0.11.2 and tokio-zookeeper 0.4.0 (Rust), their own tests.

zookeeper-client starts its servers in containers: a crate of ours takes the place of the one that does that
(rust/testcontainers). tokio-zookeeper connects to a fixed address: it is told another.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness import foreign, servers
from harness.foreign import FAILED, PASSED, SKIPPED_ITSELF, Outcome

CRATES = {"zookeeper-client": "0.11.2", "tokio-zookeeper": "0.4.0"}
FILES = Path(__file__).parent / "rust"
SOURCES = [path for path in FILES.rglob("*") if path.is_file()]
# Tests at the same time: they wait more than they work.
WORKERS = 4
# Of what they compile in their profile only this differs: no link-time optimisation, no debug information.
ENVIRONMENT = {"CARGO_PROFILE_DEV_LTO": "off", "CARGO_PROFILE_DEV_DEBUG": "0", "CARGO_INCREMENTAL": "0"}
FIXED_ADDRESS = '"127.0.0.1:2181".parse()'
GIVEN_ADDRESS = 'std::env::var("ZOOKEEPER_ADDRESS").unwrap().parse()'

QUICK = [
    "tokio-zookeeper/*",
    "zookeeper-client/zookeeper::test_auth",
    "zookeeper-client/zookeeper::test_create*",
    "zookeeper-client/zookeeper::test_chroot",
    "zookeeper-client/zookeeper::test_lock*",
    "zookeeper-client/zookeeper::test_multi*",
    "zookeeper-client/zookeeper::test_persistent*",
    "zookeeper-client/zookeeper::test_watcher_*",
]
SECONDS = 900.0


def missing() -> str | None:
    return None if shutil.which("cargo") else "cargo is not installed"


def prepare() -> None:
    words = [f"{name}@{version}" for name, version in CRATES.items()]
    if foreign.built("rust", SOURCES, *words):
        return
    for name, found in _downloaded().items():
        shutil.rmtree(_crate(name), ignore_errors=True)
        shutil.copytree(found, _crate(name))
        with open(_crate(name) / "Cargo.toml", "a") as manifest:
            # Not a member of the workspace that it lies in.
            manifest.write("\n[workspace]\n")
    _adapt_zookeeper_client()
    _adapt_tokio_zookeeper()
    binaries = {name: _built(name) for name in CRATES}
    (foreign.folder("rust") / "binaries.json").write_text(json.dumps(binaries))
    foreign.mark_built("rust", SOURCES, *words)


def _downloaded() -> dict[str, Path]:
    """The sources as the registry has them, by way of a package that depends on them."""
    probe = foreign.folder("rust") / "resolve"
    (probe / "src").mkdir(parents=True, exist_ok=True)
    (probe / "src" / "lib.rs").write_text("")
    wanted = "".join(f'{name} = "={version}"\n' for name, version in CRATES.items())
    (probe / "Cargo.toml").write_text(
        f'[package]\nname = "resolve"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n[dependencies]\n{wanted}'
    )
    packages = json.loads(foreign.call(["cargo", "metadata", "--format-version", "1"], probe))["packages"]
    return {package["name"]: Path(package["manifest_path"]).parent for package in packages if package["name"] in CRATES}


def _adapt_zookeeper_client() -> None:
    here = _crate("zookeeper-client")
    shutil.copytree(FILES / "testcontainers", here / "testcontainers")
    before = "[dev-dependencies.test-case]"
    ours = '[dev-dependencies.testcontainers]\npath = "testcontainers"\n\n'
    foreign.patch(here / "Cargo.toml", before, ours + before)


def _adapt_tokio_zookeeper() -> None:
    here = _crate("tokio-zookeeper")
    library = here / "src" / "lib.rs"
    prose, tests = library.read_text().split("mod tests {")
    library.write_text(prose + "mod tests {" + tests.replace(FIXED_ADDRESS, GIVEN_ADDRESS))


def _built(name: str) -> dict[str, str]:
    """Builds a crate's tests; the binaries by the name of what they test."""
    command = ["cargo", "test", "--no-run", "--lib", "--tests", "--message-format", "json"]
    environment = {**os.environ, **ENVIRONMENT, "CARGO_TARGET_DIR": str(foreign.folder("rust") / "build")}
    said = foreign.call(command, _crate(name), 1500, environment)
    made = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return {
        artifact["target"]["name"]: artifact["executable"]
        for artifact in made
        if artifact.get("executable") and artifact["profile"]["test"]
    }


def tests() -> list[str]:
    listed = []
    for crate, target, binary in _binaries():
        lines = foreign.call([binary, "--list", "--format", "terse"], _crate(crate)).splitlines()
        listed += [f"{crate}/{target}::{line.removesuffix(': test')}" for line in lines if line.endswith(": test")]
    return listed


def run(kind: str, selection: list[str], timeout_seconds: float) -> list[Outcome]:
    deadline = time.monotonic() + timeout_seconds
    scripts = foreign.zk_server_script(kind, foreign.folder("rust") / f"bin-{kind}").parent
    binaries = {f"{crate}/{target}": (crate, binary) for crate, target, binary in _binaries()}
    with servers.start(kind) as server, ThreadPoolExecutor(WORKERS) as pool:
        environment = {**os.environ, "ZOOKEEPER_BIN_PATH": str(scripts), "ZOOKEEPER_ADDRESS": server.address, "NO_COLOR": "1"}

        def one(test: str) -> Outcome:
            group, name = test.split("::", 1)
            crate, binary = binaries[group]
            return alone(test, [binary, "--exact", name], deadline - time.monotonic(), _crate(crate), environment)

        outcomes = list(pool.map(one, selection))
    for outcome in outcomes:
        if outcome.result == FAILED:
            foreign.keep_log("rust", kind, f"==== {outcome.test_id}\n{outcome.detail}\n")
    return outcomes


def alone(test: str, command: list[str], seconds: float, directory: Path, environment: dict) -> Outcome:
    """One test in a process of its own, whose exit code is the verdict.

    What the harness prints is none: the logs of other threads come between `test NAME ... ` and `ok`.
    """
    if seconds <= 0:
        return Outcome(test, FAILED, "the suite ran out of time before it")
    code, said = foreign.call_bounded(command, seconds, directory, environment)
    if code != 0:
        return Outcome(test, FAILED, foreign.tail(said))
    # Exit code 0, too.
    return Outcome(test, SKIPPED_ITSELF if re.search(r"\b1 ignored;", said) else PASSED)


def _binaries() -> list[tuple[str, str, str]]:
    known = json.loads((foreign.folder("rust") / "binaries.json").read_text())
    return [(crate, target, binary) for crate, binaries in known.items() for target, binary in sorted(binaries.items())]


def _crate(name: str) -> Path:
    return foreign.folder("rust") / name
