"""The three pod commands: who may call them, when, and what a retry does."""

from __future__ import annotations

import hashlib
import io
from typing import Any
from urllib.parse import quote

import pytest
from falcon.testing import TestClient

from handlers import all_in_one
from shared.db import jobs, results
from shared.db.connection import session
from shared.db.tables import Event, Job, Result
from shared.lifecycle import JobStatus
from shared.limits import publish_bytes
from shared.names import JobId
from tests.factories import BOB, job_key, pod_headers, put_status, workflow_job
from tests.handlers.api import Api

URL = {"type": "url", "url": "https://example.org/a.csv"}
GRANTED = 1 << 30
OUTPUT = b"x" * 300_000


@pytest.fixture
def job(api: Api) -> dict[str, Any]:
    """A job that is provisioning: one input of files, one from an earlier job."""
    own = workflow_job(1, input=[{"index": 4, "did": "did:op:1", "files": URL}, {"index": 6, "fromJob": 0}])
    first, second = api.start_jobs(workflow_job(0), own)
    stored = api.services.storage.write(f"{first['jobId']}/outputs.zip", [OUTPUT])
    results.record_result(JobId(first["jobId"]), "outputs.zip", stored, 1)
    put_status(second["jobId"], JobStatus.PROVISIONING, resources=[{"id": "disk", "amount": 2}])
    return second


def publishing(job: dict[str, Any]) -> str:
    """The same job, two phases later."""
    put_status(job["jobId"], JobStatus.PUBLISHING)
    return str(job["jobId"])


def test_a_configuration_pod_is_told_everything_it_must_put_on_the_volume(api: Api, job: dict[str, Any]) -> None:
    result = api.pod("c2dJobProvision", job["jobId"])
    assert result.status_code == 200, result.text
    document = result.json
    assert (document["jobId"], document["index"], document["door"]) == (job["jobId"], 1, "workflow")
    assert (document["layout"], document["maxBytes"], document["fetchAllow"]) == ("did", 2 << 30, [])
    files, earlier = document["inputs"]
    assert files == {"index": 4, "did": "did:op:1", "files": [URL]}
    assert earlier["fromJob"] == job["runAfter"][0]
    assert earlier["result"]["archive"] == "zip" and earlier["result"]["size_bytes"] == len(OUTPUT)
    assert document["algorithm"]["rawcode"] == "print(1)" and document["customData"] == {}
    assert api.pod("c2dJobProvision", job["jobId"]).json == document


def test_a_pod_reads_an_earlier_jobs_outputs_in_parts(api: Api, job: dict[str, Any]) -> None:
    whole = api.pod("c2dJobProvision", job["jobId"], {"input": 6})
    rest = api.pod("c2dJobProvision", job["jobId"], {"input": 6}, headers={"Range": "bytes=1000-"})
    assert (whole.status_code, whole.content) == (200, OUTPUT)
    assert (rest.status_code, rest.content) == (206, OUTPUT[1000:])
    assert api.pod("c2dJobProvision", job["jobId"], {"input": 4}).status_code == 404


def test_a_call_must_be_signed_with_this_jobs_key_for_this_command_and_node(api: Api, job: dict[str, Any]) -> None:
    job_id = job["jobId"]
    other_job = job_key(job["runAfter"][0])
    wrong: list[dict[str, Any]] = [
        {"key": other_job},
        {"key": BOB},
        {"command_signed": "c2dJobStatusUpdate"},
        {"headers": {"X-C2D-Nonce": "short"}},
        {"headers": {"X-C2D-Digest": "undefined"}},
        {"headers": {"X-C2D-Job": "ab" * 32}},
        {"headers": pod_headers("c2dJobProvision", job_id, b"{}", job_key(job_id), node="0x" + "12" * 20)},
    ]
    for options in wrong:
        assert api.pod("c2dJobProvision", job_id, **options).status_code == 401, options
    unsigned = api.post("c2dJobProvision", {})
    assert (unsigned.status_code, unsigned.json["code"]) == (401, "unauthorized")


