"""Own the table of the pods' nonces: random, stored, single use."""

from __future__ import annotations

from shared.db.node_tables import PodNonce
from shared.db.statements import Statement
from shared.db.tables import Job
from shared.errors import Unauthorized
from shared.names import JobId

_SPEND = Statement(
    lambda job_id, nonce: PodNonce.insert(job_id=job_id, nonce=nonce).on_conflict_ignore().returning(PodNonce.nonce)
)
_FORGET = Statement(lambda job_id: PodNonce.delete().where(PodNonce.job_id == job_id))


def spend(job_id: JobId, nonce: str) -> None:
    """Use up a nonce of a job's pods. Raises: Unauthorized if it was used before."""
    if not _SPEND.tuples(job_id=job_id, nonce=nonce):
        raise Unauthorized("This call was made before: a pod signs each attempt with a new X-C2D-Nonce.")


def forget(job_id: JobId) -> int:
    """Remove the nonces of a finished job, whose key signs nothing any more; return how many."""
    return _FORGET.write(job_id=job_id)


def sweep() -> int:
    """Remove the nonces of calls that came after their job's end; return how many."""
    finished = Job.select(Job.job_id).where(
        Job.job_id.in_(PodNonce.select(PodNonce.job_id)) & Job.finished_at_ms.is_null(False)
    )
    return int(PodNonce.delete().where(PodNonce.job_id.in_(finished)).execute())
