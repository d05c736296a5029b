"""Status, stop, results, logs and events: what each caller sees of which job."""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from shared.addresses import address_of
from shared.db import events, jobs, log_chunks, results
from shared.db.connection import session, transaction
from shared.db.tables import Event, Job, LogChunk
from shared.lifecycle import JobStatus
from shared.names import JobId, Phase
from tests import factories
from tests.factories import ALICE, BOB, ENGINE_HASH, ENVIRONMENT_ID, command_body, put_status, workflow_job
from tests.handlers.api import Api

CAROL = b"\x44" * 32
STRANGER = b"\x55" * 32
DATA = bytes(range(256)) * 1000


@pytest.fixture
def job(api: Api) -> dict[str, Any]:
    """Alice's job, which Carol may see as well."""
    (record,) = api.start_jobs(metadata={"name": "run-1"}, additionalViewers=[address_of(CAROL)])
    return record


def publish(api: Api, job_id: str, filename: str = "penguins.csv", data: bytes = DATA, type_: str = "output") -> None:
    """Leave a result."""
    stored = api.services.storage.write(f"{job_id}/{filename}", [data])
    results.record_result(JobId(job_id), filename, stored, 1, type_)


# status


def test_a_stranger_who_names_the_job_sees_metadata_but_no_viewers_and_no_names(api: Api, job: dict[str, Any]) -> None:
    publish(api, job["jobId"])
    put_status(job["jobId"], JobStatus.RUN_FAILED, exit_code=1, reason="error", reason_detail="host db.internal")
    (shown,) = api.get("compute", jobId=job["jobId"]).json
    assert shown["metadata"] == {"name": "run-1"}
    assert shown["additionalViewers"] is None
    assert shown["results"][0]["filename"] == "output.csv"
    assert "db.internal" not in repr(shown) and "penguins" not in repr(shown)
    assert shown["terminationDetails"]["exitCode"] == 1 and shown["terminationDetails"]["reason"] == "error"


def test_a_stranger_who_names_the_owner_alone_sees_no_metadata(api: Api, job: dict[str, Any]) -> None:
    (shown,) = api.get("compute", consumerAddress=address_of(ALICE).lower()).json
    assert (shown["jobId"], shown["metadata"]) == (job["jobId"], None)


@pytest.mark.parametrize("key", [ALICE, CAROL], ids=["owner", "viewer"])
def test_owner_and_viewer_see_everything(api: Api, job: dict[str, Any], key: bytes) -> None:
    publish(api, job["jobId"])
    (shown,) = api.signed("GET", "compute", "getComputeStatus", key, jobId=job["jobId"]).json
    assert shown["additionalViewers"] == [address_of(CAROL).lower()]
    assert shown["results"][0]["filename"] == "penguins.csv"


def test_filters_combine_and_ids_are_taken_with_and_without_the_engine(api: Api, job: dict[str, Any]) -> None:
    alice, bob, job_id = address_of(ALICE), address_of(BOB), job["jobId"]
    cases: list[tuple[dict[str, Any], int]] = [
        ({"jobId": job_id}, 1),
        ({"jobId": f"{ENGINE_HASH}-{job_id}"}, 1),
        ({"jobId": job_id, "consumerAddress": alice}, 1),
        ({"jobId": job_id, "consumerAddress": bob}, 0),
        ({"workflowId": job["workflowId"]}, 1),
        ({"jobId": "ab" * 32}, 0),
        ({"agreementId": "0x12"}, 0),
        ({"agreementId": "did:op:1", "consumerAddress": alice}, 1),
        ({"consumerAddress": alice, "agreementId": "undefined"}, 1),
        ({"consumerAddress": bob}, 0),
    ]
    for query, found in cases:
        result = api.get("compute", **query)
        assert (result.status_code, len(result.json)) == (200, found), query


def test_status_without_any_filter_says_what_is_missing(api: Api) -> None:
    result = api.get("compute", jobId="undefined")
    assert result.status_code == 400 and "consumerAddress" in result.json["error"]