def test_a_nonce_is_good_once_and_a_body_must_have_its_digest(api: Api, job: dict[str, Any]) -> None:
    headers = pod_headers("c2dJobProvision", job["jobId"], b"{}", job_key(job["jobId"]))
    path = "/api/services/c2dJobProvision"
    assert api.client.simulate_post(path, body=b"{}", headers=headers).status_code == 200
    assert api.client.simulate_post(path, body=b"{}", headers=headers).status_code == 401
    headers = pod_headers("c2dJobProvision", job["jobId"], b"{}", job_key(job["jobId"]))
    changed = api.client.simulate_post(path, body=b'{"input":6}', headers=headers)
    assert (changed.status_code, changed.json["code"]) == (400, "digest_mismatch")


def test_a_strangers_body_is_never_read(api: Api, job: dict[str, Any]) -> None:
    class Unreadable(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise AssertionError("the body was read before the signature was checked")

    headers = pod_headers("c2dJobPublishResult", publishing(job), b"", BOB)
    result = api.client.simulate_post(
        "/api/services/c2dJobPublishResult", query_string="filename=a&size=0", headers=headers,
        extras={"wsgi.input": Unreadable(), "CONTENT_LENGTH": "5"},
    )  # fmt: skip
    assert result.status_code == 401


def test_a_report_is_recorded_once_and_wakes_the_engine(api: Api, job: dict[str, Any]) -> None:
    progress = {"phase": "provision", "state": "progress", "bytesDone": 1, "bytesTotal": 9, "detail": None}
    done = {"phase": "provision", "state": "done", "code": None, "reason": None}
    failed = {"phase": "provision", "state": "failed", "code": "data_failed", "reason": "404"}
    for report in (progress, done, done, failed):
        assert api.pod("c2dJobStatusUpdate", job["jobId"], report).json == {"ok": True}
    row = jobs.get(JobId(job["jobId"]))
    assert row.provision_report["state"] == "done" and row.due_at_ms is not None
    with session():
        kinds = [event.kind for event in Event.select().where(Event.job_id == job["jobId"]).order_by(Event.id)]
    assert kinds[:2] == ["move", "progress"]


def test_calls_outside_their_phase_are_refused(api: Api, job: dict[str, Any]) -> None:
    report = {"phase": "publish", "state": "done"}
    assert api.pod("c2dJobStatusUpdate", job["jobId"], report).status_code == 409
    assert api.pod("c2dJobPublishResult", job["jobId"], raw=b"a", query="filename=a&size=1").status_code == 409
    publishing(job)
    assert api.pod("c2dJobProvision", job["jobId"]).status_code == 409
    put_status(job["jobId"], JobStatus.QUEUED)
    assert api.pod("c2dJobProvision", job["jobId"]).status_code == 409


@pytest.mark.parametrize(
    "report",
    [{}, {"phase": "run", "state": "done"}, {"phase": "provision", "state": "well"},
     {"phase": "provision", "state": "done", "bytesDone": -1}, {"phase": "provision", "state": "done", "code": "x"}],
)  # fmt: skip
def test_a_report_that_says_nothing_is_refused(api: Api, job: dict[str, Any], report: dict[str, Any]) -> None:
    result = api.pod("c2dJobStatusUpdate", job["jobId"], report)
    assert (result.status_code, result.json["code"]) == (400, "invalid_request")
    with session():
        assert Event.select().where(Event.kind != "move").count() == 0


def test_a_result_becomes_visible_with_its_digest_and_a_retry_has_the_same_effect(
    api: Api, job: dict[str, Any]
) -> None:
    job_id = publishing(job)
    digest = hashlib.sha256(OUTPUT).hexdigest()
    for _ in range(2):
        result = api.pod("c2dJobPublishResult", job_id, raw=OUTPUT, query=f"filename=outputs.zip&size={len(OUTPUT)}")
        assert result.json == {"filename": "outputs.zip", "size": len(OUTPUT), "sha256": digest}, result.text
    with session():
        (row,) = Result.select().where(Result.job_id == job_id)
    assert (row.sha256, row.type, row.size_bytes) == (digest, "output", len(OUTPUT))
    assert b"".join(api.services.storage.read(row.key)) == OUTPUT


def test_bytes_that_are_not_those_announced_leave_nothing_behind(api: Api, job: dict[str, Any]) -> None:
    job_id = publishing(job)
    headers = pod_headers("c2dJobPublishResult", job_id, b"announced", job_key(job_id))
    result = api.client.simulate_post(
        "/api/services/c2dJobPublishResult", query_string="filename=a.csv&size=9", body=b"different", headers=headers
    )
    assert (result.status_code, result.json["code"]) == (400, "digest_mismatch")
    assert list(api.services.storage.keys(f"{job_id}/")) == []
    short = api.pod("c2dJobPublishResult", job_id, raw=b"12345", query="filename=a.csv&size=9")
    assert short.status_code == 400
    with session():
        assert Result.select().where(Result.job_id == job_id).count() == 0


def test_a_result_is_bounded_by_the_disk_that_was_granted(api: Api, job: dict[str, Any]) -> None:
    job_id = publishing(job)
    put_status(job_id, JobStatus.PUBLISHING, resources=[{"id": "disk", "amount": 1}])
    over = api.pod("c2dJobPublishResult", job_id, raw=OUTPUT, query=f"filename=a&size={publish_bytes(GRANTED) + 1}")
    lied = api.pod("c2dJobPublishResult", job_id, raw=OUTPUT, query="filename=a&size=10")
    assert (over.status_code, lied.status_code) == (413, 413)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("../../etc/passwd", "passwd"), ("algorithm.log", "output-algorithm.log"), ("..", "output"), (".hidden", "hidden"),
     ("a\u0001b.csv", "ab.csv"), ("résumé.csv", "résumé.csv"), ("x" * 400, "x" * 200), ("a\\b\\c.txt", "c.txt")],
)  # fmt: skip
def test_a_results_name_is_made_safe(quick: Api, sent: str, kept: str) -> None:
    (job,) = quick.start_jobs()
    query = f"filename={quote(sent)}&size=1"
    result = quick.pod("c2dJobPublishResult", publishing(job), raw=b"1", query=query)
    assert (result.status_code, result.json.get("filename")) == (200, kept), result.text


