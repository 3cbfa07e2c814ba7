"""kazoo at work: nodes, watches, recipes, transactions, ACLs, and its session over a kill -9 of the server.

One line per check; the first that fails ends the program with status 1.
"""

import os
import sys
import threading
import time

from kazoo.client import KazooClient
from kazoo.exceptions import (
    BadVersionError, KazooException, NoAuthError, NodeExistsError, NoChildrenForEphemeralsError, NoNodeError,
    NotEmptyError, RolledBackError, RuntimeInconsistency,
)
from kazoo.recipe.watchers import ChildrenWatch, DataWatch
from kazoo.retry import KazooRetry
from kazoo.security import make_acl, make_digest_acl

SESSION_TIMEOUT_SECONDS = 15.0
WAIT_SECONDS = 20.0


def fail(what):
    print("FAILED", what, flush=True)
    os._exit(1)


def check(what, holds):
    if not holds:
        fail(what)
    print("ok", what, flush=True)


def equal(what, expected, actual):
    check(what if expected == actual else f"{what}: expected {expected!r}, got {actual!r}", expected == actual)


def refused(what, error, request, *arguments, **options):
    try:
        request(*arguments, **options)
    except error:
        return check(f"{what} is refused with {error.__name__}", True)
    fail(f"{what}: no {error.__name__}")


def eventually(what, condition):
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if condition():
            return check(what, True)
        time.sleep(0.02)
    fail(f"{what}: not within {WAIT_SECONDS} s")


def connect(address, **options):
    retry = KazooRetry(max_tries=-1, delay=0.05, max_delay=0.5)
    client = KazooClient(address, timeout=SESSION_TIMEOUT_SECONDS, connection_retry=retry, **options)
    client.start(timeout=WAIT_SECONDS)
    return client


def nodes(client):
    client.ensure_path("/py/a/b")
    equal("create", "/py/p", client.create("/py/p", b"one"))
    data, stat = client.get("/py/p")
    equal("data and Stat of a new node", (b"one", 0, 0, 3, 0), (data, stat.version, stat.cversion, stat.dataLength, stat.numChildren))
    check("its zxids are one", stat.czxid == stat.mzxid == stat.pzxid)
    equal("set raises version", 1, client.set("/py/p", b"two", version=0).version)
    refused("set with an old version", BadVersionError, client.set, "/py/p", b"x", version=0)
    refused("create of what is there", NodeExistsError, client.create, "/py/p")
    refused("create below nothing", NoNodeError, client.create, "/py/none/c")
    refused("delete of a parent", NotEmptyError, client.delete, "/py/a")
    path, stat = client.create("/py/e", ephemeral=True, include_data=True)
    equal("an ephemeral's owner", client.client_id[0], stat.owner_session_id)
    refused("a child of an ephemeral", NoChildrenForEphemeralsError, client.create, "/py/e/c")
    client.create("/py/s")
    equal("sequential names", ["/py/s/n-0000000000", "/py/s/n-0000000001"],
          [client.create("/py/s/n-", sequence=True) for _ in range(2)])
    client.delete("/py/a", recursive=True)
    equal("recursive delete", None, client.exists("/py/a"))
    children, stat = client.get_children("/py/s", include_data=True)
    equal("children with their Stat", (2, 2), (len(children), stat.numChildren))
    equal("sync", "/py", client.sync("/py"))


def watches(client, other):
    values, children = [], []
    DataWatch(client, "/py/watched", lambda data, stat: values.append(data))
    other.create("/py/watched", b"1")
    eventually("DataWatch sees the creation", lambda: values[-1:] == [b"1"])
    other.set("/py/watched", b"2")
    eventually("DataWatch sees the change", lambda: values[-1:] == [b"2"])
    ChildrenWatch(client, "/py/watched", lambda names: children.append(sorted(names)))
    other.create("/py/watched/c")
    eventually("ChildrenWatch sees the child", lambda: children[-1:] == [["c"]])
    other.delete("/py/watched/c")
    eventually("ChildrenWatch sees it go", lambda: children[-1:] == [[]])
    return values, children


def recipes(client, other):
    total = [0]

    def locked(handle):
        for _ in range(15):
            with handle.Lock("/py/lock", "me"):
                value = total[0]
                handle.exists("/py")
                total[0] = value + 1

    threads = [threading.Thread(target=locked, args=(handle,)) for handle in (client, other)]
    [thread.start() for thread in threads]
    [thread.join(WAIT_SECONDS * 2) for thread in threads]
    equal("Lock lets one in at a time", 30, total[0])

    leaders = []
    for handle, name in ((client, "a"), (other, "b")):
        thread = threading.Thread(target=handle.Election("/py/election", name).run, args=(leaders.append, name))
        thread.start()
        thread.join(WAIT_SECONDS)
    equal("Election lets each lead", ["a", "b"], leaders)

    counters = [handle.Counter("/py/counter") for handle in (client, other)]
    for _ in range(10):
        for counter in counters:
            counter += 1
    equal("Counter", 20, client.Counter("/py/counter").value)

    barrier = client.Barrier("/py/barrier")
    barrier.create()
    equal("Barrier holds", False, other.Barrier("/py/barrier").wait(0.2))
    threading.Timer(0.2, barrier.remove).start()
    equal("Barrier opens", True, other.Barrier("/py/barrier").wait(WAIT_SECONDS))

    parties = [handle.Party("/py/party", name) for handle, name in ((client, "a"), (other, "b"))]
    [party.join() for party in parties]
    equal("Party", ["a", "b"], sorted(parties[0]))
    parties[1].leave()
    equal("Party after one left", ["a"], list(parties[0]))

    queue = client.Queue("/py/queue")
    [queue.put(value) for value in (b"1", b"2")]
    equal("Queue", [b"1", b"2"], [other.Queue("/py/queue").get() for _ in range(2)])


