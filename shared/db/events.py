"""Own the event rows: what happened to a job, in order; the timeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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


def insert_event(
    job_id: JobId,
    workflow_id: str,
    kind: str,
    status: JobStatus,
    at_ms: int,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Write one event, part of the caller's transaction, and wake those who follow."""
    Event.insert(
        job_id=job_id, workflow_id=workflow_id, kind=kind, status=status.value, at_ms=at_ms, detail=detail
    ).execute()
    notify()