def test_statuses_are_the_wires_numbers_and_exact_texts(api: Api, job: dict[str, Any]) -> None:
    put_status(job["jobId"], JobStatus.RUNNING, started_at_ms=1769000003500, max_duration_s=300)
    (shown,) = api.get("compute", jobId=job["jobId"]).json
    assert (shown["status"], shown["statusText"]) == (40, "Running algorithm ")
    assert (shown["algoStartTimestamp"], shown["algoStopTimestamp"]) == ("1769000003.5", "0")


# stop


def test_an_owner_stops_one_job_or_the_whole_workflow(api: Api) -> None:
    first, _ = api.start_jobs(workflow_job(0), workflow_job(1, runAfter=0))
    (stopped,) = api.signed("PUT", "compute", "stopCompute", jobId=f"{ENGINE_HASH}-{first['jobId']}").json
    assert (stopped["jobId"], stopped["stopRequested"]) == (first["jobId"], True)
    both = api.signed("PUT", "compute", "stopCompute", workflowId=first["workflowId"]).json
    assert [record["stopRequested"] for record in both] == [True, True]
    with session():
        assert all(row.due_at_ms is not None for row in Job.select())


def test_nobody_stops_the_job_of_another_and_an_unknown_one_is_an_empty_list(api: Api, job: dict[str, Any]) -> None:
    assert api.signed("PUT", "compute", "stopCompute", CAROL, jobId=job["jobId"]).status_code == 403
    unknown = api.signed("PUT", "compute", "stopCompute", jobId="ab" * 32)
    assert (unknown.status_code, unknown.json) == (200, [])
    unsigned = api.client.simulate_put("/api/services/compute", query_string=f"jobId={job['jobId']}")
    assert unsigned.status_code == 401


# results


@pytest.mark.parametrize(
    ("given", "status", "start", "end"),
    [
        (None, 200, 0, len(DATA)),
        ("bytes=1000-", 206, 1000, len(DATA)),
        ("bytes=0-9", 206, 0, 10),
        ("bytes=-5", 206, len(DATA) - 5, len(DATA)),
        ("bytes=10-999999999", 206, 10, len(DATA)),
        ("bytes=5-2", 200, 0, len(DATA)),
        ("bytes=0-1,4-5", 200, 0, len(DATA)),
        ("lines=1-2", 200, 0, len(DATA)),
        ("undefined", 200, 0, len(DATA)),
    ],
)
def test_a_result_is_served_whole_or_in_the_part_asked_for(
    api: Api, job: dict[str, Any], given: str | None, status: int, start: int, end: int
) -> None:
    publish(api, job["jobId"])
    headers = {"Range": given} if given else {}
    result = api.signed("GET", "computeResult", "getComputeResult", jobId=job["jobId"], index=0, headers=headers)
    assert (result.status_code, result.content) == (status, DATA[start:end])
    assert result.headers["content-length"] == str(end - start)
    assert result.headers["etag"] == f'"{hashlib.sha256(DATA).hexdigest()}"'
    assert result.headers["accept-ranges"] == "bytes" and "penguins.csv" in result.headers["content-disposition"]
    if status == 206:
        assert result.headers["content-range"] == f"bytes {start}-{end - 1}/{len(DATA)}"


def test_a_part_of_another_file_is_never_mixed_in(api: Api, job: dict[str, Any]) -> None:
    publish(api, job["jobId"])
    etag = f'"{hashlib.sha256(DATA).hexdigest()}"'

    def ask(**headers: str) -> tuple[int, int]:
        result = api.signed("GET", "computeResult", "getComputeResult", jobId=job["jobId"], index=0, headers=headers)
        return result.status_code, len(result.content)

    assert ask(**{"Range": "bytes=9-", "If-Range": etag}) == (206, len(DATA) - 9)
    assert ask(**{"Range": "bytes=9-", "If-Range": '"other"'}) == (200, len(DATA))
    assert ask(**{"If-None-Match": etag}) == (304, 0)


def test_a_range_beyond_the_end_is_refused_with_the_size(api: Api, job: dict[str, Any]) -> None:
    publish(api, job["jobId"])
    headers = {"Range": f"bytes={len(DATA)}-"}
    result = api.signed("GET", "computeResult", "getComputeResult", jobId=job["jobId"], index=0, headers=headers)
    assert (result.status_code, result.headers["content-range"]) == (416, f"bytes */{len(DATA)}")


