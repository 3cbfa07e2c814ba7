"""What an operator sees of a start and a stop: exit codes, texts, and nothing lost."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from harness import jute, servers
from server import load

LOGS = "data/version-2"
TREE = "data/zorilla/tree"
FOREIGN_LOG = Path(__file__).resolve().parents[2] / "src/storage/log/testdata/v3.9.4-plain"


@pytest.fixture(autouse=True)
def only_zorilla(request):
    if request.config.getoption("--server") != "zorilla":
        pytest.skip("exit codes and texts are Zorilla's own")


def attempt(server, seconds: float = 20.0, **options) -> tuple[int, str]:
    """Runs the server's command where it must not come up: exit code, and what it said."""
    command = options.pop("command", None) or server._command()
    done = subprocess.run(
        command, cwd=server.directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds,
        **options,
    )
    return done.returncode, done.stdout + done.stderr


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


@pytest.fixture
def stopped(tmp_path):
    """A server with some data that was stopped in an orderly way, with its checkpoint and its log files."""
    with servers.start("zorilla", {"snapCount": 100, "4lw.commands.whitelist": "*"}, directory=tmp_path) as server:
        fill(server)
        server.stop()
        yield server


def fill(server, count: int = 350) -> None:
    """In bursts: what comes at once shares a log file, however few txns that is to hold."""
    with jute.Client(server) as client:
        for begin in range(0, count, 50):
            for number in range(begin, begin + 50):
                client.send(jute.CREATE, jute.create_body(f"/n{number}", b"x" * 100))
            for _ in range(50):
                assert client.reply().err == jute.OK
        client.close()


def files(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


# Stopping.


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=lambda how: how.name)
def test_stop_under_load(how, tmp_path):
    with servers.start("zorilla", {"maxClientCnxns": 0}, directory=tmp_path) as server:
        load.make_root(server)
        writers = [load.Writer(server, f"w{n}", n, 30000, data_bytes=2000).start() for n in range(6)]
        time.sleep(1.5)
        began = time.monotonic()
        server.process.send_signal(how)
        code = server.process.wait(servers.STOP_SECONDS)
        took = time.monotonic() - began
        # A writer that were told of an error, such as SYSTEMERROR, instead of a lost connection, fails here: clients
        # repeat after the one, and give up after the other.
        for writer in writers:
            writer.finish()
        assert code == 0, server.log_tail()
        assert took < 5.0, f"the stop took {took:.1f} s"
        assert "ERROR" not in server.log_path.read_text()
        began = time.monotonic()
        server.restart()
        print(f"{how.name}: stopped in {took:.2f} s, back after {time.monotonic() - began:.2f} s, "
              f"{sum(w.acknowledged for w in writers)} answers checked")
        with jute.Client(server) as client:
            for writer in writers:
                writer.reconcile(load.read_directory(client, writer.root))


def test_stop_while_clients_do_not_read(tmp_path):
    """Neither a client that never reads nor one in the middle of a frame keeps the server from ending."""
    with servers.start("zorilla", directory=tmp_path) as server:
        client = jute.Client(server)
        client.create("/big", b"x" * 900_000)
        for _ in range(40):
            client.send(jute.GET_DATA, jute.read_body("/big"))
        half = jute.Client(server)
        half.connection.send(b"\0\0\1\0abc")
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 8.0
        client.abandon()
        half.abandon()


# Starting.


