"""Own writing a submission: the workflow, its jobs, what they wait for, their inputs and first events, at once."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared import sealing
from shared.addresses import address_of
from shared.curve import is_private_key
from shared.db import events, queue
from shared.db.connection import lock_rows, transaction
from shared.db.tables import Dependency, Input, Job
from shared.db.tables import Workflow as WorkflowRow
from shared.errors import InvalidRequest
from shared.lifecycle import JobStatus, has_succeeded, is_finished
from shared.names import Address, JobId, WorkflowId, new_job_id
from shared.secrets import SecretBox
from shared.workflow import JobRequest, Workflow

Ids = Mapping[int, JobId]
"A job's index in its workflow → its id."


@dataclass(frozen=True)
class Submission:
    """A workflow with whose it is, and what rows need besides."""

    workflow: Workflow
    owner: Address
    owner_as_sent: str
    is_free: bool
    at_ms: int
    box: SecretBox
    decrypt_login: Callable[[str], Any]
    "Open a registry login that was encrypted for the node."
    is_held: bool = False
    "Its jobs wait for a payment's lock as well: one thing more that is unmet."


def insert(submission: Submission) -> tuple[WorkflowId, list[JobId]]:
    """Write everything in one transaction; jobs that wait for nothing are in line. Raises: InvalidRequest."""
    workflow = submission.workflow
    workflow_id = WorkflowId(new_job_id())
    ids: Ids = {job.index: new_job_id() for job in workflow.jobs}
    with transaction():
        _insert_workflow(submission, workflow_id)
        for place, job in enumerate(workflow.jobs):
            earlier = [_id_of(each, ids) for each in job.run_after]
            unmet = len(earlier) - _already_succeeded(job, place, ids, submission.owner) + submission.is_held
            _insert_job(submission, workflow_id, job, ids[job.index], unmet)
            _insert_belongings(submission, job, ids, earlier)
            events.insert_event(ids[job.index], workflow_id, events.MOVE, JobStatus.QUEUED, submission.at_ms)
        for job in workflow.jobs:
            queue.make_ready(ids[job.index], submission.at_ms)
    return workflow_id, [ids[job.index] for job in workflow.jobs]


def new_job_key() -> bytes:
    """Draw a key that its job's pods will sign with."""
    while True:
        key = secrets.token_bytes(32)
        if is_private_key(key):
            return key


def _insert_workflow(submission: Submission, workflow_id: WorkflowId) -> None:
    workflow = submission.workflow
    output = workflow.output
    WorkflowRow.insert(
        workflow_id=workflow_id,
        owner=submission.owner,
        owner_as_sent=submission.owner_as_sent,
        door=workflow.door,
        is_free=submission.is_free,
        metadata=workflow.metadata,
        viewers=None if workflow.viewers is None else list(workflow.viewers),
        queue_max_wait_s=workflow.queue_max_wait_s,
        sealed=None if output is None else submission.box.seal_json(output, sealing.workflow_context(workflow_id)),
        created_at_ms=submission.at_ms,
    ).execute()


def _insert_job(submission: Submission, workflow_id: WorkflowId, job: JobRequest, job_id: JobId, unmet: int) -> None:
    key = new_job_key()
    login = None if job.registry_auth is None else submission.decrypt_login(job.registry_auth)
    Job.insert(
        job_id=job_id,
        workflow_id=workflow_id,
        index=job.index,
        owner=submission.owner,
        is_free=submission.is_free,
        requested_environment_id=job.environment_id,
        wanted=dict(job.wanted),
        requested_duration_s=job.max_duration_s,
        algorithm=job.algorithm.shown(job.layout),
        sealed=submission.box.seal_json(job.algorithm.hidden(login), sealing.job_context(job_id)),
        status=JobStatus.QUEUED.value,
        unmet=unmet,
        key_address=address_of(key).lower(),
        key_sealed=submission.box.seal(key, sealing.key_context(job_id)),
        created_at_ms=submission.at_ms,
    ).execute()


def _insert_belongings(submission: Submission, job: JobRequest, ids: Ids, earlier: Sequence[JobId]) -> None:
    """Write what a job waits for and what it reads."""
    job_id = ids[job.index]
    for after in earlier:
        Dependency.insert(job_id=job_id, after_job_id=after).execute()
    for each in job.inputs:
        context = sealing.input_context(job_id, each.index)
        Input.insert(
            job_id=job_id,
            index=each.index,
            did=each.did,
            service_id=each.service_id,
            from_job_id=None if each.from_job is None else _id_of(each.from_job, ids),
            sealed=submission.box.seal_json(list(each.files), context) if each.files else None,
        ).execute()


def _id_of(earlier: int | JobId, ids: Ids) -> JobId:
    return ids[earlier] if isinstance(earlier, int) else earlier


def _already_succeeded(job: JobRequest, place: int, ids: Ids, owner: Address) -> int:
    """Count the earlier workflows' jobs that have succeeded; each stays locked, so that none ends unseen.

    Raises: InvalidRequest for one that is not the owner's, or has failed.
    """
    named = [each for each in job.run_after if not isinstance(each, int)]
    if not named:
        return 0
    rows = {row.job_id: row for row in lock_rows(Job.select().where(Job.job_id.in_(named)).order_by(Job.job_id))}
    return sum(_has_succeeded(rows.get(each), each, f"workflow[{place}].runAfter", owner) for each in named)


def _has_succeeded(row: Any, job_id: JobId, path: str, owner: Address) -> bool:
    if row is None or row.owner != owner:
        raise InvalidRequest(f"{path}: you have no job {job_id}", path=path)
    status = JobStatus(row.status)
    if has_succeeded(status, row.exit_code, row.reason):
        return True
    if is_finished(status):
        raise InvalidRequest(f"{path}: job {job_id} did not succeed, so nothing can run after it", path=path)
    return False
