"""Own a node in parts for tests: its handlers, which can be killed and started again, and passes one by one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import urllib3

from infra.c2d.local_node import LocalNode, Wish, plan_node
from infra.c2d.processes import Child, stop_all
from infra.c2d.up import children_of
from tests.contracts.driver_backends import until
from tests.databases import migrate_at
from tests.services.node import Consumer, free_port


@dataclass
class Parts:
    """Handlers that run; passes are the test's."""

    plan: LocalNode
    handlers: list[Child]

    @property
    def folder(self) -> Path:
        """Where the node keeps what it keeps."""
        return self.plan.settings.data_dir

    def consumer(self) -> Consumer:
        """A new wallet."""
        return Consumer(self.plan.url)

    def start(self) -> None:
        """Start the handlers and wait until they answer."""
        for child in self.handlers:
            child.start()
        until(lambda: answers(self.plan.url))

    def kill(self) -> None:
        """End the handlers as a power cut would."""
        for child in self.handlers:
            assert child.process is not None
            os.killpg(child.process.pid, signal.SIGKILL)
            child.process.wait()

    def start_pass(
        self, engine: str, *options: str, module: str = "engines.run_docker", **more: str
    ) -> subprocess.Popen[bytes]:
        """Start a process of passes; without options it passes once."""
        command = [sys.executable, "-m", module, "--engine", engine, *options]
        with open(self.folder / "logs" / f"pass-{engine}.log", "ab") as log:
            return subprocess.Popen(
                command, env={**self.plan.environment, **more}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    @contextlib.contextmanager
    def passing(self, engine: str, kind: str = "docker") -> Iterator[None]:
        """An ordinary pass that watches for as long as the block lasts."""
        process = self.start_pass(engine, "--watch", module=f"engines.run_{kind}")
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


@contextlib.contextmanager
def node_in_parts(folder: Path, host: str = "127.0.0.1", port: int = 0, **settings: str) -> Iterator[Parts]:
    """A node of this machine without passes; all its handlers are ended with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("C2D_")}
    own = {"C2D_DATA_DIR": str(folder / "node"), "C2D_RATE_LIMIT": "off"}
    plan = plan_node({**kept, **own, **settings}, Wish(host, port or free_port()))
    migrate_at(plan.settings.database_url)
    (plan.settings.data_dir / "logs").mkdir(exist_ok=True)
    parts = Parts(plan, [child for child in children_of(plan) if child.name.startswith("handlers")])
    try:
        parts.start()
        yield parts
    finally:
        stop_all([child.process for child in parts.handlers if child.process is not None])


def answers(url: str) -> bool:
    """Whether the handlers listen; whether an engine lives is another question."""
    try:
        return urllib3.request("GET", f"{url}/healthz", retries=False, timeout=5).status == 200
    except urllib3.exceptions.HTTPError:
        return False
