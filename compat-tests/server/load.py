"""Load whose outcome is known: what must be there after the server was stopped, killed or full.

Each writer has a directory of its own that nobody else writes to, pipelines its requests and predicts every answer
from a model. When the connection ends, the requests that were answered are facts and the rest may have happened or
not, but in order: the directory must look like the model after all answered requests and some number of the others.
That one comparison finds lost writes, refused writes that came back, halves of a multi and changed order.
"""

from __future__ import annotations

import random
import struct
import threading
from collections import deque
from dataclasses import dataclass

from harness import jute

SYSTEM_ERROR = -1
RUNTIME_INCONSISTENCY = -2
WINDOW = 24
LIVE_MAX = 40


@dataclass
class Node:
    data: bytes
    version: int = 0
    ephemeral: bool = False


class Model:
    """The znodes of one writer's directory by name, and the next number of its sequence."""

    def __init__(self):
        self.nodes: dict[str, Node] = {}
        self.sequence = 0

    def copy(self) -> "Model":
        other = Model()
        other.nodes = {name: Node(n.data, n.version, n.ephemeral) for name, n in self.nodes.items()}
        other.sequence = self.sequence
        return other

    def apply(self, op: tuple) -> tuple[int, str | None]:
        """The code of the answer, and the name that a create made."""
        kind = op[0]
        if kind == "create":
            _, name, data, ephemeral, sequential = op
            if sequential:
                name = f"{name}{self.sequence:010d}"
            if name in self.nodes:
                return jute.NODE_EXISTS, None
            self.nodes[name] = Node(data, 0, ephemeral)
            self.sequence += 1
            return jute.OK, name
        if kind == "multi":
            trial = self.copy()
            for part in op[1]:
                code, _ = trial.apply(part)
                if code != jute.OK:
                    return code, None
            self.nodes, self.sequence = trial.nodes, trial.sequence
            return jute.OK, None
        _, name, version = op[:3]
        node = self.nodes.get(name)
        if node is None:
            return jute.NO_NODE, None
        if version not in (-1, node.version):
            return jute.BAD_VERSION, None
        if kind == "set":
            node.data, node.version = op[3], node.version + 1
        elif kind == "delete":
            del self.nodes[name]
        return jute.OK, None

    def without_ephemerals(self) -> "Model":
        other = self.copy()
        other.nodes = {name: n for name, n in other.nodes.items() if not n.ephemeral}
        return other

    def seen(self) -> dict[str, tuple]:
        """What a reader would find; under "" how many creates there were, which a create and a delete leave behind."""
        seen = {name: (n.data, n.version, n.ephemeral) for name, n in self.nodes.items()}
        return seen | {"": (self.sequence,)}


def encode(root: str, op: tuple) -> tuple[int, bytes]:
    """Opcode and body of an operation below `root`."""
    kind = op[0]
    if kind == "create":
        _, name, data, ephemeral, sequential = op
        flags = (jute.EPHEMERAL if ephemeral else 0) | (jute.SEQUENTIAL if sequential else 0)
        return jute.CREATE, jute.create_body(f"{root}/{name}", data, flags)
    if kind == "set":
        return jute.SET_DATA, jute.set_data_body(f"{root}/{op[1]}", op[3], op[2])
    if kind == "delete":
        return jute.DELETE, jute.delete_body(f"{root}/{op[1]}", op[2])
    if kind == "check":
        return jute.CHECK, jute.delete_body(f"{root}/{op[1]}", op[2])
    parts = b""
    for part in op[1]:
        code, body = encode(root, part)
        parts += struct.pack(">i?i", code, False, -1) + body
    return jute.MULTI, parts + struct.pack(">i?i", -1, True, -1)


