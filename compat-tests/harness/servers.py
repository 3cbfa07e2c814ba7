"""Starts and controls one server under test: Zorilla, or the Apache server it is compared with.

Both are started the same way, from a `zoo.cfg` in a directory of their own, on a free loopback port, and both are
ready when they answer a handshake. Everything here is bounded in time; only processes started here are ever ended.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

COMPAT = Path(__file__).resolve().parent.parent
CHECKOUT = COMPAT.parent
# Where cargo puts release binaries.
RELEASE = Path(os.environ.get("CARGO_TARGET_DIR") or CHECKOUT / "target") / "release"
APACHE = COMPAT / "apache"
APACHE_JARS = COMPAT / "target" / "apache"
APACHE_MAIN = "org.apache.zookeeper.server.quorum.QuorumPeerMain"

# Small and quick to start: right for tests, wrong for measurements.
JAVA_FLAGS = ["-Xmx512m", "-XX:+UseSerialGC"]

KINDS = ("zorilla", "apache")
HOST = "127.0.0.1"
READY_SECONDS = 60.0
STOP_SECONDS = 30.0
LOG_TAIL_LINES = 40

# A resume of a session that cannot exist: a serving server answers it with a ConnectResponse ("expired"), and it
# makes no session and uses no zxid, so that a test finds the server untouched.
# protocolVersion 0, lastZxidSeen 0, timeOut 4000 ms, sessionId 1, an empty password, readOnly false.
HANDSHAKE = struct.pack(">iiqiqi?", 29, 0, 0, 4000, 1, 0, False)
CONNECT_RESPONSE_BYTES = 41


class ServerError(Exception):
    """The server could not be found, did not start, or did not stop. The message carries the end of its log."""


def start(
    kind: str,
    config: dict | None = None,
    jvm: dict | None = None,
    directory: str | os.PathLike | None = None,
    java_flags: list[str] | None = None,
) -> "Server":
    """Starts a server and returns once it answers a handshake.

    `config` adds to or replaces keys of `zoo.cfg`; `jvm` holds Java system properties such as
    `zookeeper.extendedTypesEnabled`; `java_flags` replace JAVA_FLAGS. With no `directory` a temporary one is made,
    and removed when the server is stopped by its context manager.
    """
    server = Server(kind, config or {}, jvm or {}, directory, java_flags)
    try:
        server.launch()
    except BaseException:
        server.dispose()
        raise
    return server


class Server:
    """One server process, its directory and its port. The port stays the same over `restart`."""

    def __init__(
        self,
        kind: str,
        config: dict,
        jvm: dict,
        directory: str | os.PathLike | None,
        java_flags: list[str] | None = None,
    ):
        if kind not in KINDS:
            raise ServerError(f"unknown kind of server {kind!r}: one of {', '.join(KINDS)}")
        self.kind = kind
        self.host = _reachable(config.get("clientPortAddress", HOST))
        self.directory_is_ours = directory is None
        self.directory = Path(directory or tempfile.mkdtemp(prefix=f"compat-{kind}-")).resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.log_path = self.directory / "server.log"
        self.java_flags = JAVA_FLAGS if java_flags is None else java_flags
        self.jvm = {key: _text(value) for key, value in jvm.items()}
        self.port = int(config.get("clientPort") or free_port())
        self.config_path = self._write_config(config)
        self.process: subprocess.Popen | None = None

    def _write_config(self, config: dict) -> Path:
        keys = {
            "dataDir": self.directory / "data",
            "clientPort": self.port,
            "clientPortAddress": HOST,
            "tickTime": 2000,
            "admin.enableServer": False,
        }
        keys.update(config)
        keys["clientPort"] = self.port
        Path(keys["dataDir"]).mkdir(parents=True, exist_ok=True)
        path = self.directory / "zoo.cfg"
        path.write_text("".join(f"{key}={_text(value)}\n" for key, value in keys.items()))
        return path

    @property
    def address(self) -> str:
        """`host:port`, as clients take it."""
        return f"{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        return self._running().pid

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def launch(self) -> None:
        """Starts the process and waits until it answers a handshake."""
        if self.alive():
            raise ServerError(f"{self.kind} is already running, pid {self.pid}")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self._command(), cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._wait_ready()

    def _command(self) -> list[str]:
        properties = [f"-D{key}={value}" for key, value in self.jvm.items()]
        return command(self.kind, self.config_path, properties, self.java_flags)

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if not self.alive():
                raise ServerError(f"{self.kind} ended at start, exit code {self.process.returncode}\n{self.log_tail()}")
            if self._answers_handshake():
                return
            time.sleep(0.01)
        self.kill9()
        raise ServerError(f"{self.kind} did not answer a handshake within {READY_SECONDS:.0f} s\n{self.log_tail()}")

    def _answers_handshake(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), 2.0) as sock:
                sock.sendall(HANDSHAKE)
                answer = bytearray()
                while len(answer) < CONNECT_RESPONSE_BYTES and (chunk := sock.recv(256)):
                    answer += chunk
                return len(answer) >= CONNECT_RESPONSE_BYTES
        except OSError:
            return False

    def kill9(self) -> None:
        """SIGKILL, then waits until the process is gone. The temporary directory stays, for `restart`."""
        process = self._running()
        process.kill()
        process.wait(STOP_SECONDS)

    def stop(self) -> int:
        """SIGTERM; returns the exit code (negative: the signal that ended it). Raises if it does not end in time."""
        process = self._running()
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)
            raise ServerError(f"{self.kind} ignored SIGTERM for {STOP_SECONDS:.0f} s\n{self.log_tail()}") from None

    def restart(self) -> None:
        """Stops the server if it still runs, and starts it again on the same directory and port."""
        if self.alive():
            self.stop()
        self.launch()

    def four_letter(self, word: str | bytes, timeout_seconds: float = 10.0) -> bytes:
        """Sends a four-letter word and returns everything the server says before it closes."""
        word = word.encode() if isinstance(word, str) else word
        with socket.create_connection((self.host, self.port), timeout_seconds) as sock:
            sock.sendall(word)
            answer = bytearray()
            while chunk := sock.recv(65536):
                answer += chunk
            return bytes(answer)

    def log_tail(self) -> str:
        """The last lines the server printed."""
        if not self.log_path.exists():
            return "(no log)"
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])

    def dispose(self) -> None:
        """Ends the process if it runs, and removes the directory if it was made here."""
        if self.alive():
            self.kill9()
        if self.directory_is_ours:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _running(self) -> subprocess.Popen:
        if self.process is None:
            raise ServerError(f"{self.kind} was never started")
        return self.process

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_) -> None:
        self.dispose()


def command(kind: str, config: Path, properties: list[str], java_flags: list[str] | None = None) -> list[str]:
    """The command line that serves a `zoo.cfg` in the foreground. `properties` are `-Dkey=value`."""
    if kind == "zorilla":
        return [str(zorilla_binary()), "serve", *properties, str(config)]
    flags = [*(JAVA_FLAGS if java_flags is None else java_flags), f"-Dlogback.configurationFile={APACHE / 'logback.xml'}"]
    return ["java", *flags, *properties, "-cp", apache_classpath(), APACHE_MAIN, str(config)]


def zorilla_binary() -> Path:
    """The binary under test: `ZORILLA_BIN`, else the release build of this checkout."""
    path = Path(os.environ.get("ZORILLA_BIN") or RELEASE / "zorilla")
    if not os.access(path, os.X_OK):
        raise ServerError(f"no zorilla binary at {path}: `cargo build --release`, or set ZORILLA_BIN")
    return path.resolve()


def apache_classpath() -> str:
    """Apache's jars, resolved by Maven the first time and whenever the pom changes; offline afterwards."""
    resolve_apache()
    jars = sorted(APACHE_JARS.glob("*.jar"))
    return os.pathsep.join(str(jar) for jar in jars)


