"""Runs a client program against a server, and kills and restarts the server when the program asks for it.

A program takes the server's address as its last argument, prints one line per check, and exits non-zero at the first
that fails. It prints `RESTART` when it wants the server killed (-9) and started again, and reads one line from its
standard input to learn that the server serves again.
"""

from __future__ import annotations

import base64
import hashlib
import os
import queue
import shutil
import subprocess
import threading
import time
from pathlib import Path

from harness import servers

CLIENTS = Path(__file__).resolve().parent
JAVA = CLIENTS / "java"
JAVA_LIBRARIES = JAVA / "target" / "lib"
BUILD_SECONDS = 600
SUPER_DIGEST = "super:" + base64.b64encode(hashlib.sha1(b"super:secret").digest()).decode()

# Short ticks let sessions and containers end within a test.
CONFIG = {
    "tickTime": 500,
    "maxSessionTimeout": 60000,
    "extendedTypesEnabled": True,
    "enforceQuota": True,
    "4lw.commands.whitelist": "*",
    "DigestAuthenticationProvider.superDigest": SUPER_DIGEST,
}
JVM = {"znode.container.checkIntervalMs": 500}


def start(kind: str) -> servers.Server:
    """A server as the programs expect it: short ticks, TTL nodes, enforced quotas, a super user."""
    return servers.start(kind, CONFIG, JVM)


def run(command: list[str], server: servers.Server, timeout_seconds: float = 120.0, restarts: int = 0) -> list[str]:
    """Runs the program to its end and returns what it printed; it must succeed after exactly `restarts` restarts."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [*command, server.address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    lines: queue.Queue[str | None] = queue.Queue()
    errors: list[str] = []
    readers = [
        threading.Thread(target=lambda: ([lines.put(line.rstrip("\n")) for line in process.stdout], lines.put(None))),
        threading.Thread(target=lambda: errors.extend(process.stderr)),
    ]
    for reader in readers:
        reader.daemon = True
        reader.start()
    printed: list[str] = []
    asked = 0
    deadline = time.monotonic() + timeout_seconds
    try:
        while True:
            try:
                line = lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(_story(f"not done within {timeout_seconds:.0f} s", printed, errors, server)) from None
            if line is None:
                break
            printed.append(line)
            if line == "RESTART":
                asked += 1
                server.kill9()
                server.restart()
                process.stdin.write("restarted\n")
                process.stdin.flush()
        status = process.wait(10)
        readers[1].join(5)
        assert status == 0, _story(f"exit status {status}", printed, errors, server)
        assert asked == restarts, _story(f"{asked} restarts asked for, {restarts} expected", printed, errors, server)
        return printed
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)


def _story(what: str, printed: list[str], errors: list[str], server: servers.Server) -> str:
    tail = [*printed[-12:], *(line.rstrip() for line in errors[-25:])]
    return "\n".join([what, *tail, "--- the server's log:", server.log_tail()])


def java(main: str) -> list[str]:
    """The command of a Java program; built by Maven when its sources are newer than the last build."""
    build_java()
    return ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", java_classpath(), main]


def java_classpath() -> str:
    return os.pathsep.join([str(JAVA / "target" / "classes"), str(JAVA_LIBRARIES / "*")])


def build_java() -> None:
    stamp = JAVA / "target" / "built"
    sources = [JAVA / "pom.xml", *JAVA.glob("src/**/*.java")]
    if not _is_stale(stamp, sources):
        return
    _build(["mvn", "-q", "-B", "-f", str(JAVA / "pom.xml"), "package"], JAVA)
    stamp.touch()


def _is_stale(product: Path, sources: list[Path]) -> bool:
    return not product.exists() or product.stat().st_mtime < max(source.stat().st_mtime for source in sources)


def _build(command: list[str], directory: Path) -> None:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=BUILD_SECONDS)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"


def tool(name: str) -> str:
    """A tool's path; a missing one is a missing installation, not a reason to skip."""
    path = shutil.which(name)
    assert path, f"{name} is not installed: compat-tests/setup says what is needed"
    return path


def go() -> list[str]:
    """The command of the Go program, built when its sources are newer."""
    directory = CLIENTS / "go"
    binary = directory / "bin" / "compat"
    if _is_stale(binary, [directory / "go.mod", directory / "go.sum", *directory.glob("*.go")]):
        _build([tool("go"), "build", "-o", str(binary), "."], directory)
    return [str(binary)]


def node() -> list[str]:
    """The command of the Node program, its packages installed as the lock file says."""
    directory = CLIENTS / "node"
    modules = directory / "node_modules"
    if _is_stale(modules / ".package-lock.json", [directory / "package-lock.json"]):
        _build([tool("npm"), "ci", "--no-audit", "--no-fund"], directory)
        (modules / ".package-lock.json").touch()
    return [tool("node"), str(directory / "main.js")]


C_HEADER = Path("/usr/include/zookeeper/zookeeper.h")


def c() -> list[str]:
    """The command of the C program, compiled against the system's multi-threaded client library."""
    directory = CLIENTS / "c"
    binary = directory / "bin" / "compat"
    if _is_stale(binary, [directory / "main.c"]):
        binary.parent.mkdir(exist_ok=True)
        flags = ["-Wall", "-Wextra", "-Werror", "-DTHREADED", "-o", str(binary), "main.c", "-lzookeeper_mt", "-lpthread"]
        _build([tool("cc"), *flags], directory)
    return [str(binary)]


def build_all() -> None:
    """Everything that a registry or a compiler is needed for, so that the tests themselves need neither."""
    build_java()
    go()
    if shutil.which("npm"):
        node()
    if C_HEADER.exists():
        c()
