"""Own a real node for tests: `c2d up` in a folder of its own, and a consumer who speaks as the field's clients do."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3

from shared.addresses import address_of
from shared.signatures import sign_command

START_S = 90
FINALS = frozenset({2, 11, 13, 21, 22, 31, 32, 41, 42, 62, 70})


@dataclass
class Consumer:
    """A wallet and a way to the node."""

    url: str
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    pool: urllib3.PoolManager = field(
        default_factory=lambda: urllib3.PoolManager(maxsize=16, retries=False), repr=False
    )

    @property
    def address(self) -> str:
        """As the wallet reports it."""
        return address_of(self.key)

    def signed(self, command: str) -> dict[str, str]:
        """Address, the next nonce and the signature over both."""
        found = self.get("/api/services/nonce", userAddress=self.address)
        nonce = str(int(found["nonce"]) + 1)
        return {"consumerAddress": self.address, "nonce": nonce, "signature": sign_command(self.key, nonce, command)}

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, **query: object
    ) -> urllib3.BaseHTTPResponse:
        """One request, whatever the answer."""
        url = self.url + path + (f"?{urlencode(query)}" if query else "")
        return self.pool.request(method, url, json=body) if body is not None else self.pool.request(method, url)

    def get(self, path: str, **query: object) -> Any:
        """The JSON of a good answer."""
        return good(self.call("GET", path, **query))

    def environment(self) -> dict[str, Any]:
        """The node's first environment."""
        found: list[dict[str, Any]] = self.get("/api/services/computeEnvironments")
        return found[0]

    def submit(self, jobs: list[dict[str, Any]], **more: Any) -> list[dict[str, Any]]:
        """Start a workflow of the seeds' form for free."""
        body = {**self.signed("freeStartCompute"), "workflow": jobs, **more}
        answer: list[dict[str, Any]] = good(self.call("POST", "/api/services/freeCompute", body))
        return answer

    def start(self, command: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Start one job of ocean-node's form for free."""
        body = {**self.signed("freeStartCompute"), **command}
        answer: list[dict[str, Any]] = good(self.call("POST", "/api/services/freeCompute", body))
        return answer

    def status(self, **query: object) -> list[dict[str, Any]]:
        """Job records, by `jobId`, `workflowId` or all of this consumer's."""
        found: list[dict[str, Any]] = self.get("/api/services/compute", consumerAddress=self.address, **query)
        return found

    def wait(self, workflow_id: str, limit_s: float = 120, pause_s: float = 0.05) -> list[dict[str, Any]]:
        """The workflow's records once all are final."""
        until = time.monotonic() + limit_s
        while True:
            records = self.status(workflowId=workflow_id)
            if records and all(record["status"] in FINALS for record in records):
                return records
            assert time.monotonic() < until, f"not finished after {limit_s} s: {[r['statusText'] for r in records]}"
            time.sleep(pause_s)

    def stop(self, **query: object) -> Any:
        """Stop a job or a workflow."""
        return good(self.call("PUT", "/api/services/compute", **self.signed("stopCompute"), **query))

    def result(self, job_id: str, index: int) -> bytes:
        """One result's bytes."""
        found = self.call(
            "GET", "/api/services/computeResult", **self.signed("getComputeResult"), jobId=job_id, index=index
        )
        assert found.status == 200, found.data
        return bytes(found.data)


def good(response: urllib3.BaseHTTPResponse) -> Any:
    """The JSON of an answer that must be good."""
    assert response.status == 200, f"{response.status}: {response.data[:500]!r}"
    return response.json()


@dataclass
class RealNode:
    """A running node."""

    url: str
    folder: Path
    process: subprocess.Popen[str]
    environment: Mapping[str, str]

    def consumer(self) -> Consumer:
        """A new wallet."""
        return Consumer(self.url)

    def owner(self) -> Consumer:
        """The wallet of the local c2d key, which a process engine lets in."""
        kept = Path(self.environment["XDG_CONFIG_HOME"]) / "c2d" / "consumer.key"
        return Consumer(self.url, bytes.fromhex(kept.read_text().strip().removeprefix("0x")))


@contextlib.contextmanager
def real_node(folder: Path, *arguments: str, **settings: str) -> Iterator[RealNode]:
    """Run `c2d up` with these arguments and settings (`C2D_…`) for as long as the block lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("C2D_")}
    for name in ("C2D_PYTHON_IMAGE",):
        kept |= {name: os.environ[name]} if name in os.environ else {}
    homes = {"XDG_CONFIG_HOME": str(folder / "config"), "XDG_DATA_HOME": str(folder / "share")}
    environment = {**kept, **homes, "C2D_RATE_LIMIT": "off", **settings}
    command = [sys.executable, "-m", "infra.c2d", "up", "--json", "--port", str(free_port())]
    process = subprocess.Popen(
        [*command, "--data-dir", str(folder / "node"), *arguments],
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    watchdog = threading.Timer(START_S, process.terminate)
    watchdog.start()
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith('{"url"'), line + process.stdout.read()
        watchdog.cancel()
        yield RealNode(json.loads(line)["url"], folder / "node", process, environment)
    finally:
        watchdog.cancel()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A port of loopback nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
