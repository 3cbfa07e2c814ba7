"""Takes the place of `kazoo.testing.common`: the servers that kazoo's test harness starts and stops.

One standalone server, which `zkServer.sh` of the folder ZOOKEEPER_PATH becomes, on a free loopback port.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

READY_SECONDS = 60
STOP_SECONDS = 30


class ManagedZooKeeper:
    """A server that keeps its port and, over `stop` and `run`, its data."""

    def __init__(self, bin_path, configuration_entries, java_system_properties, jaas_config):
        self.script = os.path.join(bin_path, "zkServer.sh")
        self.host = "127.0.0.1"
        self.client_port = _free_port()
        self.entries = configuration_entries
        self.properties = list(java_system_properties)
        self.jaas_config = jaas_config
        self.directory = Path(tempfile.mkdtemp(prefix="kazoo-"))
        self.process = None

    @property
    def address(self):
        return f"{self.host}:{self.client_port}"

    @property
    def running(self):
        return self.process is not None

    def run(self):
        if self.running:
            return
        self.directory.mkdir(exist_ok=True)
        with open(self.directory / "zookeeper.log", "ab") as log:
            self.process = subprocess.Popen(
                [self.script, "start-foreground", str(self._config())],
                env={**os.environ, "SERVER_JVMFLAGS": " ".join(self.properties + self._jaas())},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._wait_until_it_serves()

    def _config(self):
        lines = [
            "tickTime=2000",
            f"dataDir={self.directory / 'data'}",
            f"clientPort={self.client_port}",
            "clientPortAddress=127.0.0.1",
            "maxClientCnxns=0",
            "admin.enableServer=false",
            *self.entries,
        ]
        if self.jaas_config:
            lines.append("authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider")
        path = self.directory / "zoo.cfg"
        path.write_text("\n".join(lines) + "\n")
        return path

    def _jaas(self):
        # Kazoo writes credentials to the wire as UTF-8.
        flags = ["-Dfile.encoding=UTF-8"] if "apache" in self.script else []
        if self.jaas_config:
            path = self.directory / "jaas.conf"
            path.write_text(self.jaas_config)
            flags.append(f"-Djava.security.auth.login.config={path}")
        return flags

    def _wait_until_it_serves(self):
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if b"\nMode: " in self._says(b"srvr"):
                return
            time.sleep(0.05)
        raise RuntimeError("the server does not serve:\n" + "".join(self.get_logs()))

    def _says(self, word):
        try:
            with socket.create_connection((self.host, self.client_port), 5) as sock:
                sock.sendall(word)
                return b"".join(iter(lambda: sock.recv(65536), b""))
        except OSError:
            return b""

    def stop(self):
        """Keeps the data."""
        if not self.running:
            return
        process, self.process = self.process, None
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def reset(self):
        self.stop()
        shutil.rmtree(self.directory / "data", ignore_errors=True)

    def destroy(self):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def get_logs(self, num_lines=100):
        path = self.directory / "zookeeper.log"
        return path.read_text(errors="replace").splitlines(True)[-num_lines:] if path.exists() else []


class ZookeeperCluster:
    """The one server, where the harness expects a list of them."""

    def __init__(
        self,
        install_path=None,
        classpath=None,
        size=1,
        port_offset=0,
        observer_start_id=-1,
        configuration_entries=(),
        java_system_properties=(),
        jaas_config=None,
    ):
        assert size == 1, "ensembles are not for this harness"
        self.server = ManagedZooKeeper(install_path, configuration_entries, java_system_properties, jaas_config)

    def __getitem__(self, index):
        return [self.server][index]

    def __iter__(self):
        return iter([self.server])

    def start(self):
        self.server.run()

    def stop(self):
        self.server.stop()

    def terminate(self):
        self.server.destroy()

    def reset(self):
        self.server.reset()

    def get_logs(self):
        return self.server.get_logs()


def _free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
