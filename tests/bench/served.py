"""Own a node for benches: handlers under gunicorn as they are deployed, on a SQLite file; engines are the bench's."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import urllib3

from shared.db.connection import migrate
from tests.databases import opened
from tests.factories import NODE_KEY
from tests.services.node import Consumer, free_port

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {"id": "bench", "maxJobs": 100, "maxJobDuration": 60, "free": {"maxJobs": 100, "maxJobDuration": 60}}
START_S = 60


@dataclass(frozen=True)
class Served:
    """A running app and what it runs with."""

    url: str
    folder: Path
    database_url: str
    settings: dict[str, str]
    gunicorn: list[int]
    "Process id of the arbiter, once it runs."

    def workers(self) -> list[int]:
        """The processes that answer."""
        [arbiter] = self.gunicorn
        return [int(pid) for pid in Path(f"/proc/{arbiter}/task/{arbiter}/children").read_text().split()]

    def consumer(self) -> Consumer:
        """A new wallet."""
        return Consumer(self.url)

    @contextlib.contextmanager
    def running(self, *command: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run another Python process with the same settings as long as the block lasts."""
        with open(self.folder / "log", "ab") as log:
            process = subprocess.Popen([sys.executable, *command], env=self.settings, stdout=log, stderr=log, cwd=ROOT)
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


@contextlib.contextmanager
def served(
    folder: Path, app: str = "handlers.all_in_one:create_app()", threads: int = 64, workers: int = 1
) -> Iterator[Served]:
    """Serve an app on a fresh database until the block ends; the database is open in this process too."""
    port = free_port()
    url, database_url = f"http://127.0.0.1:{port}", f"sqlite:///{folder}/c2d.sqlite"
    (folder / "results").mkdir()
    given = {
        "C2D_DATABASE_URL": database_url, "C2D_DATA_DIR": str(folder), "C2D_STORAGE_URL": f"file://{folder}/results",
        "C2D_PRIVATE_KEY": NODE_KEY.hex(), "C2D_RATE_LIMIT": "off", "C2D_POD_API_URL": url, "C2D_THREADS": str(threads),
        "WEB_CONCURRENCY": str(workers),
        "C2D_ENGINES": json.dumps([{"name": "local", "type": "memory", "environments": [ENVIRONMENT]}]),
    }  # fmt: skip
    settings = {**{name: value for name, value in os.environ.items() if not name.startswith("C2D_")}, **given}
    with opened(database_url):
        migrate()
        node = Served(url, folder, database_url, settings, [])
        gunicorn = ("-m", "gunicorn", "-c", "infra/gunicorn.conf.py", "-b", f"127.0.0.1:{port}", app)
        with node.running(*gunicorn) as process:
            wait_until_ready(url, process, folder)
            node.gunicorn.append(process.pid)
            yield node


def wait_until_ready(url: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    """Ask until it answers."""
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            if urllib3.request("GET", f"{url}/healthz", retries=False, timeout=5).status < 500:
                return
        time.sleep(0.05)
    raise AssertionError((folder / "log").read_text())
