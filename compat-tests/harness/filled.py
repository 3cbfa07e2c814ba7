"""Servers with many znodes: loading them, what they take in memory, and how soon they are back after a kill -9.

Each server is alone on the machine while it is measured, with a fresh directory. `scripts/bench million` and
`scripts/bench budget` are the command lines.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from harness import benchmark, jute, servers

# The znodes have to fit the heap with room for the collector.
JAVA_FLAGS = ["-Xmx3g"]
BUDGET = "1g"
HOT_KEYS = 1000


@dataclass(frozen=True)
class Scale:
    """How many znodes, of what size."""

    znodes: int
    bytes_each: int

    def load(self, server) -> dict:
        """Creates them by multi, 8 connections with 4 multis outstanding each."""
        options = {"connections": 8, "outstanding": 4, "bytes": self.bytes_each, "keys": self.znodes}
        arguments = [text for key, value in options.items() for text in (f"--{key}", str(value))]
        outcome = benchmark.zkload(server, ["load", *arguments, "--seconds", "300", "--warmup", "0"])
        if why := benchmark.failure(outcome):
            raise servers.ServerError(f"loading {self.znodes} znodes: {why}")
        return outcome


MILLION = Scale(1_000_000, 100)
TEN_MILLION = Scale(10_000_000, 50)


def million(kinds: list[str], rounds: int, scale: Scale, directory: Path, say) -> dict:
    """Server to the medians of: znodes loaded per second, CPU, memory behind it, and seconds to the first read."""
    found: dict[str, list[dict]] = {kind: [] for kind in kinds}
    for number in range(rounds):
        for kind in benchmark.turns(kinds, number):
            found[kind].append(once(kind, scale, directory))
            say(f"round {number + 1}/{rounds}  {kind}: {found[kind][-1]}")
    return {
        kind: {key: round(statistics.median(one[key] for one in all_of_it), 3) for key in all_of_it[0]}
        for kind, all_of_it in found.items()
    }


def once(kind: str, scale: Scale, parent: Path) -> dict:
    """One server's life."""
    directory = Path(tempfile.mkdtemp(prefix=f"filled-{kind}-", dir=parent))
    try:
        with servers.start(kind, benchmark.CONFIG, directory=directory, java_flags=JAVA_FLAGS) as server:
            loaded = scale.load(server)
            rss_mib = servers.rss_mib(server.pid)
            server.kill9()
            began = time.monotonic()
            server.launch()
            with jute.Client(server) as client:
                client.get_data("/zookeeper")
            return {
                "znodes_per_second": loaded["throughput"],
                "cpu_us_per_znode": loaded["server_cpu_us_per_op"],
                "rss_mib": rss_mib,
                "restart_seconds": time.monotonic() - began,
                "restarted_rss_mib": servers.rss_mib(server.pid),
            }
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def budget(scale: Scale, directory: Path, rounds: int, seconds: int, say) -> dict:
    """Reads of a hot set while a tree is served that is larger than memory may be, against all in memory."""
    filled = Path(tempfile.mkdtemp(prefix="filled-", dir=directory))
    config = {**benchmark.CONFIG, "zorilla.memoryBudget": BUDGET}
    get = benchmark.WORKLOADS["get"].arguments(scale.bytes_each, seconds, 2) + ["--keys", str(HOT_KEYS)]
    try:
        with (
            servers.start("zorilla", config, directory=filled) as large,
            servers.start("zorilla", config) as small,
        ):
            loaded = scale.load(large)
            say(f"loaded {scale.znodes:,} znodes: {loaded['throughput']:,.0f}/s")
            reads: dict[str, list[float]] = {"large": [], "small": []}
            for _ in range(rounds):
                for name, server in (("large", large), ("small", small)):
                    outcome = benchmark.zkload(server, get)
                    if why := benchmark.failure(outcome):
                        raise servers.ServerError(f"reading the {name} tree: {why}")
                    reads[name].append(outcome["throughput"])
            result = {
                "znodes": scale.znodes,
                "loaded_per_second": loaded["throughput"],
                "hot_gets_per_second": statistics.median(reads["large"]),
                "all_in_memory_gets_per_second": statistics.median(reads["small"]),
                "rss_mib": servers.rss_mib(large.pid),
                "peak_rss_mib": servers.rss_mib(large.pid, "VmHWM"),
            }
            large.kill9()
            began = time.monotonic()
            large.launch()
            return {**result, "restart_seconds": round(time.monotonic() - began, 3)}
    finally:
        shutil.rmtree(filled, ignore_errors=True)
