"""node-zookeeper-client."""

import shutil

import pytest

from clients import programs


# Node is not on the list of what scripts/test asks for.
@pytest.mark.skipif(shutil.which("npm") is None, reason="Node and npm are not installed")
def test_node(request):
    with programs.start(request.config.getoption("--server")) as server:
        printed = programs.run(programs.node(), server, restarts=1)
    assert printed[-1] == "done"
