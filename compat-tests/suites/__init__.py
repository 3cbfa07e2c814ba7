"""Suites that others wrote for Apache ZooKeeper, and programs of ours over clients that ship none. Run by scripts/compat.

A suite is one module here. The first line of its docstring names it with its version. It has

- `prepare()`: resolves what it needs from a registry, pinned, and builds it in `foreign.folder(NAME)`. Idempotent, quick
  when nothing changed, offline then. Nothing of it is ever committed.
- `missing() -> str | None` (optional): what is not installed here and cannot be resolved by `prepare`; the suite is left out then.
- `tests() -> list[str]`: the id of every test it has, also of those that `skipped.toml` leaves out. Called after `prepare`.
- `run(kind, selection, timeout_seconds) -> list[Outcome]`: runs those tests against servers of that kind ("zorilla" or "apache")
  and gives one outcome for each id of the selection. It ends by itself within the timeout; what did not report then has failed.
  It must also be able to run one test alone: that is how a failure is told from a flaky test.
- `QUICK`: patterns (fnmatch) of the test ids that every run of scripts/test makes.
- `SECONDS` (optional): how long a whole run may take; 900 unless given.

Shims, poms and programs that a suite needs are in a folder of its name beside it. A server is had from `harness.servers.start`,
a command line or a `zkServer.sh` for harnesses that start their servers themselves from `harness.servers.command` and
`harness.foreign.zk_server_script`.
"""
