"""Options shared by every test below this folder."""

from harness.servers import KINDS


def pytest_addoption(parser):
    parser.addoption("--server", choices=KINDS, default="zorilla", help="which server the tests talk to")