class Writer:
    """One session that works in `/load/NAME`. `run` goes on until `stop` is set or the connection ends.

    `refusable` says that the server may answer with SYSTEMERROR (it is full, say), which has to mean that nothing
    happened; `paced_seconds` is the least time between two bursts.
    """

    def __init__(self, server, name: str, seed: int, timeout_ms: int, data_bytes: int = 200, refusable: bool = False):
        self.server, self.name, self.timeout_ms = server, name, timeout_ms
        self.root = f"/load/{name}"
        self.random = random.Random(seed)
        self.data_bytes = data_bytes
        self.refusable = refusable
        self.model = Model()
        self.session: jute.Session | None = None
        self.pending: deque[tuple[int, tuple]] = deque()
        self.stop = threading.Event()
        self.acknowledged = 0
        self.refused = 0
        self.failure: str | None = None
        self.thread: threading.Thread | None = None
        self.client: jute.Client | None = None
        # Planned ahead of the answers, so that most requests make sense.
        self.plan = Model()

    # Operations.

    def operation(self) -> tuple:
        pick = self.random.random
        names = list(self.plan.nodes)
        data = self.random.randbytes(self.random.randrange(self.data_bytes) + 1)
        if pick() < 0.07:
            return self.multi(names, data)
        if pick() < 0.05 or len(names) < 8:
            return ("create", f"p{self.random.randrange(1 << 20)}", data, False, False)
        if len(names) > LIVE_MAX:
            return ("delete", self.random.choice(names), -1)
        name = self.random.choice(names)
        version = self.plan.nodes[name].version
        choice = self.random.randrange(100)
        if choice < 45:
            return ("set", name, version, data)
        if choice < 50:
            return ("set", name, version + 7, data)
        if choice < 62:
            return ("create", "s-", data, False, True)
        if choice < 68:
            return ("create", "es-", data, True, True)
        if choice < 78:
            return ("create", f"e{self.random.randrange(1 << 20)}", data, True, False)
        if choice < 82:
            return ("create", name, data, False, False)
        return ("delete", name, self.random.choice((-1, version)))

    def multi(self, names: list[str], data: bytes) -> tuple:
        fresh = f"m{self.random.randrange(1 << 20)}"
        parts = [("create", fresh, data, False, False), ("set", fresh, 0, data + b"!")]
        if names:
            parts.append(("set", self.random.choice(names), -1, data))
        if self.random.random() < 0.5:
            parts.append(("check", "missing", -1))
        return ("multi", parts)

    # Running.

    def connect(self) -> None:
        self.client = jute.Client(self.server, self.timeout_ms, self.session)
        if self.session is not None and self.client.session.session_id != self.session.session_id:
            raise AssertionError(f"{self.name}: session {self.session.session_id:#x} could not be resumed")
        fresh, self.session = self.session is None, self.client.session
        if fresh:
            self.client.create(self.root)

    def start(self) -> "Writer":
        self.thread = threading.Thread(target=self.run, name=self.name)
        self.thread.start()
        return self

    def run(self) -> None:
        try:
            if self.client is None:
                self.connect()
            while not self.stop.is_set():
                self.burst()
        except (ConnectionError, jute.Closed):
            pass
        except Exception as why:  # noqa: BLE001 - reported by the test's own thread
            self.failure = f"{type(why).__name__}: {why}"

    def burst(self) -> None:
        """Fills the window and takes half of the answers."""
        out = b""
        while len(self.pending) < WINDOW:
            op = self.operation()
            self.plan.apply(op)
            code, body = encode(self.root, op)
            xid = self.client.next_xid()
            self.pending.append((xid, op))
            out += jute.request(xid, code, body)
        if out:
            self.client.connection.send(out)
        self.answers(WINDOW // 2)

    def answers(self, count: int) -> None:
        refused = False
        for _ in range(min(count, len(self.pending))):
            refused |= self.answer()
        if refused:
            # What was planned on top of a refused write has to be planned again, when all is answered.
            while self.pending:
                self.answer()
            self.plan = self.model.copy()

    def answer(self) -> bool:
        reply = self.client.reply()
        xid, op = self.pending[0]
        if reply.xid != xid:
            raise AssertionError(f"xid {reply.xid} answers {xid}")
        if reply.err == SYSTEM_ERROR and self.refusable:
            self.pending.popleft()
            self.refused += 1
            return True
        code, name = self.model.apply(op)
        self.pending.popleft()
        if op[0] == "multi":
            self.check_multi(reply, code)
        elif reply.err != code:
            raise AssertionError(f"{self.name}: {op[0]} {op[1]} answered {reply.err}, expected {code}")
        if code == jute.OK and op[0] == "create" and reply.reader().string() != f"{self.root}/{name}":
            raise AssertionError(f"{self.name}: created {reply.reader().string()}, expected {name}")
        self.acknowledged += 1
        return False

    def check_multi(self, reply: jute.Reply, code: int) -> None:
        """A failed multi of several parts answers with a list of errors, and OK in the header."""
        reader = reply.reader()
        first = reader.int()
        if reply.err not in (jute.OK, code) or (first == -1) != (code != jute.OK):
            raise AssertionError(f"{self.name}: multi answered {reply.err} and {first}, expected {code}")

    def finish(self, seconds: float = 30.0) -> None:
        """Waits for the thread; raises what went wrong in it."""
        self.stop.set()
        if self.thread is not None:
            self.thread.join(seconds)
            assert not self.thread.is_alive(), f"{self.name} did not end"
            self.thread = None
        assert self.failure is None, f"{self.name}: {self.failure}"

    def drain(self) -> None:
        """Takes every answer that is still due, on a server that runs."""
        while self.pending:
            self.answer()
        self.plan = self.model.copy()

    def abandon(self) -> None:
        if self.client is not None:
            self.client.abandon()
            self.client = None

    # Verifying.

    def reconcile(self, seen: dict[str, tuple], session_gone: bool = False) -> int:
        """Compares the directory with the model and takes over how many unanswered requests happened. Returns it."""
        trial = self.model.copy()
        ops = [op for _, op in self.pending]
        for happened in range(len(ops) + 1):
            expected = trial.without_ephemerals() if session_gone else trial
            if expected.seen() == seen:
                self.model, self.plan = trial, trial.copy()
                self.pending.clear()
                return happened
            if happened < len(ops):
                trial.apply(ops[happened])
        raise AssertionError(self.difference(seen, session_gone))

    def difference(self, seen: dict[str, tuple], session_gone: bool) -> str:
        model = self.model.without_ephemerals() if session_gone else self.model
        expected = model.seen()
        lost = {name: value[1:] for name, value in expected.items() if name not in seen}
        extra = {name: value[1:] for name, value in seen.items() if name not in expected}
        changed = {n: (expected[n][1:], seen[n][1:]) for n in expected.keys() & seen.keys() if expected[n] != seen[n]}
        return (
            f"{self.root} is not what was acknowledged ({self.acknowledged} answers, {len(self.pending)} open): "
            f"missing {lost}, extra {extra}, changed {changed}; open {[op[:2] for _, op in self.pending]}"
        )


def read_directory(client: jute.Client, root: str) -> dict[str, tuple]:
    """name -> (data, version, ephemeral) of what is below `root`, and how many creates there were."""
    reader = client.ok(jute.GET_CHILDREN2, jute.read_body(root)).reader()
    names, parent = reader.strings(), reader.stat()
    for name in names:
        client.send(jute.GET_DATA, jute.read_body(f"{root}/{name}"))
    # cversion counts a create as two steps up, less one for each child there is.
    seen = {"": ((parent.cversion + parent.numChildren) // 2,)}
    for name in names:
        answer = client.reply()
        assert answer.err == jute.OK, f"{root}/{name} is listed, and reading it gives {answer.err}"
        reader = answer.reader()
        data = reader.buffer()
        stat = reader.stat()
        seen[name] = (data, stat.version, stat.ephemeralOwner != 0)
    return seen


def make_root(server) -> None:
    with jute.Client(server) as client:
        client.create("/load")
        client.close()
