"""Own letting jobs out of the queue: fair turns between owners, first come first served within one owner's.

An owner whose first job does not fit now loses only this turn, not its place. A job that was passed over for long
holds the engine's room back until it fits, so that small jobs cannot starve a large one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.db import queue, reservations
from shared.db.connection import session
from shared.db.node_tables import Engine, Environment
from shared.db.tables import Job
from shared.errors import InvalidRequest
from shared.names import JobId
from shared.placement import NotEnough, complete, may_use

OWNERS_AT_ONCE = 100
PATIENCE_MS = 600_000
"How long a job is passed over before it holds back what others would take."

Document = Mapping[str, Any]


def admit_waiting(engine: str, now_ms: int) -> int:
    """Admit what fits, one job per owner and round; returns how many jobs were admitted."""
    with session():
        row = Engine.get_or_none(Engine.name == engine)
        if row is None or row.is_draining or row.problem:
            return 0
        found = Environment.select().where(Environment.engine == engine).order_by(Environment.position)
        environments = [each.document for each in found]
    admitted = 0
    blocked: set[str] = set()
    while served := _one_round(engine, environments, blocked, now_ms):
        admitted += served
    return admitted


def _one_round(engine: str, environments: Sequence[Document], blocked: set[str], now_ms: int) -> int:
    """Give every owner in line, who is not blocked by want of room, one turn."""
    served = 0
    for owner in queue.owners_in_turn(OWNERS_AT_ONCE):
        if owner in blocked:
            continue
        job = queue.first_in_line(owner, lambda job: bool(_suitable(job, environments)))
        if job is None:
            blocked.add(owner)
        elif _serve(engine, job, environments, now_ms):
            served += 1
        else:
            blocked.add(owner)
            if now_ms - (job.ready_at_ms or now_ms) > PATIENCE_MS:
                return 0
    return served


def _serve(engine: str, job: Job, environments: Sequence[Document], now_ms: int) -> bool:
    try:
        granted = reservations.admit(JobId(job.job_id), engine, _suitable(job, environments), now_ms)
    except NotEnough:
        return False
    queue.end_turn(job.owner, now_ms)
    return granted is not None


def _suitable(job: Job, environments: Sequence[Document]) -> list[Document]:
    """The environments, of those offered here, that could ever take the job."""
    wanted = job.requested_environment_id
    named = [each for each in environments if wanted is None or each["id"] == wanted]
    return [each for each in named if may_use(each, job.owner, job.is_free) and _could_fit(job, each)]


def _could_fit(job: Job, environment: Document) -> bool:
    if job.is_free and environment.get("free") is None:
        return False
    known = {entry["id"] for entry in environment["resources"]}
    if any(amount and key not in known for key, amount in job.wanted.items()):
        return False
    try:
        complete(environment, job.wanted, job.is_free)
    except InvalidRequest:
        return False
    return True
