"""Own the input rows of a job."""

from __future__ import annotations

from shared.db.connection import session
from shared.db.statements import Statement
from shared.db.tables import Input
from shared.names import JobId

_OF_JOB = Statement(lambda job_id: Input.select().where(Input.job_id == job_id).order_by(Input.index))


def inputs_of(job_id: JobId) -> list[Input]:
    """A job's inputs in order; their files are sealed."""
    with session():
        return list(_OF_JOB.rows(job_id=job_id))


def names_of(job_id: JobId) -> list[str]:
    """Per input that has one, its DID or the id of the job whose outputs it is; in input order."""
    return [name for row in inputs_of(job_id) if (name := row.did or row.from_job_id)]


def is_read(job_id: JobId) -> bool:
    """Whether another job has this one's outputs as an input."""
    with session():
        return bool(Input.select().where(Input.from_job_id == job_id).exists())
