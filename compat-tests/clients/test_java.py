"""The Java client, theme by theme."""

import pytest

from clients import programs

# Main class -> how often it asks for a kill -9 and a restart of the server.
PROGRAMS = {"Nodes": 0, "Acls": 0, "Multis": 0, "Watches": 1, "Sessions": 1, "Recipes": 1}


@pytest.mark.parametrize("name", PROGRAMS)
def test_java(name, request):
    with programs.start(request.config.getoption("--server")) as server:
        printed = programs.run(programs.java(f"compat.{name}"), server, restarts=PROGRAMS[name])
    assert printed[-1] == "done"