def test_without_a_file(tmp_path):
    """`zorilla serve`: data under ./data, 127.0.0.1:2181, and the address is loopback only."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 2181)) == 0:
            pytest.skip("something listens on 2181")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ZOO")}
    command = [str(servers.zorilla_binary()), "serve"]
    log = open(tmp_path / "log", "wb")
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                connection = jute.Connection.open("127.0.0.1", 2181)
                break
            except OSError:
                assert time.monotonic() < deadline and process.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.05)
        connection.send(b"srvr")
        assert b"Zookeeper version" in connection.drain()
        assert (tmp_path / "data/version-2").is_dir()
        assert "0100007F:0885" in Path("/proc/net/tcp").read_text(), "not bound to loopback alone"
    finally:
        process.terminate()
        assert process.wait(20) == 0
        log.close()


def test_port_in_use(stopped):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((stopped.host, stopped.port))
        taken.listen()
        code, text = attempt(stopped)
    assert code == 1
    assert str(stopped.port) in last_line(text) and "in use" in last_line(text)


@pytest.mark.parametrize("line, named", [
    ("tickTime=often", "tickTime"),
    ("clientPort=70000", "clientPort"),
    ("forceSync=perhaps", "forceSync"),
    ("zorilla.memoryBudget=1m", "128m or more"),
])
def test_bad_value(stopped, line, named):
    with open(stopped.config_path, "a") as config:
        config.write(line + "\n")
    code, text = attempt(stopped)
    assert code == 2
    assert named in last_line(text), text


def test_unknown_key_is_named_and_kept(stopped):
    with open(stopped.config_path, "a") as config:
        config.write("some.unheardOf=7\n")
    stopped.launch()
    assert "some.unheardOf is unknown" in stopped.log_path.read_text()


def test_no_such_file(stopped):
    code, text = attempt(stopped, command=[str(servers.zorilla_binary()), "serve", "nowhere.cfg"])
    assert code == 2 and "nowhere.cfg" in last_line(text)


def test_locked_by_another_process(stopped):
    stopped.launch()
    with open(stopped.config_path) as config:
        other = config.read().replace(f"clientPort={stopped.port}", f"clientPort={servers.free_port()}")
    (stopped.directory / "other.cfg").write_text(other)
    code, text = attempt(stopped, command=[str(servers.zorilla_binary()), "serve", "other.cfg"])
    assert code == 3
    assert f"pid {stopped.pid}" in last_line(text), text
    assert stopped.four_letter("ruok") == b"imok", "the first one was disturbed"


def test_not_writable(stopped):
    """As another user: modes do not stop root."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    shared = Path("/tmp") / f"compat-readonly-{os.getpid()}"
    shutil.copytree(stopped.directory / "data", shared / "data")
    shutil.copy2(servers.zorilla_binary(), shared / "zorilla")
    config = stopped.config_path.read_text().replace(str(stopped.directory / "data"), str(shared / "data"))
    (shared / "zoo.cfg").write_text(config)
    try:
        shared.chmod(0o755)
        before = files(shared / "data")
        nobody = {"user": 65534, "group": 65534, "extra_groups": []}
        command = [str(shared / "zorilla"), "serve", str(shared / "zoo.cfg")]
        code, text = attempt(stopped, command=command, **nobody)
        assert code == 3, text
        assert str(shared / "data") in last_line(text) and "writable" in last_line(text)
        assert files(shared / "data") == before
    finally:
        shutil.rmtree(shared)


def test_apaches_data_directory_is_refused_and_untouched(stopped):
    """With a snapshot, and without one (a server that never wrote any)."""
    data = stopped.directory / "data"
    shutil.rmtree(data)
    shutil.copytree(FOREIGN_LOG, data / "version-2")
    (data / "version-2/snapshot.0").write_bytes(b"ZKSN" + bytes(60))
    before = files(data)
    code, text = attempt(stopped)
    assert code == 3, text
    assert "Apache" in last_line(text) and "Nothing was changed" in last_line(text)
    assert files(data) == before


# Damage.


def checkpointed(server) -> None:
    """Writes until the store holds a checkpoint, and stops."""
    fill_more(server)
    deadline = time.monotonic() + 30
    while not list((server.directory / TREE).glob("*.sst")):
        assert time.monotonic() < deadline, "no checkpoint was written"
        time.sleep(0.05)
    server.stop()


def fill_more(server) -> None:
    """More than the smallest budget lets go unwritten."""
    with jute.Client(server) as client:
        client.create("/more")
        sizes = [2000] * 200 + [600_000] * 48
        for begin in range(0, len(sizes), 16):
            for number in range(begin, begin + 16):
                if number < len(sizes):
                    client.send(jute.CREATE, jute.create_body(f"/more/{number}", os.urandom(sizes[number])))
            for number in range(begin, min(begin + 16, len(sizes))):
                assert client.reply().err == jute.OK
        client.close()


