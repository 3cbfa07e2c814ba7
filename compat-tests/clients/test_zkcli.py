"""zkCli.sh's main class, typed to as a person does. The recording is what it shows against Apache's server."""

import os

from clients import programs, zkcli

RECORDING = programs.CLIENTS / "testdata" / "zkcli.txt"


def test_zkcli(request):
    recorded = RECORDING.read_text()
    commands = [line[2:] for line in recorded.splitlines() if line.startswith("> ")]
    kind = request.config.getoption("--server")
    with programs.start(kind) as server:
        shown = zkcli.play(server.address, commands)
    if os.environ.get("REWRITE") and kind == "apache":
        RECORDING.write_text(shown)
    assert shown == RECORDING.read_text()
