"""Bench: the orchestrator's own share of a job: handlers under gunicorn, a watching pass, containers that cost nothing.

From the request to the final status, one job after the other; the pods' signed calls are part of it.
`python -m tests.bench.orchestration`
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from shared.db.connection import session
from shared.db.tables import Job
from tests.bench.measuring import Figure, Size, per_size, percentile, seconds, table
from tests.bench.served import Served, served
from tests.services.node import Consumer

P50_S, P99_S = 0.050, 0.200
LIMIT_S = 30.0
JOB = {"index": 0, "input": [], "algorithm": {"rawcode": "nothing", "container": {"image": "any", "tag": "1"}}}


def measure(size: Size) -> list[Figure]:
    """Median and 99th percentile of many jobs."""
    with (
        tempfile.TemporaryDirectory() as folder,
        served(Path(folder)) as node,
        node.running("-m", "tests.bench.memory_engine"),
    ):
        wait_for_engine(node)
        consumer = node.consumer()
        took = [one_job(consumer) for _ in range(per_size(size, 2, 60, 300) + 5)][5:]
    p50, p99 = statistics.median(took), percentile(took, 0.99)
    return [
        Figure("orchestration, job p50", seconds(p50), "-", None, seconds(P50_S), p50 <= P50_S, len(took)),
        Figure("orchestration, job p99", seconds(p99), "-", None, seconds(P99_S), p99 <= P99_S, len(took)),
    ]


def wait_for_engine(node: Served) -> None:
    """Until its environment is offered."""
    until = time.monotonic() + LIMIT_S
    while not node.consumer().get("/api/services/computeEnvironments"):
        assert time.monotonic() < until, (node.folder / "log").read_text()
        time.sleep(0.05)


def one_job(consumer: Consumer) -> float:
    """Seconds from the request to the end, as its row has it; the row is looked at beside the handlers."""
    signed = consumer.signed("freeStartCompute")
    began = time.time()
    answer = consumer.call("POST", "/api/services/freeCompute", {**signed, "workflow": [JOB]}).json()
    job_id = answer[0]["jobId"].rpartition("-")[2]
    while time.time() < began + LIMIT_S:
        with session():
            finished_at_ms, status = Job.select(Job.finished_at_ms, Job.status).where(Job.job_id == job_id).tuples()[0]
        if finished_at_ms is not None:
            assert status == "finished", status
            return float(finished_at_ms / 1000 - began)
        time.sleep(0.005)
    raise AssertionError(f"the job did not end within {LIMIT_S:.0f} s")


if __name__ == "__main__":
    print(table(measure(Size.USUAL)))
