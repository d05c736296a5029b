"""Own the event rows: what happened to a job, in order; the timeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.db.statements import Statement
from shared.db.tables import Event
from shared.db.watch import notify
from shared.lifecycle import JobStatus
from shared.names import JobId

MOVE = "move"
"A change of status: anybody who knows the id may see it."
NOTE = "note"
"A thing worth telling the owner and the viewers."
PROGRESS = "progress"
"Bytes done, for the owner and the viewers."
_INSERT = Statement(
    lambda job_id, workflow_id, kind, status, at_ms, detail: Event.insert(
        job_id=job_id, workflow_id=workflow_id, kind=kind, status=status, at_ms=at_ms, detail=detail
    )
)


def insert_event(
    job_id: JobId,
    workflow_id: str,
    kind: str,
    status: JobStatus,
    at_ms: int,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Write one event, part of the caller's transaction, and wake those who follow."""
    kept = Event.detail.db_value(detail)
    _INSERT.write(job_id=job_id, workflow_id=workflow_id, kind=kind, status=status.value, at_ms=at_ms, detail=kept)
    notify()


def last_text(job_id: JobId) -> str | None:
    """The sentence in the last note of a job; null where that has none."""
    notes = Event.select().where((Event.job_id == job_id) & (Event.kind == NOTE)).order_by(Event.id.desc())
    last = notes.first()
    return (last.detail or {}).get("text") if last is not None else None


def list_events(
    *,
    job_ids: Sequence[str] = (),
    workflow_id: str | None = None,
    after: int = 0,
    is_moves_only: bool = False,
    limit: int = 1000,
) -> list[Event]:
    """Read the events of jobs, or of a workflow, after an id, in order; at most `limit`."""
    query = Event.select().where(Event.id > after)
    if job_ids:
        query = query.where(Event.job_id.in_(list(job_ids)))
    if is_moves_only:
        query = query.where(Event.kind == MOVE)
    if workflow_id is not None:
        query = query.where(Event.workflow_id == workflow_id)
    return list(query.order_by(Event.id).limit(limit))
