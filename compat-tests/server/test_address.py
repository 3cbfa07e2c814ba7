"""What `clientPortAddress` may be."""

from __future__ import annotations

import socket

import pytest

from harness import servers


@pytest.fixture(autouse=True)
def only_with_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")


@pytest.mark.parametrize("address", ["::1", "[::1]", "::1%lo", "::1%1", "[::1%lo]", "localhost"])
def test_one_that_is_served(request, tmp_path, address):
    settings = {"clientPortAddress": address, "4lw.commands.whitelist": "*"}
    with servers.start(request.config.getoption("--server"), settings, directory=tmp_path) as server:
        assert server.four_letter("ruok") == b"imok"


@pytest.mark.parametrize("address", ["::1%nowhere", "127.0.0.1%lo", "[127.0.0.1]"])
def test_one_that_is_not(request, tmp_path, address):
    with pytest.raises(servers.ServerError, match="ended at start"):
        servers.start(request.config.getoption("--server"), {"clientPortAddress": address}, directory=tmp_path)