def log_files(server) -> list[Path]:
    return sorted((server.directory / LOGS).glob("log.*"), key=lambda path: int(path.suffix[1:], 16))


def expect_damage(server, *words: str) -> str:
    before = files(server.directory / LOGS)
    code, text = attempt(server)
    line = last_line(text)
    assert code == 1, text
    for word in words:
        assert word in line, f"{word!r} is not in: {line}"
    assert "panicked" not in text
    assert files(server.directory / LOGS) == before, "the log was changed"
    return line


def test_damaged_log_in_the_middle(stopped):
    first = log_files(stopped)[0]
    content = bytearray(first.read_bytes())
    content[len(content) // 2] ^= 0xFF
    first.write_bytes(content)
    line = expect_damage(stopped, first.name, "damaged", "Restore")
    # The way out that the text names works.
    offset = line.split("truncate -s ")[1].split(")")[0]
    os.truncate(first, int(offset))
    for later in log_files(stopped)[1:]:
        later.unlink()
    stopped.launch()
    with jute.Client(stopped) as client:
        assert client.request(jute.EXISTS, jute.read_body("/n0")).err == jute.OK
        assert client.request(jute.EXISTS, jute.read_body("/n349")).err == jute.NO_NODE


def test_torn_tail_is_cut(stopped):
    last = log_files(stopped)[-1]
    content = last.read_bytes()
    last.write_bytes(content[:-9])
    stopped.launch()
    assert "cut" in stopped.log_path.read_text()
    with jute.Client(stopped) as client:
        assert client.request(jute.EXISTS, jute.read_body("/n300")).err == jute.OK


def test_missing_log_in_the_middle(stopped):
    missing = log_files(stopped)[1]
    missing.unlink()
    expect_damage(stopped, "missing", log_files(stopped)[1].name)


def test_missing_log_behind_the_checkpoint(tmp_path):
    """As when the log's disk is not mounted: what was acknowledged behind the checkpoint must not just be gone."""
    with servers.start("zorilla", {"zorilla.memoryBudget": "128m"}, directory=tmp_path) as server:
        checkpointed(server)
        for path in log_files(server):
            path.unlink()
        line = expect_damage(server, LOGS, "missing", "mounted", "create an empty file log.")
        # The way out that the text names.
        name = line.split("create an empty file ")[1].split(" ")[0]
        (server.directory / LOGS / name).touch()
        server.launch()
        with jute.Client(server) as client:
            assert client.request(jute.EXISTS, jute.read_body("/more")).err == jute.OK
            client.create("/later")
        server.restart()


def test_flipped_bytes_in_the_store(tmp_path):
    """Never served: refused at start, or when the znode is asked for, and named."""
    with servers.start("zorilla", {"zorilla.memoryBudget": "128m"}, directory=tmp_path) as server:
        checkpointed(server)
        for table in (server.directory / TREE).glob("*.sst"):
            content = bytearray(table.read_bytes())
            for at in range(0, len(content) // 2, 1000):
                content[at] ^= 0x55
            table.write_bytes(content)
        try:
            server.launch()
        except servers.ServerError as why:
            text = str(why)
        else:
            with jute.Client(server) as client:
                with pytest.raises((jute.Closed, ConnectionError)):
                    for number in range(248):
                        client.get_data(f"/more/{number}")
            assert server.process.wait(20) == 1
            text = server.log_tail()
        assert "Restore the data directory" in text and "panicked" not in text, text


@pytest.mark.parametrize("pattern", ["MANIFEST-*", "CURRENT", "*.sst"])
def test_missing_file_of_the_store(tmp_path, pattern):
    with servers.start("zorilla", {"zorilla.memoryBudget": "128m"}, directory=tmp_path) as server:
        checkpointed(server)
        for path in (server.directory / TREE).glob(pattern):
            path.unlink()
        line = expect_damage(server, TREE.split("/")[-1])
        print(line)
        assert "Restore the data directory" in line
        # The way out that the text names: the logs reach back to log.1.
        assert log_files(server)[0].name == "log.1"
        shutil.rmtree(server.directory / TREE)
        server.launch()
        with jute.Client(server) as client:
            assert len(client.get_data("/more/7")[0]) == 2000
