"""Own reading jobs for those outside: rows with what belongs to them, filtered as asked; nothing is written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from peewee import fn

from shared.db import jobs
from shared.db.results import ORDER, TYPES
from shared.db.statements import Statement
from shared.db.tables import Dependency, Job, LogChunk, Result, Workflow
from shared.errors import NotFound
from shared.lifecycle import FINISHED
from shared.names import JobId, Phase, WorkflowId

MOST_JOBS = 1000
"The newest so many are shown where a filter leaves more."
_KEY = Statement(lambda job_id: Job.select(Job.key_address).where(Job.job_id == job_id))


@dataclass(frozen=True)
class ResultFile:
    """One file a job left, or a log that still grows."""

    filename: str
    type: str
    size_bytes: int
    sha256: str | None = None
    "Null while it grows."
    key: str | None = None
    "Where it lies in storage; null while it is in log chunks."
    phase: str | None = None
    "Whose chunks it is in."


@dataclass(frozen=True)
class JobRow:
    """A job with everything a view may need."""

    job: Any
    workflow: Any
    run_after: tuple[str, ...] = ()
    results: tuple[ResultFile, ...] = field(default=())

    def is_for(self, address: str) -> bool:
        """Whether the address is the owner or a viewer."""
        return bool(address) and address.lower() in {self.job.owner, *(self.workflow.viewers or [])}


@dataclass(frozen=True)
class Wanted:
    """Filters, combined by AND; an empty one does not filter."""

    job_id: str | None = None
    workflow_id: str | None = None
    owners: tuple[str, ...] = ()
    lock_tx: str | None = None
    environments: tuple[str, ...] = ()
    finished_since_ms: int | None = None
    "Finished after this, or not finished yet."
    is_unfinished: bool = False


def bare(job_id: str) -> JobId:
    """The id without the engine's hash before its first `-`."""
    return JobId(job_id.rpartition("-")[2])


def key_address(job_id: JobId) -> str | None:
    """The address of the job's key; null where there is no such job."""
    found = _KEY.tuples(job_id=job_id)
    return str(found[0][0]) if found else None


def find(wanted: Wanted, limit: int = MOST_JOBS) -> list[JobRow]:
    """Find jobs, the newest workflow first and in its order."""
    query = Job.select(Job, Workflow).join(Workflow, on=(Workflow.workflow_id == Job.workflow_id), attr="workflow_row")
    for condition in _conditions(wanted):
        query = query.where(condition)
    order = (Job.created_at_ms.desc(), Job.workflow_id, Job.index)
    return _with_all(list(query.order_by(*order).limit(limit)))


def get(job_id: str) -> JobRow | None:
    """Find one job by its id, with or without the engine's hash."""
    return next(iter(find(Wanted(job_id=job_id), limit=1)), None)


def in_phase(job_id: JobId, phase: Phase) -> JobRow:
    """Find a job that is in the phase now. Raises: NotFound, Conflict."""
    row = get(job_id)
    if row is None:
        raise NotFound(f"There is no job {job_id}.")
    jobs.check_phase(row.job, phase)
    return row


def get_workflow(workflow_id: WorkflowId) -> list[JobRow]:
    """Find a workflow's jobs in order."""
    return find(Wanted(workflow_id=workflow_id))


def all_finished(wanted: Wanted) -> bool:
    """Whether no job asked for is unfinished."""
    query = Job.select(Job.job_id).where(Job.finished_at_ms.is_null())
    for condition in _conditions(wanted):
        query = query.where(condition)
    return not query.exists()


def _conditions(wanted: Wanted) -> Iterable[Any]:
    if wanted.job_id is not None:
        yield Job.job_id == bare(wanted.job_id)
    if wanted.workflow_id is not None:
        yield Job.workflow_id == wanted.workflow_id
    if wanted.owners:
        yield Job.owner.in_([owner.lower() for owner in wanted.owners])
    if wanted.lock_tx is not None:
        yield fn.COALESCE(Job.finished_at_ms, 0) < 0  # no job has a lock before there are payments
    if wanted.environments:
        yield Job.environment_id.in_(wanted.environments) | Job.requested_environment_id.in_(wanted.environments)
    if wanted.finished_since_ms is not None:
        yield Job.finished_at_ms.is_null() | (Job.finished_at_ms > wanted.finished_since_ms)
    if wanted.is_unfinished:
        yield Job.status.not_in([status.value for status in FINISHED])


def _with_all(jobs: list[Any]) -> list[JobRow]:
    """Join dependencies and results: three queries for any number of jobs."""
    ids = [job.job_id for job in jobs]
    after: dict[str, list[str]] = {}
    for row in Dependency.select().where(Dependency.job_id.in_(ids)):
        after.setdefault(row.job_id, []).append(row.after_job_id)
    results = _results(ids, [job.job_id for job in jobs if job.finished_at_ms is None])
    return [
        JobRow(job, job.workflow_row, tuple(sorted(after.get(job.job_id, []))), tuple(results.get(job.job_id, [])))
        for job in jobs
    ]


GROWING = {"image": "image.log", "provision": "configuration.log", "run": "algorithm.log", "publish": "publish.log"}
"Whose log chunks become which result."


def _results(ids: list[str], unfinished: list[str]) -> dict[str, list[ResultFile]]:
    found: dict[str, list[ResultFile]] = {}
    for row in Result.select().where(Result.job_id.in_(ids)):
        file = ResultFile(row.filename, row.type, row.size_bytes, row.sha256, row.key)
        found.setdefault(row.job_id, []).append(file)
    for job_id, phase, size in _growing(unfinished):
        filename = GROWING.get(phase, f"{phase}.log")
        files = found.setdefault(job_id, [])
        if filename not in {file.filename for file in files}:
            files.append(ResultFile(filename, TYPES.get(filename, "publishLog"), size, phase=phase))
    for files in found.values():
        files.sort(key=lambda file: (_rank(file.type), file.filename))
    return found


def _growing(ids: list[str]) -> list[tuple[str, str, int]]:
    if not ids:
        return []
    size = fn.MAX(LogChunk.offset + fn.LENGTH(LogChunk.data))
    chunks: Any = LogChunk.select(LogChunk.job_id, LogChunk.phase, size).where(LogChunk.job_id.in_(ids))
    return [(row[0], row[1], int(row[2])) for row in chunks.group_by(LogChunk.job_id, LogChunk.phase).tuples()]


def _rank(kind: str) -> int:
    return ORDER.index(kind) if kind in ORDER else len(ORDER)
