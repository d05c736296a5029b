"""Bench: status and environments against a minimal Express + better-sqlite3 server, on the same rows and cores.

Both have two processes, and send the same JSON; rates are taken in turn. `GET /`, which clients ask for before
every call, is set against environments of our own. `python -m tests.bench.express`
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import urllib3

from tests.bench.load import request, send_all
from tests.bench.measuring import Figure, Size, in_turn, per_size, table
from tests.bench.orchestration import one_job, wait_for_engine
from tests.bench.served import Served, served
from tests.services.node import free_port

SHARE = 0.3
PROCESSES, CLIENTS = 2, 16
INSTALL = Path(__file__).with_name("express") / "install"
ENVIRONMENTS = "/api/services/computeEnvironments"
MOVING = frozenset({"queMaxWaitTime", "runMaxWaitTime"})


def measure(size: Size) -> list[Figure]:
    """Both servers on one database, asked in turn."""
    with (
        tempfile.TemporaryDirectory() as folder,
        served(Path(folder), workers=PROCESSES) as node,
        node.running("-m", "tests.bench.memory_engine"),
    ):
        wait_for_engine(node)
        consumer = node.consumer()
        one_job(consumer)
        job_id = consumer.status()[0]["jobId"]
        paths = {"status": f"/api/services/compute?jobId={job_id}", "environments": ENVIRONMENTS}
        with reference(node) as express:
            for path in paths.values():
                assert shown(node.url + path) == shown(express + path), "the two do not say the same"
            against = [compared(name, node.url, express, path, size) for name, path in paths.items()]
        return [*against, root(node.url, size)]


@contextlib.contextmanager
def reference(node: Served) -> Iterator[str]:
    """Run the Express server on the node's database."""
    folder = Path(subprocess.run([str(INSTALL)], capture_output=True, text=True, check=True).stdout.strip())
    port, file = free_port(), node.database_url.removeprefix("sqlite:///")
    process = subprocess.Popen(["node", "server.js", file, str(port), str(PROCESSES)], cwd=folder)
    try:
        wait_until_served(f"http://127.0.0.1:{port}/api/services/computeEnvironments", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def wait_until_served(url: str, process: subprocess.Popen[bytes]) -> None:
    """Ask until it answers."""
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            if urllib3.request("GET", url, retries=False, timeout=5).status == 200:
                return
        time.sleep(0.05)
    raise AssertionError("the Express server does not answer")


def shown(url: str) -> Any:
    """What a server says, without what time alone moves."""
    (first,) = json.loads(urllib3.request("GET", url).data)
    return {name: value for name, value in first.items() if name not in MOVING}


def compared(name: str, ours: str, theirs: str, path: str, size: Size) -> Figure:
    """Our rate over the reference's."""
    count, rounds = per_size(size, 50, 1000, 2000), per_size(size, 1, 3, 9)

    def rate(url: str) -> Callable[[], float]:
        return lambda: send_all(url, [request("GET", path)] * count, CLIENTS).rate

    mine, other = (statistics.median(each) for each in in_turn(rounds, rate(ours), rate(theirs)))
    share = mine / other
    return Figure(
        f"{name} / Express", f"{mine:.0f}/s", f"{other:.0f}/s", share, f"≥ {SHARE}", share >= SHARE, rounds * count
    )  # fmt: skip


def root(url: str, size: Size) -> Figure:
    """How much faster than environments the document is that is asked for before every call."""
    count, rounds = per_size(size, 50, 1000, 2000), per_size(size, 1, 3, 9)

    def rate(path: str) -> Callable[[], float]:
        return lambda: send_all(url, [request("GET", path)] * count, CLIENTS).rate

    mine, other = (statistics.median(each) for each in in_turn(rounds, rate("/"), rate(ENVIRONMENTS)))
    return Figure("GET / / environments", f"{mine:.0f}/s", f"{other:.0f}/s", mine / other, "-", None, rounds * count)


if __name__ == "__main__":
    print(table(measure(Size.USUAL)))
