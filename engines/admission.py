"""Own letting jobs out of the queue: fair turns between owners, first come first served within one owner's.

An owner whose first job does not fit now loses only this turn, not its place. A job that was passed over for long
holds what it lacks back until it fits, so that small jobs cannot starve a large one; nothing else waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.db import queue, reservations
from shared.db.connection import session
from shared.db.node_tables import Engine, Environment
from shared.db.statements import Statement
from shared.db.tables import Job
from shared.errors import InvalidRequest
from shared.names import JobId
from shared.placement import HARDWARE, NotEnough, Usage, complete, gates, grant, lacking, may_use

OWNERS_AT_ONCE = 100
TRIES = 10
"For one turn, while other passes admit the same owner's jobs."
PATIENCE_MS = 600_000
"How long a job is passed over before it holds back what others would take."

_ENGINE = Statement(lambda engine: Engine.select().where(Engine.name == engine))
_OFFERED = Statement(
    lambda engine: Environment.select().where(Environment.engine == engine).order_by(Environment.position)
)

Document = Mapping[str, Any]


@dataclass
class Line:
    """One engine's look at the queue."""

    engine: str
    environments: Sequence[Document]
    now_ms: int
    passed_over: set[str] = field(default_factory=set)
    "Owners who had their turn in vain."
    held: set[tuple[str, str]] = field(default_factory=set)
    "(environment id or HARDWARE, resource id) that an impatient job waits for."
    promised: Usage | None = None
    "As last looked at, with what we promised since; null where somebody else's doing was met."

    def usage(self) -> Usage:
        """What is promised. Others may have changed it since: admission looks again, under the lock."""
        if self.promised is None:
            self.promised = reservations.usage(self.engine)
        return self.promised


def admit_waiting(engine: str, now_ms: int, most: int = 1 << 30) -> int:
    """Admit what fits, one job per owner and round, `most` at most; returns how many jobs were admitted."""
    if most <= 0 or not queue.owners_in_turn(1):
        return 0
    with session():
        row = _ENGINE.first(engine=engine)
        if row is None or row.is_draining or row.problem:
            return 0
        line = Line(engine, [each.document for each in _OFFERED.rows(engine=engine)], now_ms)
    if _is_full(line):
        return 0
    admitted = 0
    while owners := queue.owners_in_turn(OWNERS_AT_ONCE, line.passed_over):
        for owner in owners:
            admitted += _has_turn(line, owner)
            if admitted >= most:
                return admitted
    return admitted


def _is_full(line: Line) -> bool:
    """Whether not even the smallest job has room, so that nobody's turn need be looked at."""
    for each in line.environments:
        for is_free in (True, False) if each.get("free") is not None else (False,):
            try:
                grant(each, {}, None, line.usage(), is_free)
            except NotEnough:
                continue
            except InvalidRequest:  # none that asks for nothing: whoever asks for more is looked at
                return False
            return False
    return True


def _has_turn(line: Line, owner: str) -> bool:
    """Whether the owner's first job was admitted; one that somebody else takes meanwhile is not missed."""
    for _ in range(TRIES):
        job = queue.first_in_line(owner, lambda job: bool(_suitable(job, line.environments)))
        is_served = job is not None and _serve(line, job)
        if is_served:
            return True
        if is_served is False:
            break
    line.passed_over.add(owner)
    return False


def _serve(line: Line, job: Job) -> bool | None:
    """Whether there was room; null where the job is not in line any more.

    Looks without a lock first: a full engine with many in line is looked over at every wake.
    """
    suitable, now = _suitable(job, line.environments), line.usage()
    with_room = [each for each in suitable if _has_room(line, job, each, now)]
    if not with_room:
        if line.now_ms - (job.ready_at_ms or line.now_ms) > PATIENCE_MS:
            for each in suitable:
                amounts = complete(each, job.wanted, job.is_free)
                line.held |= lacking(each, amounts, now, job.is_free)
        return False
    try:
        granted = reservations.admit(JobId(job.job_id), line.engine, with_room, line.now_ms)
    except NotEnough:
        line.promised = None
        return False
    line.promised = now.with_grant(granted, job.is_free) if granted else None
    return True if granted else None


def _has_room(line: Line, job: Job, environment: Document, now: Usage) -> bool:
    try:
        granted = grant(environment, job.wanted, job.requested_duration_s, now, job.is_free)
    except NotEnough:
        return False
    taken = {key for key, amount in granted.amounts.items() if amount}
    return not any(key in taken and where in (HARDWARE, environment["id"]) for where, key in line.held)


def _suitable(job: Job, environments: Sequence[Document]) -> list[Document]:
    """The environments, of those offered here, that could ever take the job."""
    wanted = job.requested_environment_id
    named = [each for each in environments if wanted is None or each["id"] == wanted]
    return [each for each in named if _is_open(job, each) and _could_fit(job, each)]


def _is_open(job: Job, environment: Document) -> bool:
    """Whether the owner is let in; by tokens held, it was when the job was started for this very environment."""
    is_asked = job.requested_environment_id is not None and bool(gates(environment, job.is_free))
    return is_asked or may_use(environment, job.owner, job.is_free)


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
