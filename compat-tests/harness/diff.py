"""Random histories on two servers, for `scripts/diff` and its tests: starts the servers, runs `zkdiff`, sums up."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from harness import servers

DIFFERENCES = servers.COMPAT / "wire" / "differences.toml"
SUPER = b"super:admin"
ADMIN = "super:" + base64.b64encode(hashlib.sha1(SUPER).digest()).decode()

# Ticks are short so that a session can expire in a third of a second; those that shall not ask for ten minutes.
CONFIG = {"maxClientCnxns": 0, "tickTime": 100, "maxSessionTimeout": 600_000}
# Nothing is reaped at a moment that nobody knows, and disks do not decide how many requests are played.
ALWAYS = {
    "zookeeper.DigestAuthenticationProvider.superDigest": ADMIN,
    "zookeeper.forceSync": "no",
    "znode.container.checkIntervalMs": 86_400_000,
}
# Apache writes two lines, or a stack trace, for each request that fails; and a run is too short for the second compiler.
JAVA_FLAGS = ["-Xmx768m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog.level=OFF"]
# How the servers are configured, and how much of a run each way gets.
PROFILES = {
    "full": (
        0.75,
        {
            "zookeeper.extendedTypesEnabled": True,
            "zookeeper.enforceQuota": True,
            "zookeeper.4lw.commands.whitelist": "*",
        },
    ),
    "plain": (0.15, {}),
    "no-acl": (0.05, {"zookeeper.skipACL": "yes", "zookeeper.extendedTypesEnabled": True}),
    "guarded": (
        0.05,
        {"zookeeper.enforce.auth.enabled": True, "zookeeper.enforce.auth.schemes": "digest"},
    ),
}
# What never succeeds on a standalone server.
NEVER_SUCCEED = {"reconfig", "createSession", "check"}


@dataclass
class Outcome:
    """What a run found, over all profiles."""

    tally: dict = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    unsteady: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    # The names of all opcodes, as zkdiff knows them.
    ops: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def clean(self) -> bool:
        return not (self.failures or self.unsteady or self.broken)


def zkdiff_binary() -> Path:
    path = servers.RELEASE / "zkdiff"
    if not path.exists():
        raise servers.ServerError(f"no zkdiff at {path}: `cargo build --release -p zorilla-compat-tests --bin zkdiff`")
    return path


def run(kind: str, requests: int, seed: int, out: Path, profiles=tuple(PROFILES), say=print, more=()) -> Outcome:
    """Random histories under each profile. `kind` is the server under test; the other is always Apache's."""
    outcome = Outcome()
    share_of_all = sum(PROFILES[name][0] for name in profiles)
    for number, name in enumerate(profiles):
        # Other histories for each.
        first = seed + number * 1_000_000_000
        share = int(requests * PROFILES[name][0] / share_of_all)
        _add(outcome, _run_profile(kind, name, out, ["--requests", str(share), "--seed", str(first), *more], say))
    return outcome


def replay(kind: str, files: list[Path], out: Path, say=print, rules: list | None = None) -> Outcome:
    """Histories that were kept, each under the profile that it names. `rules` replace the differences that are meant."""
    by_profile: dict[str, list[str]] = {}
    for path in files:
        by_profile.setdefault(json.loads(path.read_text())["profile"], []).append(str(path))
    outcome = Outcome()
    for name, paths in by_profile.items():
        options = [part for path in paths for part in ("--replay", path)]
        _add(outcome, _run_profile(kind, name, out, options, say, rules))
    return outcome


def _run_profile(
    kind: str, profile: str, out: Path, options: list[str], say: Callable[[str], None], rules: list | None = None
) -> dict:
    properties = ALWAYS | PROFILES[profile][1]
    if rules is None:
        # Apache against itself has nothing to explain.
        rules = tomllib.loads(DIFFERENCES.read_text())["history"] if kind == "zorilla" else []
    out.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        rules_file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "differences.json"
        rules_file.write_text(json.dumps(rules))
        pair = [stack.enter_context(servers.start(which, CONFIG, properties, java_flags=JAVA_FLAGS)) for which in (kind, "apache")]
        say(f"{profile}: {kind} and apache")
        command = [zkdiff_binary(), *(server.address for server in pair), "--profile", profile]
        command += ["--differences", rules_file, "--out", out, *options]
        done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=sys.stderr, text=True)
        if done.returncode not in (0, 1):
            logs = "\n".join(f"{server.kind} {_state(server)}\n{server.log_tail()}" for server in pair)
            return {"broken": f"{profile}: zkdiff ended with {done.returncode}\n{logs}"}
        return json.loads(done.stdout)


def _state(server: servers.Server) -> str:
    return "runs" if server.alive() else f"ended with {server.process.returncode}"


def _add(outcome: Outcome, result: dict) -> None:
    if "broken" in result:
        outcome.broken.append(result["broken"])
        return
    _sum(outcome.tally, result["tally"])
    outcome.ops = result["ops"]
    outcome.failures += result["failures"]
    outcome.unsteady += result["unsteady"]
    outcome.seconds += result["seconds"]


def _sum(into: dict, what: dict) -> None:
    for key, value in what.items():
        if isinstance(value, dict):
            _sum(into.setdefault(key, {}), value)
        else:
            into[key] = into.get(key, 0) + value


def summary(outcome: Outcome) -> str:
    """By opcode, then by error code, how often it was seen; then the differences that are meant."""
    tally = outcome.tally
    if not tally:
        return "nothing was played"
    lines = [f"{'opcode':22} {'ok':>9} {'failed':>9}  errors"]
    codes: dict[str, int] = {}
    for op, by_code in sorted(tally["by_op"].items()):
        errors = sorted(((code, n) for code, n in by_code.items() if code != "0"), key=lambda item: -item[1])
        failed = sum(n for _, n in errors)
        lines.append(f"{op:22} {by_code.get('0', 0):9} {failed:9}  " + " ".join(f"{c}:{n}" for c, n in errors))
    for table in ("by_op", "in_multi"):
        for by_code in tally[table].values():
            for code, n in by_code.items():
                codes[code] = codes.get(code, 0) + n
    lines.append("in a multi or multiRead, by type of result")
    for op, by_code in sorted(tally["in_multi"].items()):
        lines.append(f"  {op:20} " + " ".join(f"{c}:{n}" for c, n in sorted(by_code.items())))
    lines.append("error codes: " + " ".join(f"{code}:{n}" for code, n in sorted(codes.items())))
    lines += [f"explained {n} times: {why}" for why, n in sorted(tally["explained"].items())]
    rate = tally["requests"] / max(outcome.seconds, 0.001)
    lines.append(
        f"{tally['requests']} requests and {tally['others']} handshakes, words, expiries and other bytes in"
        f" {tally['histories']} histories, {tally['events']} events, {tally['trees']} views of whole trees;"
        f" {outcome.seconds:.0f} s, {rate:.0f} requests/s"
    )
    lines += [f"UNSTEADY {path}" for path in outcome.unsteady]
    lines += [f"DIFFERENCE {path}" for path in outcome.failures]
    lines += [f"BROKEN {what}" for what in outcome.broken]
    return "\n".join(lines)


def never_exercised(outcome: Outcome) -> list[str]:
    """What a run that is long enough must have seen: each opcode succeed, and fail."""
    missing = []
    for op in outcome.ops:
        by_code = outcome.tally["by_op"].get(op, {})
        if op not in NEVER_SUCCEED and not by_code.get("0"):
            missing.append(f"{op} never succeeded")
        if not any(n for code, n in by_code.items() if code != "0"):
            missing.append(f"{op} never failed")
    return missing
