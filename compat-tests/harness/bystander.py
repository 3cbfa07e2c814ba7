"""A well-behaved client that works while others misbehave, and holds the server to every answer."""

from __future__ import annotations

import threading
import time

from harness import jute

BATCH = 20


class Bystander:
    """Writes and reads its own node in a thread of its own; every answer has to come, in order and with its data.

    As a context manager it raises on exit what it found wrong. `slowest_seconds` is the longest time that one batch of
    `2 * BATCH` pipelined requests took, from the first byte sent to the last answer.
    """

    def __init__(self, server, path: str = "/bystander"):
        self.path = path
        self.client = jute.Client(server)
        self.client.create(path)
        self.batches = 0
        self.slowest_seconds = 0.0
        self.failure: BaseException | None = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        try:
            while not self.stopping.is_set():
                began = time.monotonic()
                self._batch()
                self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - began)
                self.batches += 1
                time.sleep(0.002)
        except BaseException as failure:  # noqa: BLE001 - whatever it is, the test's own thread has to see it
            self.failure = failure

    def _batch(self) -> None:
        requests = bytearray()
        first = self.client.xid + 1
        for number in range(BATCH):
            body = jute.set_data_body(self.path, b"%d:%d" % (self.batches, number))
            requests += jute.request(self.client.next_xid(), jute.SET_DATA, body)
            requests += jute.request(self.client.next_xid(), jute.GET_DATA, jute.read_body(self.path))
        self.client.connection.send(bytes(requests))
        for number in range(BATCH):
            written, read = self.client.receive(), self.client.receive()
            expected = (first + 2 * number, 0, first + 2 * number + 1, 0, b"%d:%d" % (self.batches, number))
            got = (written.xid, written.err, read.xid, read.err, read.reader().buffer())
            assert got == expected, f"expected {expected}, got {got}"

    def __enter__(self) -> "Bystander":
        self.thread.start()
        return self

    def __exit__(self, kind, *_) -> None:
        self.stopping.set()
        self.thread.join(3 * jute.IO_SECONDS)
        alive = self.thread.is_alive()
        self.client.abandon()
        if kind is not None:
            return
        assert not alive, "the well-behaved client is still waiting for an answer"
        if self.failure is not None:
            raise AssertionError("the well-behaved client was harmed") from self.failure
        assert self.batches > 0, "the well-behaved client got nothing done"
