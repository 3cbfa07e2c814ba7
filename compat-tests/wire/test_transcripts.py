"""Every recorded conversation is one test: `pytest wire/test_transcripts.py [--server apache]`."""

from __future__ import annotations

import tomllib

import pytest

from harness import jute, servers
from wire import recording
from wire.bindings import Bindings
from wire.replay import Difference, Mismatch, Replay, timed

SCENARIOS = recording.load()
SKIPS = tomllib.loads((servers.COMPAT / "skipped.toml").read_text())
SKIPPED = SKIPS["wire"]
EXTENDED_TYPES = {"zookeeper.extendedTypesEnabled": True}

# The properties of the server that each family of scenarios was recorded with; `None` is everything else.
PROPERTIES = {
    None: {
        **EXTENDED_TYPES,
        "zookeeper.enforceQuota": True,
        "zookeeper.4lw.commands.whitelist": "*",
        "zookeeper.DigestAuthenticationProvider.superDigest": "super:lK75jTNcA+U9vtVEw5vB51mj/w4=",
        "znode.container.checkIntervalMs": 1000,
    },
    "enforced-auth": {"zookeeper.enforce.auth.enabled": True, "zookeeper.enforce.auth.schemes": "digest"},
    "ttl-disabled": {},
    "throttled-op": {"zookeeper.request_throttle_max_requests": 1, "zookeeper.throttled_op_wait_time": 1},
}


class Conversations:
    """The scenarios of one server instance, replayed in file order, because later ones use nodes of earlier ones."""

    def __init__(self, kind: str, family: str | None):
        self.kind = kind
        self.server = servers.start(kind, jvm=PROPERTIES[family])
        self.bindings = Bindings()
        self.todo = [s for s in SCENARIOS if s.name not in skipped(kind) and _instance(s) == family]
        self.outcomes: dict[str, Mismatch | None] = {}

    def replay_through(self, name: str) -> Mismatch | None:
        """What came of the scenario `name`, after everything before it has been replayed as well."""
        while name not in self.outcomes:
            scenario = self.todo.pop(0)
            self.outcomes[scenario.name] = self._replay(scenario)
        return self.outcomes[name]

    def _replay(self, scenario: recording.Scenario) -> Mismatch | None:
        try:
            timed(Replay(scenario, self.server, self.bindings, differences(self.kind, scenario.name)))
        except Mismatch as mismatch:
            return mismatch
        except (jute.Closed, OSError, ValueError, AssertionError) as wrong:
            # Most likely beside the recording: the unrecorded client met a server that does not do as Apache did.
            return Mismatch(scenario.name, -1, "beside the recording", "no trouble", f"{type(wrong).__name__}: {wrong}")
        return None


def skipped(kind: str) -> dict[str, str]:
    """What is not replayed against this kind of server, and why."""
    return SKIPPED | (SKIPS["wire-zorilla"] if kind == "zorilla" else {})


def differences(kind: str, scenario: str) -> dict[int, Difference]:
    """Zorilla's declared differences in a scenario, by frame. Apache has none: it is what was recorded."""
    if kind != "zorilla":
        return {}
    rows = recording.load_table("differences.toml")["difference"]
    return {
        row["frame"]: Difference(**{key: value for key, value in row.items() if key not in ("scenario", "frame", "why")})
        for row in rows
        if row["scenario"] == scenario
    }


def _instance(scenario: recording.Scenario) -> str | None:
    return scenario.family if scenario.family in PROPERTIES else None


@pytest.fixture(scope="module")
def conversations(request):
    kind = request.config.getoption("--server")
    running: dict[str | None, Conversations] = {}

    def of(scenario: recording.Scenario) -> Conversations:
        family = _instance(scenario)
        if family not in running:
            running[family] = Conversations(kind, family)
        return running[family]

    yield of
    for each in running.values():
        each.server.dispose()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_transcript(request, scenario, conversations):
    reason = skipped(request.config.getoption("--server")).get(scenario.name)
    if reason is not None:
        pytest.skip(reason)
    mismatch = conversations(scenario).replay_through(scenario.name)
    if mismatch is not None:
        pytest.fail(str(mismatch), pytrace=False)


def test_tables_name_what_exists():
    """A skip or a difference for a scenario that is not there would hide that nobody checks it."""
    names = {scenario.name: {frame.number for frame in scenario.frames} for scenario in SCENARIOS}
    assert set(skipped("zorilla")) <= set(names)
    for row in recording.load_table("differences.toml")["difference"]:
        assert row["frame"] in names[row["scenario"]], row
        assert row["why"]
