"""A finished job's rows become the facts of its receipt."""

from __future__ import annotations

from typing import Any

import pytest

from shared.db import jobs, results
from shared.db.inputs import inputs_of
from shared.db.job_views import get
from shared.lifecycle import JobStatus
from shared.names import JobId, Phase
from shared.receipt_facts import job_facts
from shared.receipts import hash_of
from shared.storage.base import StoredObject
from tests.shared.db.rows import NOW, finish, put, submit

pytestmark = pytest.mark.usefixtures("database")
FILES = [
    {"path": "inputs/a.csv", "size": 3, "sha256": "aa" * 32},
    {"path": "transformations/algorithm", "size": 5, "sha256": "bb" * 32},
    {"path": "inputs/broken.csv"},
    "nonsense",
]


def reported(job_id: JobId, detail: Any) -> None:
    """Let the configuration pod have its say."""
    put(job_id, JobStatus.PROVISIONING)
    jobs.record_report(job_id, Phase.PROVISION, {"state": "done", "detail": detail}, NOW)


def stored(job_id: JobId, filename: str, type_: str | None = None) -> None:
    """A result in storage."""
    results.record_result(job_id, filename, StoredObject(f"{job_id}/{filename}", 3, "cc" * 32), NOW, type_)


def facts_of(job_id: JobId) -> Any:
    """Read the rows."""
    row = get(job_id)
    assert row is not None
    return job_facts(row, inputs_of(job_id), {"resources": []}, 61, 7)


def test_a_succeeded_job_says_what_it_read_ran_and_left() -> None:
    (job_id,) = submit()
    reported(job_id, {"bytes": 8, "files": FILES})
    for name in ("outputs.tar", "algorithm.log"):
        stored(job_id, name)
    finish(job_id)
    put(job_id, JobStatus.FINISHED, started_at_ms=1500, stopped_at_ms=61_001, specs={"image": "sha256:" + "5e" * 32})
    facts = facts_of(job_id)
    assert (facts.outcome, facts.exit_code, facts.image_digest) == ("succeeded", 0, "5e" * 32)
    assert (facts.started_at_s, facts.finished_at_s, facts.billed_s, facts.cost_wei) == (1, 62, 61, 7)
    assert facts.inputs["files"] == FILES[:1] and facts.algorithm["files"] == FILES[1:2]
    assert [(output["index"], output["filename"]) for output in facts.outputs] == [
        (0, "algorithm.log"),
        (1, "outputs.tar"),
    ]
    assert hash_of([dict(facts.inputs), dict(facts.algorithm), list(facts.outputs)])


@pytest.mark.parametrize("detail", [None, "words", ["a"], {"files": None}, {"files": []}])
def test_a_pod_that_lists_nothing_spoils_nothing(detail: Any) -> None:
    (job_id,) = submit()
    reported(job_id, detail)
    finish(job_id, succeeds=False)
    facts = facts_of(job_id)
    assert facts.inputs["files"] == [] and facts.outcome != "succeeded" and facts.image_digest == ""
