"""Own who may see which job: owner and additional viewers, compared without regard to case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.db import job_views
from shared.db.job_views import JobRow, Wanted
from shared.errors import Forbidden, NotFound
from shared.names import Address


def viewable(job_id: str, address: Address) -> JobRow:
    """Find a job for its owner or a viewer. Raises: NotFound, Forbidden."""
    row = job_views.get(job_id)
    if row is None:
        raise NotFound(f"Cannot find job with id {job_id}")
    if not row.is_for(address):
        raise Forbidden(f"{address} is neither owner nor viewer of job {job_id}")
    return row


def asked_for(fields: Mapping[str, Any]) -> Wanted:
    """Read the filters of status, stop and events: combined by AND."""
    owner = fields.get("consumerAddress")
    agreement = fields.get("agreementId")
    return Wanted(
        job_id=fields.get("jobId"),
        workflow_id=fields.get("workflowId"),
        owners=(str(owner),) if owner else (),
        lock_tx=None if agreement is None or str(agreement).startswith("did:") else str(agreement),
    )


def owned(rows: Sequence[JobRow], address: Address) -> list[JobRow]:
    """Keep the jobs that are the address's own."""
    return [row for row in rows if row.job.owner == address.lower()]
