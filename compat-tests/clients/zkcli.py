"""Types a script into the command line client, and writes down what it shows, less what differs from run to run."""

from __future__ import annotations

import os
import re
import selectors
import subprocess
import time

from clients import programs

PROMPT = re.compile(r"\[zk: [^\]]*\((\w+)\) (\d+)\] ")
COMMAND_SECONDS = 30.0
# Events are printed by a thread of their own; they are given this long before the next command is typed.
EVENT_SECONDS = 0.1
EVENT = re.compile(r"\n?WATCHER::\n|\n?WatchedEvent state:(\w+) type:(\w+) path:(\S+) zxid: (-?\d+)\n")
VOLATILE = [
    (re.compile(r"(?m)^([cm]time = ).*$"), r"\1TIME"),
    (re.compile(r"(?m)^(ephemeralOwner = )0x[1-9a-f][0-9a-f]*$"), r"\1SESSION"),
    (re.compile(r"(?m)^\d+ - "), ""),
]


def play(address: str, commands: list[str]) -> str:
    """`> command` and what it printed, for each; then the node events in their order."""
    programs.build_java()
    flags = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djline.terminal=jline.UnsupportedTerminal"]
    main = ["-cp", programs.java_classpath(), "org.apache.zookeeper.ZooKeeperMain", "-server", address]
    process = subprocess.Popen(
        ["java", *flags, *main], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        screen = Screen(process.stdout.fileno())
        screen.until_prompt(connected=True)
        shown, events = [], []
        for command in commands:
            process.stdin.write(command.encode() + b"\n")
            process.stdin.flush()
            text = screen.to_end() if command == "quit" else screen.until_prompt()
            shown.append(f"> {command}\n{_stable(text, command, events)}")
        assert process.wait(COMMAND_SECONDS) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)
    return "\n".join(shown) + "\nevents:\n" + "".join(f"{event}\n" for event in events)


def _stable(text: str, command: str, events: list[str]) -> str:
    """The command's output without its echo, events and volatile parts."""
    for kind in EVENT.finditer(text):
        if kind[2] and kind[2] != "None":
            events.append(f"{kind[2]} {kind[3]} zxid {kind[4]}")
    text = EVENT.sub("", text)
    text = PROMPT.sub("", text).removeprefix(command).strip("\n")
    for pattern, replacement in VOLATILE:
        text = pattern.sub(replacement, text)
    lines = [line.rstrip() for line in text.splitlines() if not line.startswith("SLF4J")]
    return "".join(f"{line}\n" for line in _ordered([line for line in lines if line], command))


def _ordered(lines: list[str], command: str) -> list[str]:
    """Ephemerals and identities come in the order of a hash set."""
    if command.startswith("getEphemerals"):
        return ["[" + ", ".join(sorted(lines[0].strip("[]").split(", "))) + "]"]
    return sorted(lines) if command == "whoami" else lines


class Screen:
    """What the client prints, read until it prompts again."""

    def __init__(self, descriptor: int):
        self.descriptor = descriptor
        self.selector = selectors.DefaultSelector()
        self.selector.register(descriptor, selectors.EVENT_READ)

    def until_prompt(self, connected: bool = False) -> str:
        text = ""
        deadline = time.monotonic() + COMMAND_SECONDS
        while time.monotonic() < deadline:
            if PROMPT.search(text) and not (chunk := self._read(EVENT_SECONDS)):
                return text
            elif not PROMPT.search(text):
                chunk = self._read(0.5)
            assert chunk is not None, f"the client ended:\n{text}"
            text += chunk
        raise AssertionError(f"no prompt within {COMMAND_SECONDS:.0f} s:\n{text}")

    def to_end(self) -> str:
        text = ""
        while (chunk := self._read(COMMAND_SECONDS)) is not None:
            assert chunk, f"the client does not end:\n{text}"
            text += chunk
        return text

    def _read(self, seconds: float) -> str | None:
        """What came within that time, "" for nothing, None at the end."""
        if not self.selector.select(seconds):
            return ""
        return os.read(self.descriptor, 65536).decode(errors="replace") or None
