"""Streams never starve other requests: 50 open streams and 200 pollers at once, without an error."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from shared.db import events, log_chunks
from shared.db.connection import transaction
from shared.lifecycle import JobStatus
from shared.names import JobId
from tests import factories
from tests.factories import put_status, signed
from tests.handlers.api import Api
from tests.handlers.gunicorns import serving, variables

STREAMS, POLLERS, ASKS = 50, 200, 5

pytestmark = pytest.mark.full


@pytest.fixture
def node(database: str, tmp_path: Path) -> Iterator[tuple[Api, str]]:
    """The whole node under gunicorn, and the means to write its rows from here."""
    factories.put_environment()
    api = Api(factories.services(tmp_path / "data", database))
    environment = variables(tmp_path / "data", database, C2D_THREADS="300")
    with serving("handlers.all_in_one:create_app()", environment, tmp_path / "log") as url:
        yield api, url


def test_fifty_streams_and_two_hundred_pollers_are_served_at_once(node: tuple[Api, str]) -> None:
    api, url = node
    (job,) = api.start_jobs()
    job_id = JobId(job["jobId"])
    put_status(job_id, JobStatus.RUNNING)
    log_chunks.append(job_id, "run", 0, b"begin\n")
    with ExitStack() as stack, ThreadPoolExecutor(STREAMS + POLLERS) as pool:
        streams = [open_stream(api, url, job_id, number, stack) for number in range(STREAMS)]
        assert [stream.status for stream in streams] == [200] * STREAMS
        polls = [pool.submit(poll, url, job_id) for _ in range(POLLERS)]
        reads = [pool.submit(stream.read) for stream in streams]
        for number in range(20):
            log_chunks.append(job_id, "run", 6 + number * 3, b"%02d\n" % number)
        assert {status for each in polls for status in each.result(120)} == {200}
        finish(api, job_id, job["workflowId"])
        texts = [read.result(60) for read in reads]
    log = b"begin\n" + b"".join(b"%02d\n" % number for number in range(20))
    assert texts[: STREAMS // 2] == [log] * (STREAMS // 2)
    assert all(text.endswith(b"event: end\ndata: {}\n\n") for text in texts[STREAMS // 2 :])


def test_when_all_streams_are_taken_the_next_is_asked_to_wait_and_short_requests_go_on(
    quick_database: str, tmp_path: Path
) -> None:
    factories.put_environment()
    api = Api(factories.services(tmp_path / "data", quick_database))
    (job,) = api.start_jobs()
    environment = variables(tmp_path / "data", quick_database, C2D_THREADS="4")
    with serving("handlers.all_in_one:create_app()", environment, tmp_path / "log") as url, ExitStack() as stack:
        first, second = (open_stream(api, url, JobId(job["jobId"]), number, stack) for number in (0, 1))
        third = open_stream(api, url, JobId(job["jobId"]), 2, stack)
        assert (first.status, second.status, third.status) == (200, 200, 503)
        assert third.getheader("Retry-After") == "5"
        assert poll(url, JobId(job["jobId"])) == [200] * ASKS
        finish(api, JobId(job["jobId"]), job["workflowId"])
        assert (first.read(), second.read()) == (b"", b"")


def test_a_caller_who_hangs_up_on_a_silent_log_gives_the_slot_back(quick_database: str, tmp_path: Path) -> None:
    factories.put_environment()
    api = Api(factories.services(tmp_path / "data", quick_database))
    (job,) = api.start_jobs()
    environment = variables(tmp_path / "data", quick_database, C2D_THREADS="4")
    with serving("handlers.all_in_one:create_app()", environment, tmp_path / "log") as url:
        with ExitStack() as stack:
            assert [open_stream(api, url, JobId(job["jobId"]), number, stack).status for number in (0, 1, 2)] == [
                200, 200, 503,
            ]  # fmt: skip
        until, status = time.monotonic() + 20, 503
        while status == 503 and time.monotonic() < until:
            with ExitStack() as stack:
                status = open_stream(api, url, JobId(job["jobId"]), 0, stack).status
        assert status == 200


def open_stream(api: Api, url: str, job_id: JobId, number: int, stack: ExitStack) -> http.client.HTTPResponse:
    """Open a log (the first half) or an event stream; closed with the test."""
    is_log = number < STREAMS // 2
    path, command = (
        ("computeStreamableLogs", "getComputeStreamableLogs") if is_log else ("computeEvents", "getComputeEvents")
    )
    query = urlencode(signed({"jobId": job_id}, command, api.next_nonce()))
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    stack.callback(connection.close)
    connection.request("GET", f"/api/services/{path}?{query}", headers={"Accept": "text/event-stream"})
    return connection.getresponse()


def poll(url: str, job_id: JobId) -> list[int]:
    """Ask for the status a few times, each on a connection of its own."""
    found = []
    for _ in range(ASKS):
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        connection.request("GET", f"/api/services/compute?jobId={job_id}")
        response = connection.getresponse()
        response.read()
        found.append(response.status)
        connection.close()
    return found


def finish(api: Api, job_id: JobId, workflow_id: str) -> None:
    """End the job, as a pass does: status and event in one transaction."""
    with transaction():
        put_status(job_id, JobStatus.FINISHED, exit_code=0, finished_at_ms=1)
        events.insert_event(job_id, workflow_id, events.MOVE, JobStatus.FINISHED, 1)
