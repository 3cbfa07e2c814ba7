"""Apache ZooKeeper 3.9.4, its own server tests

Where they create a connection factory for a server within the JVM, ours, named by a property that Apache's server has for
that, starts Zorilla.
"""

from __future__ import annotations

from suites import _junit

VERSION = "3.9.4"
# As in the server's own build.
SUPER = "-Dzookeeper.DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU="

missing = _junit.missing
prepare = _junit.prepare
# Set by this class too late for a server that does not share its JVM.
LARGEST_REQUEST = {"test.BufferSizeTest": ["-Djute.maxbuffer=100"]}
_suite = _junit.Suite("apache", [f"zookeeper-{VERSION}-tests.jar"], "org.apache.zookeeper.", [SUPER], LARGEST_REQUEST)
tests = _suite.tests
run = _suite.run

QUICK = [
    "GetAllChildrenNumberTest#*",
    "GetEphemeralsTest#*",
    "RemoveWatchesTest#*",
    "test.ACLTest#*",
    "test.AsyncOpsTest#*",
    "test.AuthSHA2Test#*",
    "test.CreateTest#*",
    "test.GetChildren2Test#*",
    "test.MultiOperationTest#*",
    "test.PersistentRecursiveWatcherTest#*",
    "test.PersistentWatcherTest#*",
    "test.WatcherFuncTest#*",
    "test.ZooKeeperQuotaTest#*",
]
SECONDS = 3000.0
