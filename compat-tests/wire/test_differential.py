"""Histories that once showed a difference between Zorilla and Apache, and a short run of random ones.

`scripts/diff` plays millions; what it finds is shortened and, once it is fixed, kept in `testdata/histories`. With
`--server apache` two Apache servers are compared, which proves that the histories hold nothing that is chance.
"""

from __future__ import annotations

import json

import pytest

from harness import diff, servers

KEPT = sorted((servers.COMPAT / "wire" / "testdata" / "histories").glob("*.json"))
REQUESTS = 4000
SEED = 77


@pytest.mark.parametrize("profile", diff.PROFILES)
def test_kept_histories(request, tmp_path, profile):
    files = [path for path in KEPT if json.loads(path.read_text())["profile"] == profile]
    if not files:
        pytest.skip("none was kept for this configuration")
    outcome = diff.replay(request.config.getoption("--server"), files, tmp_path)
    assert outcome.clean, diff.summary(outcome)
    assert outcome.tally["histories"] == len(files)


def test_random_histories(request, tmp_path):
    outcome = diff.run(request.config.getoption("--server"), REQUESTS, SEED, tmp_path)
    assert outcome.clean, diff.summary(outcome)
    assert outcome.tally["requests"] >= REQUESTS


def test_a_difference_is_noticed_and_shortened(tmp_path):
    """Zorilla without its list of differences that are meant: createSession is one, and it is found."""
    history = {
        "profile": "full",
        "seed": 0,
        "steps": [
            {"do": "ask", "line": 0, "xid": 1, "op": jute_op, "body": "00007530", "alone": True}
            for jute_op in (107, -10)
        ],
    }
    connect = {
        "do": "connect", "line": 0, "session": 0, "resumes": False, "password": "given", "time_out": 600000,
        "protocol_version": 0, "zxid_ahead": None, "read_only": 0,
    }  # fmt: skip
    history["steps"].insert(0, connect)
    path = tmp_path / "history.json"
    path.write_text(json.dumps(history))
    assert diff.replay("zorilla", [path], tmp_path).clean
    found = diff.replay("zorilla", [path], tmp_path, rules=[])
    assert found.failures == [str(path)]
