"""go-zookeeper/zk."""

from clients import programs


def test_go(request):
    with programs.start(request.config.getoption("--server")) as server:
        printed = programs.run(programs.go(), server, restarts=1)
    assert printed[-1] == "done"