def test_results_are_numbered_in_the_wires_order_and_growing_logs_are_among_them(api: Api, job: dict[str, Any]) -> None:
    job_id = JobId(job["jobId"])
    put_status(job_id, JobStatus.RUNNING)
    log_chunks.append(job_id, "run", 0, b"hello ")
    log_chunks.append(job_id, "image", 0, b"pulled\n")
    publish(api, job_id)
    (shown,) = api.get("compute", jobId=job_id).json
    kinds = [(each["index"], each["type"], each["filesize"]) for each in shown["results"]]
    assert kinds == [(0, "imageLog", 7), (1, "algorithmLog", 6), (2, "output", len(DATA))]
    log = api.signed("GET", "computeResult", "getComputeResult", jobId=job_id, index=1)
    assert (log.content, log.headers["content-type"]) == (b"hello ", "text/plain; charset=utf-8")
    offset = api.direct(
        "getComputeResult", **factories.signed({"jobId": job_id, "index": 1, "offset": 2}, "getComputeResult", 90)
    )
    assert (offset.status_code, offset.content) == (206, b"llo ")


def test_results_and_logs_are_for_owner_and_viewers_alone(api: Api, job: dict[str, Any]) -> None:
    publish(api, job["jobId"])
    for path, command in (("computeResult", "getComputeResult"), ("computeStreamableLogs", "getComputeStreamableLogs")):
        assert api.signed("GET", path, command, STRANGER, jobId=job["jobId"], index=0).status_code == 403
        assert api.signed("GET", path, command, jobId="ab" * 32, index=0).status_code == 404
        assert api.get(path, jobId=job["jobId"], index=0, consumerAddress=address_of(ALICE)).status_code == 401
    assert api.signed("GET", "computeResult", "getComputeResult", CAROL, jobId=job["jobId"], index=0).status_code == 200
    assert api.signed("GET", "computeResult", "getComputeResult", jobId=job["jobId"], index=1).status_code == 404


# logs


def test_the_log_is_followed_from_its_beginning_through_every_stage_to_the_end(api: Api, job: dict[str, Any]) -> None:
    job_id = JobId(job["jobId"])
    put_status(job_id, JobStatus.PULLING_IMAGE)
    log_chunks.append(job_id, "image", 0, b"pulled\n")
    query = factories.signed({"jobId": job_id}, "getComputeStreamableLogs", api.next_nonce())
    got: list[bytes] = []
    streams = api.services.streams
    with_threads = threading.Thread(target=lambda: got.append(follow(api, query)))
    with_threads.start()
    offset = log_chunks.append(job_id, "provision", 0, b"downloaded\n")
    put_status(job_id, JobStatus.RUNNING)
    for line in (b"one\n", b"two\n"):
        offset = log_chunks.append(job_id, "run", 0 if line == b"one\n" else 4, line)
    assert offset == 8
    log = b"one\ntwo\nthree\n"
    stored = api.services.storage.write(f"{job_id}/algorithm.log", [log])
    with transaction():
        results.record_result(job_id, "algorithm.log", stored, 1)
        LogChunk.delete().where((LogChunk.job_id == job_id) & (LogChunk.phase == "run")).execute()
        put_status(job_id, JobStatus.FINISHED, exit_code=0, finished_at_ms=1)
        events.insert_event(job_id, job["workflowId"], events.MOVE, JobStatus.FINISHED, 1)
    with_threads.join(20)
    assert got == [b"pulled\ndownloaded\none\ntwo\nthree\n"]
    streams.check()


def follow(api: Api, query: dict[str, Any]) -> bytes:
    """Read a log to its end."""
    result = api.client.simulate_get("/api/services/computeStreamableLogs", params=query)
    assert result.headers["content-type"] == "text/plain; charset=utf-8"
    return result.content


# events


def note(job: dict[str, Any]) -> None:
    """Let the provisioning pod report."""
    put_status(job["jobId"], JobStatus.PROVISIONING)
    report = {"state": "progress", "bytesDone": 5, "bytesTotal": 10, "detail": {"file": "secret.csv"}}
    jobs.record_report(JobId(job["jobId"]), Phase.PROVISION, report, 5)