def transactions(client):
    transaction = client.transaction()
    transaction.create("/py/t", b"1")
    transaction.set_data("/py/t", b"2", version=0)
    transaction.check("/py/t", 1)
    transaction.create("/py/t/s-", sequence=True)
    transaction.delete("/py/t/s-0000000000")
    results = transaction.commit()
    equal("a transaction's results", ("/py/t", 1, True, "/py/t/s-0000000000", True),
          (results[0], results[1].version, *results[2:]))
    transaction = client.transaction()
    transaction.create("/py/never")
    transaction.check("/py/t", 7)
    transaction.delete("/py/t")
    equal("a failed transaction's results", [RolledBackError, BadVersionError, RuntimeInconsistency],
          [type(result) for result in transaction.commit()])
    equal("nothing of it was done", None, client.exists("/py/never"))


def acls(client, address):
    bob = connect(address, auth_data=[("digest", "bob:pw")])
    mine = make_digest_acl("bob", "pw", all=True)
    bob.create("/py/bob", b"mine", acl=[mine])
    equal("bob reads", b"mine", bob.get("/py/bob")[0])
    refused("another", NoAuthError, client.get, "/py/bob")
    equal("the ACL comes back", [mine], bob.get_acls("/py/bob")[0])
    bob.set_acls("/py/bob", [make_acl("world", "anyone", read=True)], version=0)
    equal("now another reads", b"mine", client.get("/py/bob")[0])
    refused("and may not write", NoAuthError, client.set, "/py/bob", b"x")
    client.add_auth("digest", "super:secret")
    equal("super may", 1, client.set("/py/bob", b"x").version)
    bob.stop()
    bob.close()


class Writer(threading.Thread):
    """Writes until told to stop; keeps what was acknowledged apart from what merely was sent."""

    def __init__(self, client):
        super().__init__(daemon=True)
        self.client = client
        self.stop = threading.Event()
        self.sent = set()
        self.acknowledged = {}
        self.refused = []
        self.version = 0
        self.version_sent = 0

    def run(self):
        i = 0
        while not self.stop.is_set():
            i += 1
            try:
                self.create(i)
                self.set(i)
            except (KazooException, OSError):
                # The outcome is unknown: what was sent may or may not be there.
                time.sleep(0.02)

    def create(self, i):
        value = b"value %d" % i
        self.sent.add(value)
        self.acknowledged[self.client.create("/py/log/n-", value, sequence=True)] = value
        try:
            self.client.create("/py/counted", b"refused %d" % i)
        except NodeExistsError:
            self.refused.append(i)

    def set(self, i):
        self.version_sent += 1
        try:
            self.version = self.client.set("/py/counted", b"%d" % i, version=self.version).version
        except BadVersionError:
            # Only an unknown outcome that did happen may have moved it.
            self.version = self.client.get("/py/counted")[1].version


def restart(client, other, values, children):
    session = client.client_id
    client.create("/py/alive", ephemeral=True)
    client.create("/py/log")
    client.create("/py/counted", b"0")
    lock = client.Lock("/py/lock", "holder")
    lock.acquire()
    writer = Writer(other)
    writer.start()
    eventually("writes are under way", lambda: len(writer.acknowledged) > 20)
    print("RESTART", flush=True)
    sys.stdin.readline()
    before = len(writer.acknowledged)
    eventually("writes go on after the restart", lambda: len(writer.acknowledged) > before + 20)
    writer.stop.set()
    writer.join(WAIT_SECONDS)
    eventually("the client is back", lambda: client.connected)

    equal("it is the same session", session, client.client_id)
    equal("its ephemeral is there", session[0], client.retry(client.exists, "/py/alive").owner_session_id)
    lost = [path for path, value in writer.acknowledged.items() if client.get(path)[0] != value]
    equal("every acknowledged create is there", [], lost)
    there = [client.get("/py/log/" + name)[0] for name in client.get_children("/py/log")]
    check("nothing is there that was not sent, and nothing twice", len(set(there)) == len(there) and set(there) <= writer.sent)
    data, stat = client.get("/py/counted")
    check(f"the counter holds every acknowledged set ({stat.version} of {writer.version_sent})",
          writer.version <= stat.version <= writer.version_sent)
    check("what was refused did nothing", writer.refused and not data.startswith(b"refused"))
    equal("the lock is held still", False, other.Lock("/py/lock", "other").acquire(blocking=False))
    lock.release()
    equal("and can be released", True, other.Lock("/py/lock", "other").acquire(timeout=WAIT_SECONDS))
    other.set("/py/watched", b"after the restart")
    eventually("DataWatch goes on", lambda: values[-1] == b"after the restart")
    other.create("/py/watched/after")
    eventually("ChildrenWatch goes on", lambda: children[-1] == ["after"])


def main():
    address = sys.argv[-1]
    client, other = connect(address), connect(address)
    nodes(client)
    seen = watches(client, other)
    recipes(client, other)
    transactions(client)
    acls(client, address)
    restart(client, other, *seen)
    for handle in (client, other):
        handle.stop()
        handle.close()
    print("done", flush=True)
    os._exit(0)


try:
    main()
except Exception as error:
    import traceback

    traceback.print_exc()
    fail(f"unexpected {error!r}")
