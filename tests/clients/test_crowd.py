"""Many at once at a running node with real Docker: 200 clients polling status while 20 follow a log."""

from __future__ import annotations

import http.client
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from tests.clients.station import SMALL, algorithm
from tests.flows.docker.harness import Place, until
from tests.needs import needs

pytestmark = [needs("docker", "node"), pytest.mark.full]
POLLERS, STREAMS, POLLS = 200, 20, 20
SCRIPT = "n=0; while [ ! -e /data/outputs/stop ] && [ $n -lt 400 ]; do n=$((n+1)); echo line $n; sleep 0.1; done"


def test_200_pollers_and_20_streams_are_served_at_once_without_an_error(node: Place) -> None:
    job = running(node)
    with ExitStack() as stack, ThreadPoolExecutor(POLLERS + STREAMS) as pool:
        streams = [follow(node, job, stack) for _ in range(STREAMS)]
        assert [each.status for each in streams] == [200] * STREAMS
        reads = [pool.submit(each.read) for each in streams]
        start = threading.Barrier(POLLERS)
        polls = [pool.submit(poll, node, job["jobId"], start) for _ in range(POLLERS)]
        times = sorted(took for each in polls for took in each.result(120))
        assert not any(each.done() for each in reads), "all were followed all the time"
        node.consumer.stop(jobId=job["jobId"])
        logs = [each.result(60) for each in reads]
    assert len(set(logs)) == 1 and b"line 1\n" in logs[0]
    p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
    print(f"\n{len(times):,} polls of {POLLERS} clients beside {STREAMS} streams: p50 {p50:.3f} s, p99 {p99:.3f} s")


def running(node: Place) -> dict[str, Any]:
    """A job that says something ten times a second."""
    (job,) = node.consumer.start(
        {"environment": node.consumer.environment()["id"], "algorithm": algorithm(SCRIPT), "resources": SMALL}
    )

    def look() -> Any:
        (found,) = node.consumer.status(jobId=job["jobId"])
        return found if found["status"] == 40 else None

    return dict(until(look))


def follow(node: Place, job: dict[str, Any], stack: ExitStack) -> http.client.HTTPResponse:
    """Open the log."""
    signed = node.consumer.signed("getComputeStreamableLogs")
    connection = http.client.HTTPConnection(urlsplit(node.node.url).netloc, timeout=60)
    stack.callback(connection.close)
    connection.request("GET", f"/api/services/computeStreamableLogs?{urlencode({**signed, 'jobId': job['jobId']})}")
    return connection.getresponse()


def poll(node: Place, job_id: str, start: threading.Barrier) -> list[float]:
    """Ask again and again on one connection; seconds of each answer, all of which must be good."""
    connection = http.client.HTTPConnection(urlsplit(node.node.url).netloc, timeout=60)
    start.wait(60)
    times = []
    for _ in range(POLLS):
        began = time.perf_counter()
        connection.request("GET", f"/api/services/compute?jobId={job_id}&consumerAddress={node.consumer.address}")
        answer = connection.getresponse()
        body = answer.read()
        times.append(time.perf_counter() - began)
        assert answer.status == 200 and job_id.encode() in body
    connection.close()
    return times
