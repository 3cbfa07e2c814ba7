"""The runner proven: a recording with a single byte changed has to fail, and to name the field.

Against the real Apache server the unchanged recordings pass, so what fails here fails because of that byte. Frames
are taken from the first scenarios only, where no earlier one has to be replayed.
"""

from __future__ import annotations

import dataclasses

import pytest

from harness import servers
from wire import recording
from wire.bindings import Bindings, Contradiction, password_of
from wire.replay import Mismatch, Replay

PREFIX = 2
SCENARIOS = recording.load()[:PREFIX]
CREATE_MODES = SCENARIOS[1]


@pytest.fixture
def server(request):
    properties = {"zookeeper.extendedTypesEnabled": True}
    with servers.start(request.config.getoption("--server"), jvm=properties) as running:
        yield running


def replay_all(server, scenarios):
    bindings = Bindings()
    for scenario in scenarios:
        Replay(scenario, server, bindings, {}).run()


def with_byte_flipped(frame_number: int, offset: int) -> list[recording.Scenario]:
    frames = []
    for frame in CREATE_MODES.frames:
        if frame.number == frame_number:
            data = bytearray(frame.data)
            data[offset] ^= 1
            frame = dataclasses.replace(frame, data=bytes(data))
        frames.append(frame)
    return [SCENARIOS[0], recording.Scenario(CREATE_MODES.name, frames)]


def test_unchanged_recordings_pass(server):
    replay_all(server, SCENARIOS)


@pytest.mark.parametrize(
    ("frame", "offset", "field"),
    [
        (1, 11, "timeOut"),
        (3, 7, "xid"),
        (3, 19, "err"),
        (9, 39, "path"),
        (13, 15, "zxid"),
        (13, 37, "czxid"),
        (21, 162, "dataLength"),
        (21, 28, "names"),
        (27, 67, "ephemeralOwner"),
    ],
)
def test_one_changed_byte_is_found_and_named(server, frame, offset, field):
    with pytest.raises(Mismatch) as found:
        replay_all(server, with_byte_flipped(frame, offset))
    first_line = str(found.value).splitlines()[0]
    assert first_line.startswith(f"scenario 'create-modes-success', frame {frame}, {field} ")


def test_a_missing_frame_is_found(server):
    frames = [frame for frame in CREATE_MODES.frames if frame.number != 3]
    with pytest.raises(Mismatch, match="frame 5, length: "):
        replay_all(server, [SCENARIOS[0], recording.Scenario(CREATE_MODES.name, frames)])


def test_every_recorded_password_is_the_computed_one():
    sessions = {}
    for scenario in recording.load():
        for frame in scenario.frames:
            values = {v.field: frame.data[v.offset : v.offset + v.length] for v in frame.volatile}
            if not frame.from_client and "passwd" in values:
                sessions[values["sessionId"]] = values["passwd"]
    assert len(sessions) > 90
    for session, passwd in sessions.items():
        assert password_of(int.from_bytes(session, "big")) == passwd


def test_zxids_keep_their_distances():
    bindings = Bindings()
    bindings.begin_scenario()
    accept = lambda recorded, actual: bindings._zxid(recorded, actual, may_begin=True)  # noqa: E731
    accept(10, 1000)
    accept(11, 1001)
    with pytest.raises(Contradiction):
        accept(12, 1003)
    with pytest.raises(Contradiction):
        accept(11, 1000)
