"""Apache Curator 5.9.0, its own tests of client, framework and recipes

They start servers by curator-test's TestingServer; ours, in front of it on the class path, starts Zorilla.
"""

from __future__ import annotations

from suites import _junit

VERSION = "5.9.0"
MODULES = ("client", "framework", "recipes")

missing = _junit.missing
prepare = _junit.prepare
_suite = _junit.Suite(
    "curator",
    [f"curator-{module}-{VERSION}-tests.jar" for module in MODULES],
    "org.apache.curator.",
    [],
    {},
)
tests = _suite.tests
run = _suite.run

QUICK = [
    "framework.imps.TestCreate#*",
    "framework.imps.TestTransactionsNew#*",
    "framework.imps.TestTtlNodes#*",
    "framework.imps.TestWatcherIdentity#*",
    "framework.recipes.cache.TestCuratorCache#*",
    "framework.recipes.locks.TestInterProcessReadWriteLock#*",
    "framework.recipes.watch.TestPersistentWatcher#*",
]
SECONDS = 3000.0
