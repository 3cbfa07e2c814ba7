"""Random requests that a client could send, from a seed: mostly sensible, often not, over a few nodes.

Left out is what ends an Apache server or what it answers by chance: createTTL without a TTL, a deleteContainer
without permission, and two identities of one scheme on a connection. Null paths are left to the recordings: Zorilla
takes no zxid for a request that it cannot decode, and for a null path Apache does.
"""

from __future__ import annotations

import random
import struct

from harness import jute

GOOD_PATHS = ["/a", "/b", "/c", "/a/x", "/a/y", "/b/x", "/a/x/1", "/b/x/1", "/c/x"]
SYSTEM_PATHS = ["/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota", "/zookeeper/quota/a"]
QUOTA_PATHS = ["/zookeeper/quota/a/zookeeper_limits", "/zookeeper/quota/a/zookeeper_stats"]
ODD_PATHS = ["", "a", "/a/", "/a//x", "/a/.", "/a/..", "/a/\x01", "/a/\x00", "/a/\u2028", "/a/\ue000", "/\u00e9"]
LIMITS = [b"count=3,bytes=10", b"count=-1,bytes=-1", b"count=4,bytes=20=;byteHardLimit=30;countHardLimit=5"]
READERS = ((jute.READ, "world", "anyone"),)
ACLS = [
    *[jute.OPEN] * 12,
    READERS,
    ((jute.ALL & ~jute.READ, "world", "anyone"),),
    ((jute.ALL, "auth", ""),),
    ((jute.ALL, "digest", "bob:ikIaKsbtGweaHnb/jKn7OHqbunM="),),
    ((jute.ALL, "digest", "bob:ikIaKsbtGweaHnb/jKn7OHqbunM="), (jute.READ, "world", "anyone")),
    ((jute.ALL, "ip", "127.0.0.1"),),
    ((jute.ALL, "ip", "10.0.0.0/8"),),
    ((jute.ALL, "ip", "nonsense"),),
    ((jute.ALL, "world", "anyone"), (jute.ALL, "world", "anyone")),
    ((jute.ALL, "world", "someone"),),
    ((jute.ALL, "nosuch", "x"),),
    ((jute.ALL, "digest", "nocolon"),),
    (),
]

WEIGHTS = {
    jute.CREATE: 14, jute.CREATE2: 8, jute.CREATE_CONTAINER: 3, jute.CREATE_TTL: 3, jute.DELETE: 12,
    jute.EXISTS: 8, jute.GET_DATA: 8, jute.SET_DATA: 12, jute.GET_ACL: 3, jute.SET_ACL: 4, jute.GET_CHILDREN: 5,
    jute.GET_CHILDREN2: 6, jute.SYNC: 1, jute.PING: 1, jute.MULTI: 12, jute.MULTI_READ: 4, jute.RECONFIG: 1,
    jute.CHECK_WATCHES: 2, jute.REMOVE_WATCHES: 3, jute.SET_WATCHES: 2, jute.SET_WATCHES2: 2, jute.ADD_WATCH: 4,
    jute.GET_EPHEMERALS: 2, jute.GET_ALL_CHILDREN_NUMBER: 2, jute.WHO_AM_I: 1, jute.SASL: 1,
}  # fmt: skip
CUT_SHARE = 0.04
NEVER_CUT = (jute.PING, jute.WHO_AM_I, jute.SASL)


class History:
    """An endless, reproducible supply of (opcode, body)."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)

    def next(self, zxid: int) -> tuple[int, bytes]:
        """A request, given the newest zxid that the client knows."""
        op = self.random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        body = self.body(op, zxid)
        if body and op not in NEVER_CUT and self.random.random() < CUT_SHARE:
            body = body[: self.random.randrange(len(body))]
        return op, body

    def body(self, op: int, zxid: int) -> bytes:
        if op in (jute.CREATE, jute.CREATE2, jute.CREATE_CONTAINER):
            return self.create(self.random.choice([0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 7, -1]))
        if op == jute.CREATE_TTL:
            flags = self.random.choice([5, 5, 5, 6, 0, 1, 4])
            ttl = self.random.choice([10**7, 10**7, 2**40 - 1, 2**40, 0] if flags < 5 else [10**7, 2**40, 0, -1])
            return self.create(flags) + struct.pack(">q", ttl)
        if op in (jute.DELETE, jute.CHECK):
            return jute.delete_body(self.path(), self.version())
        if op in (jute.EXISTS, jute.GET_DATA, jute.GET_CHILDREN, jute.GET_CHILDREN2):
            return jute.read_body(self.path(), self.random.random() < 0.5)
        if op == jute.SET_DATA:
            path = self.path()
            return jute.set_data_body(path, self.data(path), self.version())
        if op == jute.SET_ACL:
            return jute.set_acl_body(self.path(), self.random.choice(ACLS), self.version())
        if op in (jute.MULTI, jute.MULTI_READ):
            return self.multi(op)
        return self.rare(op, zxid)

    def rare(self, op: int, zxid: int) -> bytes:
        if op in (jute.CHECK_WATCHES, jute.REMOVE_WATCHES):
            return jute.add_watch_body(self.path(), self.random.choice([1, 2, 3, 3, 4, 5, 0, 6]))
        if op == jute.ADD_WATCH:
            return jute.add_watch_body(self.path(), self.random.choice([0, 0, 1, 1, 2]))
        if op in (jute.SET_WATCHES, jute.SET_WATCHES2):
            lists = 3 if op == jute.SET_WATCHES else 5
            chosen = [[self.path() for _ in range(self.random.randrange(3))] for _ in range(lists)]
            at = max(0, zxid - self.random.randrange(20))
            return struct.pack(">q", at) + b"".join(jute.put_strings(paths) for paths in chosen)
        if op == jute.RECONFIG:
            return jute.put_string("server.9=127.0.0.1:1:2;3") + jute.put_string(None) * 2 + struct.pack(">q", -1)
        if op == jute.SASL:
            return jute.put_buffer(b"")
        if op in (jute.PING, jute.WHO_AM_I):
            return b""
        return jute.put_string(self.path())

    def create(self, flags: int) -> bytes:
        path = self.path()
        return jute.create_body(path, self.data(path), flags, self.random.choice(ACLS))

    def multi(self, op: int) -> bytes:
        if op == jute.MULTI:
            kinds = [jute.CREATE, jute.CREATE2, jute.DELETE, jute.SET_DATA, jute.CHECK, jute.CREATE_CONTAINER]
        else:
            kinds = [jute.GET_DATA, jute.GET_CHILDREN]
        if self.random.random() < 0.05:
            kinds = kinds + [jute.EXISTS, jute.GET_DATA, jute.DELETE]
        parts = []
        for _ in range(self.random.choice([0, 1, 1, 2, 2, 3, 4])):
            kind = self.random.choice(kinds)
            parts.append(struct.pack(">i?i", kind, False, -1) + self.body(kind, 0))
        return b"".join(parts) + struct.pack(">i?i", -1, True, -1)

    def path(self) -> str | None:
        kind = self.random.random()
        if kind < 0.86:
            return self.random.choice(GOOD_PATHS)
        if kind < 0.92:
            return self.random.choice(SYSTEM_PATHS)
        return self.random.choice(QUOTA_PATHS if kind < 0.96 else ODD_PATHS)

    def data(self, path: str | None) -> bytes | None:
        if path in QUOTA_PATHS:
            return self.random.choice(LIMITS)
        return self.random.choice([None, b"", b"1", b"twelve bytes", b"x" * 25])

    def version(self) -> int:
        return self.random.choice([-1, -1, -1, -1, 0, 0, 1, 2, -2])