def test_pods_may_come_through_direct_command_too(api: Api, job: dict[str, Any]) -> None:
    body = b'{"command": "c2dJobProvision"}'
    headers = pod_headers("c2dJobProvision", job["jobId"], body, job_key(job["jobId"]))
    result = api.client.simulate_post("/directCommand", body=body, headers=headers)
    assert (result.status_code, result.json["jobId"]) == (200, job["jobId"])


def test_the_pods_own_door_serves_their_commands_and_nothing_else(api: Api, job: dict[str, Any]) -> None:
    door = TestClient(all_in_one.create_pod_app(api.services))
    headers = pod_headers("c2dJobProvision", job["jobId"], b"{}", job_key(job["jobId"]))
    assert door.simulate_post("/api/services/c2dJobProvision", body=b"{}", headers=headers).status_code == 200
    for path, status in (("/", 421), ("/api/services/compute", 421), ("/metrics", 404), ("/directCommand", 421)):
        assert door.simulate_get(path).status_code == status
    assert door.simulate_get("/healthz").json == {"status": "ok"}


def test_a_finished_jobs_key_opens_nothing(api: Api, job: dict[str, Any]) -> None:
    key = job_key(job["jobId"])
    with session():
        Job.update(key_sealed=None).execute()
    put_status(job["jobId"], JobStatus.FINISHED, finished_at_ms=1)
    for command in ("c2dJobProvision", "c2dJobPublishResult"):
        result = api.pod(command, job["jobId"], key=key, query="filename=a&size=2" if "Publish" in command else "")
        assert result.status_code == 409