def resolve_apache() -> None:
    """Copies the server's jars to `target/apache`, unless those of this very pom are there already."""
    pom = APACHE / "pom.xml"
    wanted = hashlib.sha256(pom.read_bytes()).hexdigest()
    stamp = APACHE_JARS / "pom.sha256"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            raise ServerError(f"{tool} is not on the PATH: it is needed to run the Apache server")
    shutil.rmtree(APACHE_JARS, ignore_errors=True)
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={APACHE_JARS}"]
    done = subprocess.run(["mvn", "-q", "-B", "-f", str(pom), *goal], capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise ServerError(f"mvn could not resolve the Apache server:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
    stamp.write_text(wanted)


def rss_mib(pid: int, field: str = "VmRSS") -> int:
    """What the system counts as a process's memory: `VmRSS` now, `VmHWM` at most so far."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith(field + ":"))


def free_port() -> int:
    """A loopback port nobody listens on, below the ephemeral range so that no outgoing connection takes it."""
    for _ in range(200):
        port = 20000 + int.from_bytes(os.urandom(2), "big") % 12000
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((HOST, port))
                return port
            except OSError:
                continue
    raise ServerError("no free loopback port found between 20000 and 32000")


def _reachable(address: str) -> str:
    """A `clientPortAddress` as sockets take it: without brackets and interface."""
    return address.strip("[]").partition("%")[0]


def _text(value) -> str:
    """A value as a properties file writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