def test_strangers_see_moves_and_their_times_and_those_it_concerns_see_all(api: Api, job: dict[str, Any]) -> None:
    note(job)
    open_ = api.get("computeEvents", workflowId=job["workflowId"]).json
    assert [(each["kind"], each["status"], each["detail"]) for each in open_] == [("move", 1, None)]
    known = api.signed("GET", "computeEvents", "getComputeEvents", CAROL, jobId=job["jobId"]).json
    assert [each["kind"] for each in known] == ["move", "progress"]
    assert known[1]["detail"]["downloadedBytes"] == 5 and known[1]["detail"]["bytesTotal"] == 10
    later = api.get("computeEvents", jobId=job["jobId"], after=open_[0]["id"]).json
    assert later == []
    assert api.get("computeEvents", jobId="ab" * 32).status_code == 404
    assert api.get("computeEvents", consumerAddress=address_of(ALICE)).status_code == 400


def test_server_sent_events_end_with_the_job_and_are_taken_up_after_the_last_one_seen(
    api: Api, job: dict[str, Any]
) -> None:
    put_status(job["jobId"], JobStatus.FINISHED, finished_at_ms=2)
    with transaction():
        events.insert_event(JobId(job["jobId"]), job["workflowId"], events.MOVE, JobStatus.FINISHED, 2)
        first, second = (event.id for event in Event.select().order_by(Event.id))
    accept = {"Accept": "text/event-stream"}
    text = api.get("computeEvents", accept, jobId=job["jobId"]).text
    assert text.index(f"id: {first}\nevent: move\n") < text.index(f"id: {second}\n") < text.index("event: end")
    resumed = api.get("computeEvents", {**accept, "Last-Event-ID": str(first)}, workflowId=job["workflowId"]).text
    assert f"id: {first}\n" not in resumed and f"id: {second}\n" in resumed


# environments and jobs


def test_an_engine_whose_passes_are_dead_offers_nothing(quick_database: str, tmp_path: Path) -> None:
    factories.put_environment(seen_at_ms=time.time_ns() // 1_000_000 - 3_600_000)
    api = Api(factories.services(tmp_path / "data", quick_database))
    assert api.get("computeEnvironments").json == []


def test_environments_show_what_is_used_now_and_say_when_nothing_changed(api: Api) -> None:
    assert api.start(command_body(resources=[{"id": "cpu", "amount": 2}])).status_code == 200
    result = api.get("computeEnvironments")
    (shown,) = result.json
    used = {each["id"]: each["inUse"] for each in shown["resources"]}
    assert used == {"cpu": 2, "ram": 1, "disk": 1}
    assert {each["id"]: each["inUse"] for each in shown["free"]["resources"]} == used
    assert (shown["runningJobs"], shown["runningfreeJobs"], shown["queuedJobs"]) == (1, 1, 0)
    again = api.get("computeEnvironments", {"If-None-Match": result.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert api.get("computeEnvironments", chainId=8996).json == []
    assert api.get("computeEnvironments", chainId="undefined").json != []


def test_running_jobs_and_limits_name_nothing_that_is_not_public(api: Api, job: dict[str, Any]) -> None:
    shown = api.get("jobs").json
    assert [each["jobId"] for each in shown["jobs"]] == [job["jobId"]]
    assert shown["jobs"][0]["metadata"] is None and shown["jobs"][0]["additionalViewers"] is None
    assert (shown["limits"][0]["environment"], shown["limits"][0]["maxJobs"]) == (ENVIRONMENT_ID, 10)
    put_status(job["jobId"], JobStatus.FINISHED, finished_at_ms=5_000_000)
    assert api.get("jobs").json["jobs"] == []
    assert len(api.get("jobs/:job", fromTimestamp=4999).json["jobs"]) == 1
    assert api.get("jobs", fromTimestamp=5001).json["jobs"] == []
    assert api.direct("jobs", fromTimestamp="4999").json[0]["jobId"] == job["jobId"]
