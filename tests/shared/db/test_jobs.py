"""What pods report, what owners ask for, and the logs of running containers; on both databases."""

from __future__ import annotations

import pytest

from shared.db import events, jobs, log_chunks
from shared.errors import Conflict, NotFound
from shared.lifecycle import JobStatus
from shared.names import JobId, Phase
from tests.flows.harness import job
from tests.shared.db.rows import NOW, at_once, finish, put, row, submit

pytestmark = pytest.mark.usefixtures("database")
DONE = {"state": "done"}


def test_a_report_makes_the_job_due() -> None:
    (job_id,) = submit()
    put(job_id, JobStatus.PROVISIONING, due_at_ms=NOW + 10**6)
    jobs.record_report(job_id, Phase.PROVISION, DONE, NOW + 5)
    assert row(job_id).provision_report == DONE and row(job_id).due_at_ms == NOW + 5


def test_a_repeated_report_changes_nothing() -> None:
    (job_id,) = submit()
    put(job_id, JobStatus.PROVISIONING)
    jobs.record_report(job_id, Phase.PROVISION, DONE, NOW)
    jobs.record_report(job_id, Phase.PROVISION, {"state": "failed", "reason": "late"}, NOW + 5)
    assert row(job_id).provision_report == DONE and row(job_id).due_at_ms == NOW


def test_progress_is_kept_and_wakes_nobody() -> None:
    (job_id,) = submit()
    put(job_id, JobStatus.PUBLISHING, due_at_ms=NOW + 77)
    jobs.record_report(job_id, Phase.PUBLISH, {"state": "progress", "bytesDone": 5}, NOW)
    found = row(job_id)
    assert found.progress == {"phase": "publish", "bytesDone": 5, "at_ms": NOW}
    assert (found.publish_report, found.due_at_ms) == (None, NOW + 77)


def test_a_report_outside_its_phase_is_refused() -> None:
    (job_id,) = submit()
    for status in set(JobStatus) - {JobStatus.PROVISIONING}:
        put(job_id, status)
        with pytest.raises(Conflict):
            jobs.record_report(job_id, Phase.PROVISION, DONE, NOW)


def test_a_stop_asks_the_unfinished_only() -> None:
    first, second, third = submit(job(0), job(1), job(2))
    finish(first)
    put(second, JobStatus.RUNNING, due_at_ms=NOW + 10**6)
    assert jobs.request_stop([first, second, third], NOW) == 2
    assert [row(each).due_at_ms for each in (first, second, third)] == [None, NOW, NOW]
    assert [jobs.is_stop_requested(each) for each in (first, second, third)] == [False, True, True]


def test_unknown_jobs_are_not_found() -> None:
    with pytest.raises(NotFound):
        jobs.get(JobId("nobody"))


def test_a_log_is_read_from_any_place() -> None:
    (job_id,) = submit()
    text = bytes(range(256)) * 1000  # several pieces
    assert log_chunks.append(job_id, "run", 0, text) == len(text)
    assert log_chunks.append(job_id, "run", len(text), b"more") == len(text) + 4
    assert log_chunks.size(job_id, "run") == len(text) + 4
    assert b"".join(log_chunks.read_all(job_id, "run")) == text + b"more"
    for offset in (0, 1, 65_535, 65_536, 65_537, len(text) + 3):
        assert log_chunks.read(job_id, "run", offset) == (text + b"more")[offset:]
    assert log_chunks.read(job_id, "run", len(text) + 4) == b""


def test_the_same_piece_twice_changes_nothing() -> None:
    (job_id,) = submit()
    at_once(*[lambda: log_chunks.append(job_id, "run", 0, b"hello")] * 6)
    assert b"".join(log_chunks.read_all(job_id, "run")) == b"hello"
    log_chunks.forget(job_id)
    assert log_chunks.size(job_id, "run") == 0


def test_why_a_job_waits_is_told_once_and_beside_its_end_in_the_timeline_alone() -> None:
    (job_id,) = submit()
    for status, reason, detail in ((JobStatus.RUNNING, None, "no"), (JobStatus.PUBLISHING, "lost", "It was lost.")):
        put(job_id, status, lease_token="mine", reason=reason, reason_detail="It was lost." if reason else None)
        for token, sentence in (("mine", "no"), ("mine", "no"), ("another's", "never")):
            jobs.tell(job_id, token, sentence, NOW)
        assert row(job_id).reason_detail == detail
        jobs.tell(job_id, "mine", f"then {status}", NOW)
    notes = [each.detail["text"] for each in events.list_events(job_ids=[job_id]) if each.kind == events.NOTE]
    assert notes == ["no", "then running", "no", "then publishing"]
