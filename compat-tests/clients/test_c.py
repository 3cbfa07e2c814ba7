"""The C client, in Debian's package of it."""

import pytest

from clients import programs


# `setup` installs it on Debian as root; elsewhere nobody is made to have it. The suite `c` says the same.
@pytest.mark.skipif(not programs.C_HEADER.exists(), reason="the C client (Debian: libzookeeper-mt-dev) is not installed")
def test_c(request):
    with programs.start(request.config.getoption("--server")) as server:
        printed = programs.run(programs.c(), server, restarts=1)
    assert printed[-1] == "done"
