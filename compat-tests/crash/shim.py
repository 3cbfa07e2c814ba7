"""A server that runs under `shim.c`: what it does to its files is recorded, and can be made to fail."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

from harness import servers

SOURCE = Path(__file__).resolve().parent / "shim.c"
BUILT = servers.RELEASE / "crash" / "shim.so"
CHECKER = servers.RELEASE / "zkcrash"
PAGE_BYTES = 4096
HEAD_BYTES = 40
NOTE = 15


def build_shim() -> Path:
    """Compiles the shim, unless that was done with this very source."""
    if not BUILT.exists() or BUILT.stat().st_mtime < SOURCE.stat().st_mtime:
        BUILT.parent.mkdir(parents=True, exist_ok=True)
        fresh = BUILT.with_suffix(f".{os.getpid()}")
        command = ["gcc", "-O2", "-Wall", "-Wno-unused-result", "-shared", "-fPIC", "-o", str(fresh), str(SOURCE), "-ldl"]
        subprocess.run(command, check=True, timeout=120)
        fresh.rename(BUILT)
    return BUILT


def checker() -> Path:
    """The program that rebuilds and opens states: `ZKCRASH_BIN`, else the release build of this checkout."""
    path = Path(os.environ.get("ZKCRASH_BIN") or CHECKER)
    if not os.access(path, os.X_OK):
        raise servers.ServerError(f"no zkcrash at {path}: `cargo build --release -p zorilla-crash-tests`")
    return path


def drop_cut_record(trace: Path) -> int:
    """Takes away the record that a killed server was writing: what it tells of had not begun, and the next server
    appends behind it. Returns how many bytes that were."""
    end, size = 0, trace.stat().st_size
    with open(trace, "r+b") as file:
        while end + HEAD_BYTES <= size:
            file.seek(end)
            (length,) = struct.unpack(">I", file.read(4))
            assert length >= HEAD_BYTES, f"{trace}: no record at {end}"
            if end + length > size:
                break
            end += length
        file.truncate(end)
    return size - end


def fast_directory() -> Path | None:
    """A file system in memory, where there is one: thousands of directories are written and opened."""
    return Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None


class Faults:
    """The page of rules that the shim reads. A rule is (op, glob of a file's name, how many to let through, how many
    to fail or -1, errno or "short"); ops: create open read write sync truncate rename link unlink mkdir."""

    def __init__(self, path: Path):
        self.path = path
        path.write_bytes(bytes(PAGE_BYTES))
        self.generation = 0

    def set(self, *rules: tuple) -> None:
        text = "".join(" ".join(str(part) for part in rule) + "\n" for rule in rules).encode()
        assert len(text) < PAGE_BYTES - 32
        self.generation += 1
        with open(self.path, "r+b") as page:
            page.seek(PAGE_BYTES - 8)
            page.write(bytes(8))
            page.seek(4)
            page.write(text.ljust(PAGE_BYTES - 16, b"\0"))
            page.flush()
            page.seek(0)
            page.write(struct.pack(">I", self.generation))

    def fired(self) -> int:
        return struct.unpack(">I", self.path.read_bytes()[-8:-4])[0]

    def seen(self) -> int:
        return struct.unpack(">I", self.path.read_bytes()[-4:])[0]


class ShimmedServer(servers.Server):
    """Its files are below `directory/disk`, which is empty at first: the server makes its own directories."""

    def __init__(self, config: dict, directory: Path, record: bool):
        self.disk = directory.resolve() / "disk"
        self.disk.mkdir(parents=True)
        self.trace = directory.resolve() / "trace" if record else None
        self.faults = Faults(directory.resolve() / "faults")
        config = {"dataDir": self.disk / "data", "maxClientCnxns": 0, "4lw.commands.whitelist": "*", **config}
        super().__init__("zorilla", config, {}, directory)
        for made in self.disk.iterdir():
            shutil.rmtree(made)
        self.snapshots = 0

    def _command(self) -> list[str]:
        environment = {"LD_PRELOAD": build_shim(), "SHIM_ROOT": self.disk, "SHIM_FAULTS": self.faults.path}
        if self.trace:
            self._settle_trace()
            environment["SHIM_TRACE"] = self.trace
        return ["env", *(f"{key}={value}" for key, value in environment.items()), *super()._command()]

    def _settle_trace(self) -> None:
        if self.trace.exists():
            drop_cut_record(self.trace)

    def note(self, text: str) -> None:
        body = text.encode()
        head = struct.pack(">IIBBHiQqq", HEAD_BYTES + len(body), 0, NOTE, 2, 0, -1, 0, 0, 0)
        with open(self.trace, "ab", buffering=0) as trace:
            trace.write(head + body)

    def snapshot(self) -> None:
        """What the files of a server that does not run look like: the recording has to come to the same."""
        assert not self.alive()
        self._settle_trace()
        self.snapshots += 1
        copy = self.directory / f"snapshot-{self.snapshots}"
        subprocess.run(["cp", "-a", "--sparse=always", str(self.disk), str(copy)], check=True)
        self.note(f"snapshot {copy}")
