"""Own the field's own client in a process of Node: installed unmodified, called by name from here."""

from __future__ import annotations

import base64
import contextlib
import functools
import itertools
import json
import os
import queue
import secrets
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.needs import named

HERE = Path(__file__).parent
VERSIONS = ("8.6.2", "8.0.0")
"8.0.6, which ocean-cli pins, was never published."
WALLET = {"$wallet": True}
CALL_S = 60
INSTALL_S = 400


class SdkError(Exception):
    """What the client threw, by its message."""


@dataclass
class Sdk:
    """One version of the client with a wallet of its own."""

    version: str
    key: bytes
    url: str
    process: subprocess.Popen[str]
    answers: dict[int, queue.SimpleQueue[Any]] = field(default_factory=dict)
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    said: list[str] = field(default_factory=list)

    def ask(self, call: str, *args: Any) -> int:
        """Send a call and go on; `answer` has what came of it."""
        number = next(self.ids)
        self.answers[number] = queue.SimpleQueue()
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"id": number, "call": call, "args": list(args)}) + "\n")
        self.process.stdin.flush()
        return number

    def answer(self, number: int, limit_s: float = CALL_S) -> Any:
        """Wait for an answer. Raises: SdkError."""
        try:
            found = self.answers[number].get(timeout=limit_s)
        except queue.Empty:
            raise AssertionError(f"the client said nothing within {limit_s} s: {self.said[-20:]}") from None
        if "error" in found:
            raise SdkError(found["error"])
        value = found["value"]
        return base64.b64decode(value["$bytes"]) if isinstance(value, dict) and "$bytes" in value else value

    def call(self, name: str, *args: Any) -> Any:
        """One call of the client's, by its name. Raises: SdkError."""
        return self.answer(self.ask(name, *args))

    def listen(self) -> None:
        """Hand every answer to who waits for it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            found = json.loads(line)
            self.answers[found["id"]].put(found)

    def listen_errors(self) -> None:
        """Keep what the client logs."""
        assert self.process.stderr is not None
        self.said.extend(self.process.stderr)


@functools.cache
def installed(version: str) -> Path:
    """The folder the client is installed in; the test is skipped, or fails, where npm cannot install it."""
    command = [str(HERE / "install"), version]
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    if done.returncode:
        reason = f"needs the client {version}: npm could not install it: {done.stderr.strip()[-300:]}"
        (pytest.fail if "node" in named(os.environ.get("C2D_REQUIRE", "")) else pytest.skip)(reason)
    return Path(done.stdout.strip())


@contextlib.contextmanager
def running_sdk(version: str, url: str, key: bytes | None = None) -> Iterator[Sdk]:
    """Run the client in Node for as long as the block lasts."""
    folder, key = installed(version), key or secrets.token_bytes(32)
    process = node_process(folder, HERE / "driver.mjs", key)
    sdk = Sdk(version, key, url, process)
    listeners = [threading.Thread(target=each, daemon=True) for each in (sdk.listen, sdk.listen_errors)]
    for each in listeners:
        each.start()
    try:
        yield sdk
    finally:
        process.kill()
        process.wait()


def node_process(folder: Path, script: Path, key: bytes, *arguments: str) -> subprocess.Popen[str]:
    """Start a script of ours that imports what the folder has."""
    command = ["node", "--input-type=module", "--eval", script.read_text(), "--", *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=environment(key), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def environment(key: bytes) -> dict[str, str]:
    """What the script is told: whose wallet it uses, and nothing of this machine's own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("C2D_", "NODE_"))}
    return {**kept, "CLIENT_KEY": "0x" + key.hex()}
