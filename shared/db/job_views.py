"""Own reading jobs for those outside: rows with what belongs to them, filtered as asked; nothing is written."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from shared.db import jobs
from shared.db.among import among
from shared.db.payment_views import Paid, of_lock, of_workflows
from shared.db.result_views import ResultFile, results_of_jobs
from shared.db.statements import Statement
from shared.db.tables import Dependency, Job, Workflow
from shared.errors import NotFound
from shared.lifecycle import FINISHED
from shared.names import JobId, Phase, WorkflowId

MOST_JOBS = 1000
"The newest so many are shown where a filter leaves more."
_KEY = Statement(lambda job_id: Job.select(Job.key_address).where(Job.job_id == job_id))


@dataclass(frozen=True)
class JobRow:
    """A job with everything a view may need."""

    job: Any
    workflow: Any
    run_after: tuple[str, ...] = ()
    results: tuple[ResultFile, ...] = field(default=())
    paid: Paid | None = None

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
    plain = _plain(wanted)
    if plain:
        return _with_all(list(_finding(tuple(plain)).rows(**plain, limit=limit)))
    return _with_all(list(_newest(_conditions(wanted)).limit(limit)))


def _plain(wanted: Wanted) -> dict[str, str]:
    """The filters of those who poll; empty where there are others."""
    owner = wanted.owners[0].lower() if len(wanted.owners) == 1 else None
    job_id = None if wanted.job_id is None else bare(wanted.job_id)
    given = {"job_id": job_id, "workflow_id": wanted.workflow_id, "owner": owner}
    is_all = replace(wanted, job_id=None, workflow_id=None, owners=wanted.owners[1:]) == Wanted()
    return {name: value for name, value in given.items() if value is not None} if is_all else {}


@functools.cache
def _finding(names: tuple[str, ...]) -> Statement:
    return Statement(
        lambda limit, **values: _newest(getattr(Job, name) == value for name, value in values.items()).limit(limit),
        (*names, "limit"),
    )


def _newest(conditions: Iterable[Any]) -> Any:
    query = Job.select().order_by(Job.created_at_ms.desc(), Job.workflow_id, Job.index)
    for condition in conditions:
        query = query.where(condition)
    return query


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
        yield Job.workflow_id.in_(of_lock(wanted.lock_tx))
    if wanted.environments:
        yield Job.environment_id.in_(wanted.environments) | Job.requested_environment_id.in_(wanted.environments)
    if wanted.finished_since_ms is not None:
        yield Job.finished_at_ms.is_null() | (Job.finished_at_ms > wanted.finished_since_ms)
    if wanted.is_unfinished:
        yield Job.status.not_in([status.value for status in FINISHED])


def _with_all(jobs: list[Any]) -> list[JobRow]:
    """Join workflows, dependencies, results and payments: a handful of queries for any number of jobs."""
    ids = [job.job_id for job in jobs]
    workflows = {row.workflow_id: row for row in among(Workflow, "workflow_id", {job.workflow_id for job in jobs})}
    after: dict[str, list[str]] = {}
    for row in among(Dependency, "job_id", ids):
        after.setdefault(row.job_id, []).append(row.after_job_id)
    results = results_of_jobs(ids, [job.job_id for job in jobs if job.finished_at_ms is None])
    money = of_workflows({job.workflow_id for job in jobs if not job.is_free})
    return [
        JobRow(
            job,
            workflows[job.workflow_id],
            tuple(sorted(after.get(job.job_id, []))),
            tuple(results.get(job.job_id, [])),
            money.get(job.workflow_id),
        )
        for job in jobs
    ]
