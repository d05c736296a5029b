"""Own reading what can be bought: environment rows as engine passes wrote them, with live figures beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from shared.db import reservations
from shared.db.node_tables import Engine, Environment
from shared.db.statements import Statement
from shared.db.tables import Job
from shared.lifecycle import JobStatus
from shared.placement import Usage

_ONE = Statement(lambda environment_id: Environment.select().where(Environment.environment_id == environment_id))
_ALL = Statement(lambda: Environment.select().order_by(Environment.engine, Environment.position))
_LIVING = Statement(lambda since_ms: Engine.select().where(Engine.seen_at_ms > since_ms))
_UNFINISHED = Statement(
    lambda: Job.select(
        Job.environment_id,
        Job.requested_environment_id,
        Job.status,
        Job.is_free,
        Job.max_duration_s,
        Job.requested_duration_s,
        Job.started_at_ms,
    ).where(Job.finished_at_ms.is_null())
)

GONE_MS = 600_000
"An engine whose passes have said nothing for so long offers nothing."


@dataclass(frozen=True)
class Offer:
    """One environment of one engine."""

    id: str
    engine: str
    engine_type: str
    engine_hash: str
    takes_work: bool
    "Neither draining nor in trouble."
    document: Mapping[str, Any]
    "The wire's ComputeEnvironment without its live figures."


@dataclass(frozen=True)
class EngineRow:
    """An engine as its last pass left it."""

    name: str
    type: str
    hash: str
    seen_at_ms: int
    is_draining: bool
    problem: str | None


class LiveJob(NamedTuple):
    """What an environment's figures need of an unfinished job."""

    environment_id: str | None
    requested_environment_id: str | None
    status: str
    is_free: bool
    max_duration_s: int
    requested_duration_s: int | None
    started_at_ms: int | None


@dataclass(frozen=True)
class Live:
    """Unfinished jobs of an environment, for its queue and run figures."""

    running: Sequence[LiveJob] = ()
    queued: Sequence[LiveJob] = ()


def offers(now_ms: int) -> list[Offer]:
    """Every environment of a living engine, engine by engine in the operator's order."""
    living = {row.name: row for row in _LIVING.rows(since_ms=now_ms - GONE_MS)}
    return [_offer(row, living[row.engine]) for row in _ALL.rows() if row.engine in living]


def document(environment_id: str | None) -> Mapping[str, Any] | None:
    """One environment's document; null where it is not offered any more."""
    row = _ONE.first(environment_id=environment_id)
    return None if row is None else row.document


def engines() -> list[EngineRow]:
    """Every engine that ever reported, by name."""
    return [
        EngineRow(row.name, row.type, row.hash, row.seen_at_ms, row.is_draining, row.problem)
        for row in Engine.select().order_by(Engine.name)
    ]


def usages(names: Sequence[str]) -> dict[str, Usage]:
    """What is promised now, by engine."""
    return {name: reservations.usage(name) for name in dict.fromkeys(names)}


def live() -> dict[str, Live]:
    """Unfinished jobs by the environment that has or wants them."""
    found: dict[str, tuple[list[LiveJob], list[LiveJob]]] = {}
    for row in (LiveJob(*values) for values in _UNFINISHED.tuples()):
        environment_id = row.environment_id or row.requested_environment_id
        if environment_id is not None:
            running, queued = found.setdefault(environment_id, ([], []))
            (queued if row.status == JobStatus.QUEUED else running).append(row)
    return {environment_id: Live(*lists) for environment_id, lists in found.items()}


def _offer(row: Any, engine: Any) -> Offer:
    return Offer(
        id=row.environment_id,
        engine=row.engine,
        engine_type=engine.type,
        engine_hash=engine.hash,
        takes_work=not engine.is_draining and engine.problem is None,
        document=row.document,
    )
