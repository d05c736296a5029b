"""Real gunicorn processes for tests: one app each, on a loopback port nobody else has, ended with the test."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.factories import NODE_KEY
from tests.services.postgres import free_port

CONFIG = Path(__file__).parents[2] / "infra/gunicorn.conf.py"
START_LIMIT_S = 30


def variables(folder: Path, database_url: str, **more: str) -> dict[str, str]:
    """The environment of a node that keeps everything in one folder."""
    (folder / "results").mkdir(parents=True, exist_ok=True)
    engines = '[{"name": "local", "type": "memory"}]'
    node = {"C2D_PRIVATE_KEY": NODE_KEY.hex(), "C2D_DATA_DIR": str(folder), "C2D_DATABASE_URL": database_url}
    return {**os.environ, **node, "C2D_ENGINES": engines, **more}


@contextmanager
def serving(app: str, environment: Mapping[str, str], log: Path) -> Iterator[str]:
    """Serve an app; gives its address once it accepts connections."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-c", str(CONFIG), "--bind", f"127.0.0.1:{port}", app]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=dict(environment), stdout=output, stderr=output, cwd=CONFIG.parents[1])
        try:
            wait_for(f"http://127.0.0.1:{port}", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Ask until somebody answers, whatever the answer is."""
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        try:
            urllib.request.urlopen(f"{url}/healthz", timeout=5)
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"gunicorn did not start:\n{log.read_text()}") from None
            time.sleep(0.05)
