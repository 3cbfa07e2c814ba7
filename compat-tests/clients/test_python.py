"""kazoo: a working client over a restart, and one that stays dead."""

import subprocess
import sys
import time

from kazoo.client import KazooClient

from clients import programs

DEAD_SESSION_SECONDS = 6.0


def test_kazoo(request):
    command = [sys.executable, str(programs.CLIENTS / "python" / "kazoo_client.py")]
    with programs.start(request.config.getoption("--server")) as server:
        printed = programs.run(command, server, restarts=1)
    assert printed[-1] == "done"


def test_session_of_a_dead_client_survives_the_restart_and_then_expires(request):
    command = [sys.executable, str(programs.CLIENTS / "python" / "holder.py"), str(DEAD_SESSION_SECONDS)]
    with programs.start(request.config.getoption("--server")) as server:
        holder = subprocess.Popen([*command, server.address], stdout=subprocess.PIPE, text=True)
        try:
            session = int(holder.stdout.readline().rsplit(" ", 1)[1])
        finally:
            holder.kill()
            holder.wait(10)
        server.kill9()
        server.restart()
        restarted = time.monotonic()
        client = KazooClient(server.address, timeout=20.0)
        client.start(timeout=20.0)
        try:
            stat = client.exists("/held")
            assert stat is not None and stat.owner_session_id == session
            while client.exists("/held"):
                assert time.monotonic() - restarted < 3 * DEAD_SESSION_SECONDS, "the session never expires"
                time.sleep(0.05)
            # A restarted server gives every session its full time again: its timeout, up to a tick more.
            assert time.monotonic() - restarted > 0.8 * DEAD_SESSION_SECONDS - 1
        finally:
            client.stop()
            client.close()
