"""Measures Apache, Zorilla and the limit server in alternating rounds; `scripts/bench` is its command line.

A window is one run of `zkload`, which checks every reply. All servers stay up for the whole benchmark and take turns
within each round, so that whatever drifts on the machine drifts for all of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import resource
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from harness import servers

SERVERS = ("apache", "zorilla", "limit")
# The same zoo.cfg keys for both servers, beside what the harness sets for every server.
CONFIG = {"maxClientCnxns": 0}
JAVA_FLAGS = ["-Xmx1g"]
# Of the same workload, before the first measured window: what HotSpot needs to reach its steady state.
JIT_SECONDS = 15
# A warm-up longer than this is cut into runs: `zkload` deletes what it created after each, and a tree that only
# grows would measure how a heap fills up.
RUN_SECONDS_MAX = 5
# Work of others on this machine that is worth a warning, in cores.
OTHERS_CORES_MAX = 0.1
# On top of its windows, for preparing and cleaning up.
RUN_GRACE_SECONDS = 300


@dataclass(frozen=True)
class Workload:
    """One way to call `zkload`."""

    load: str
    connections: int = 16
    outstanding: int = 16
    extra: dict = field(default_factory=dict)
    # Counts to a fixed end, so that there is no window and no warm-up.
    counted: bool = False
    # The limit server keeps nothing, so it cannot fire a watch.
    needs_state: bool = False

    def arguments(self, bytes_each: int, seconds: int, warmup: int) -> list[str]:
        options = {
            "connections": self.connections,
            "outstanding": self.outstanding,
            "bytes": bytes_each,
            "seconds": seconds,
            "warmup": warmup,
            **self.extra,
        }
        return [self.load, *(text for key, value in options.items() for text in (f"--{key}", str(value)))]

    def shape(self) -> str:
        extra = "".join(f", {value} {key}" for key, value in self.extra.items())
        return f"{self.connections} x {self.outstanding}{extra}"


STEADY = ("get", "exists", "children", "set", "create", "mixed", "multi", "create-set-delete")
WORKLOADS = {
    **{load: Workload(load) for load in STEADY},
    **{f"{load}-1x1": Workload(load, 1, 1) for load in STEADY},
    **{f"{load}-64x4": Workload(load, 64, 4) for load in STEADY},
    "fanout": Workload("fanout", extra={"sessions": 200, "keys": 100}, needs_state=True),
    "fanout-10000": Workload("fanout", extra={"sessions": 10000, "keys": 100}, needs_state=True),
    "sessions": Workload("sessions", extra={"sessions": 5000}, counted=True),
    "load": Workload("load", extra={"keys": 100000}, counted=True),
}
DEFAULT_WORKLOADS = ("get", "set", "create")
# What `docs/performance.md` shows.
ALL_WORKLOADS = (
    *STEADY,
    *(f"{load}{shape}" for shape in ("-1x1", "-64x4") for load in STEADY if load not in ("multi", "create-set-delete")),
    "fanout",
    "sessions",
)


class Limit:
    """The limit server, with the attributes of `servers.Server` that a measurement needs."""

    def __init__(self, directory: Path, bytes_each: int):
        port = servers.free_port()
        self.address = f"{servers.HOST}:{port}"
        command = [str(servers.RELEASE / "zklimit"), self.address, str(directory / "limit.log"), str(bytes_each)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.pid = self.process.pid
        # It says where it listens once its log is filled.
        if not self.process.stdout.readline():
            raise servers.ServerError(f"zklimit ended at start, exit code {self.process.wait(10)}")

    def dispose(self) -> None:
        self.process.kill()
        self.process.wait(servers.STOP_SECONDS)


def start(kind: str, directory: Path, bytes_each: int):
    """A server of one kind, its data under `directory`."""
    if kind == "limit":
        return Limit(directory, bytes_each)
    return servers.start(kind, config=CONFIG, directory=directory / kind, java_flags=JAVA_FLAGS)


@dataclass
class Plan:
    """What is measured, and for how long."""

    kinds: list[str]
    workloads: list[str]
    rounds: int
    seconds: int
    warmup: int
    jit_seconds: int
    bytes_each: int
    directory: Path


def run(plan: Plan, say) -> dict:
    """Carries out a plan. Returns every window, and the medians; `say` is told of the progress."""
    windows: list[dict] = []
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=plan.directory)))
        running = {}
        # A plan without windows is only described.
        for kind in plan.kinds if plan.workloads else ():
            running[kind] = start(kind, directory, plan.bytes_each)
            stack.callback(running[kind].dispose)
            say(f"{kind}: pid {running[kind].pid}, {running[kind].address}")
        for number in range(plan.rounds):
            for name in plan.workloads:
                for kind in turns(plan.kinds, number):
                    if kind == "limit" and WORKLOADS[name].needs_state:
                        continue
                    window = measure(plan, running[kind], kind, name, first=number == 0)
                    windows.append({"round": number + 1, "server": kind, "name": name, **window})
                    say(progress(windows[-1], plan.rounds))
    return {"machine": machine(), "plan": description(plan), "windows": windows, "medians": medians(windows)}


def turns(kinds: list[str], number: int) -> list[str]:
    """Another server begins each round."""
    at = number % len(kinds)
    return kinds[at:] + kinds[:at]


def measure(plan: Plan, server, kind: str, name: str, first: bool) -> dict:
    """One window, after the warm-up that the server needs if this is its first with this workload."""
    workload = WORKLOADS[name]
    if first and kind == "apache" and not workload.counted:
        for seconds in warm_up_runs(plan.jit_seconds):
            outcome = zkload(server, workload.arguments(plan.bytes_each, seconds, 0))
            if failure(outcome):
                return outcome
    return zkload(server, workload.arguments(plan.bytes_each, plan.seconds, plan.warmup))


def warm_up_runs(seconds: int) -> list[int]:
    """Lengths of the runs that make up a warm-up."""
    whole, rest = divmod(seconds, RUN_SECONDS_MAX)
    return [RUN_SECONDS_MAX] * whole + [rest] * (rest > 0)


def zkload(server, arguments: list[str]) -> dict:
    """Runs `zkload` against a server; what it reports, or why it could not."""
    command = [str(servers.RELEASE / "zkload"), *arguments, "--address", server.address, "--pid", str(server.pid)]
    seconds = int(arguments[arguments.index("--seconds") + 1]) + int(arguments[arguments.index("--warmup") + 1])
    try:
        before = Cpu.now(server.pid)
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + RUN_GRACE_SECONDS)
        return {**json.loads(done.stdout), "others_cores": Cpu.now(server.pid).others_since(before)}
    except FileNotFoundError as gone:
        if not os.access(command[0], os.X_OK):
            return {"failure": f"no {command[0]}: leave out --no-build"}
        return {"failure": f"the server's process is gone ({gone.filename})"}
    except subprocess.TimeoutExpired:
        return {"failure": f"zkload took more than {seconds + RUN_GRACE_SECONDS} s"}
    except json.JSONDecodeError:
        return {"failure": f"zkload ended with {done.returncode}: {done.stderr[-500:]}"}


@dataclass(frozen=True)
class Cpu:
    """CPU seconds used so far by the whole machine, by one server, and by the loads that have ended."""

    wall: float
    machine: float
    server: float
    loads: float

    @classmethod
    def now(cls, pid: int) -> "Cpu":
        tick = os.sysconf("SC_CLK_TCK")
        # user nice system idle iowait irq softirq steal: all but idle and iowait is work, ours or stolen from us.
        fields = [int(text) for text in Path("/proc/stat").read_text().split(None, 9)[1:9]]
        busy = sum(fields) - fields[3] - fields[4]
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        loads = children.ru_utime + children.ru_stime
        return cls(time.monotonic(), busy / tick, (int(stat[11]) + int(stat[12])) / tick, loads)

    def others_since(self, before: "Cpu") -> float:
        """Cores that anything else kept busy meanwhile, on average: what made the figures worse than they are."""
        used = self.machine - before.machine - (self.server - before.server) - (self.loads - before.loads)
        return round(max(0.0, used / (self.wall - before.wall)), 2)


def failure(window: dict) -> str | None:
    """Why a window counts for nothing."""
    if window.get("failure"):
        return window["failure"]
    if window.get("errors"):
        return f"{window['errors']} errors, the first {window['first_error']}"
    return None


def failures(windows: list[dict]) -> list[str]:
    """One line for each window that counts for nothing."""
    return [f"{w['name']} on {w['server']}, round {w['round']}: {failure(w)}" for w in windows if failure(w)]


# What is kept of a window, and how to take it from its report.
FIGURES = {
    "throughput": lambda w: w["throughput"],
    "p50_us": lambda w: w["latency_us"]["p50"],
    "p99_us": lambda w: w["latency_us"]["p99"],
    "p99.9_us": lambda w: w["latency_us"]["p99.9"],
    "cpu_us_per_op": lambda w: w["server_cpu_us_per_op"],
    "rss_mib": lambda w: w["server_rss_bytes"] / 2**20,
    "client_cpu_us_per_op": lambda w: w["client_cpu_us_per_op"],
    "others_cores": lambda w: w["others_cores"],
}


def medians(windows: list[dict]) -> dict:
    """Workload to server to the median of each figure, over the windows without a failure."""
    grouped: dict[str, dict[str, list[dict]]] = {}
    for window in windows:
        if not failure(window):
            grouped.setdefault(window["name"], {}).setdefault(window["server"], []).append(window)
    return {
        name: {
            kind: {
                **{key: statistics.median(map(take, found)) for key, take in FIGURES.items()},
                "throughput_min": min(map(FIGURES["throughput"], found)),
                "throughput_max": max(map(FIGURES["throughput"], found)),
                "windows": len(found),
            }
            for kind, found in kinds.items()
        }
        for name, kinds in grouped.items()
    }


def table(result: dict) -> str:
    """The medians for people, with their ratios to Apache."""
    heading = ("", "ops/s", "x", "min-max", "p50 us", "p99 us", "p99.9 us", "CPU us/op", "x", "RSS MiB", "x")
    lines = []
    for name, kinds in result["medians"].items():
        base = kinds.get("apache")
        rows = [heading] + [row(kind, median, base) for kind, median in kinds.items()]
        lines += [f"{name}: {WORKLOADS[name].shape()}, {result['plan']['bytes_each']} bytes", *aligned(rows), ""]
    lines.append(f"Medians of {result['plan']['rounds']} rounds; x is the ratio to Apache.")
    others = [median["others_cores"] for kinds in result["medians"].values() for median in kinds.values()]
    if max(others, default=0) > OTHERS_CORES_MAX:
        lines.append(f"The machine was not quiet: up to {max(others)} of its cores were busy with something else.")
    return "\n".join(lines)


def row(kind: str, median: dict, base: dict | None) -> tuple[str, ...]:
    def ratio(key: str) -> str:
        return f"{median[key] / base[key]:.2f}" if base and base[key] else "-"

    spread = f"{median['throughput_min']:,.0f}-{median['throughput_max']:,.0f}"
    latencies = (f"{median[key]:,.0f}" for key in ("p50_us", "p99_us", "p99.9_us"))
    cpu = f"{median['cpu_us_per_op']:.2f}"
    rss = f"{median['rss_mib']:,.0f}"
    return (
        *(kind, f"{median['throughput']:,.0f}", ratio("throughput"), spread, *latencies),
        *(cpu, ratio("cpu_us_per_op"), rss, ratio("rss_mib")),
    )


def aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  " + "  ".join(cell.rjust(width) for cell, width in zip(cells, widths)) for cells in rows]


def progress(window: dict, rounds: int) -> str:
    """One line about a window that has just ended."""
    where = f"round {window['round']}/{rounds}  {window['name']:<18}{window['server']:<8}"
    if failure(window):
        return f"{where} FAILED: {failure(window)}"
    p99_us, cpu_us = FIGURES["p99_us"](window), window["server_cpu_us_per_op"]
    figures = f"{window['throughput']:>12,.0f} ops/s   p99 {p99_us:>9,.0f} us   CPU {cpu_us:>7.2f} us/op"
    others = window["others_cores"]
    return f"{where}{figures}" + (f"   ({others} cores busy with something else)" if others > OTHERS_CORES_MAX else "")


def description(plan: Plan) -> dict:
    shown = ("kinds", "workloads", "rounds", "seconds", "warmup", "jit_seconds", "bytes_each")
    return {**{key: getattr(plan, key) for key in shown}, "config": CONFIG, "java_flags": JAVA_FLAGS}


def machine() -> dict:
    """What the figures depend on."""
    cpu_info = Path("/proc/cpuinfo")
    lines = cpu_info.read_text().splitlines() if cpu_info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cores": os.cpu_count(),
        "cpu": models[0] if models else platform.processor(),
        "kernel": platform.release(),
        "java": first_line(["java", "-version"]),
        "commit": first_line(["git", "-C", str(servers.CHECKOUT), "rev-parse", "--short", "HEAD"]),
    }


def first_line(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return next(iter((done.stdout + done.stderr).splitlines()), None)
