"""Own the sums that operators watch: how many jobs stand where, and what is promised of each pool."""

from __future__ import annotations

from typing import Any

from peewee import fn

from shared.db.node_tables import Pool, Reservation
from shared.db.tables import Job


def jobs_by_status() -> dict[str, int]:
    """Status → jobs."""
    counted: Any = Job.select(Job.status, fn.COUNT(Job.job_id)).group_by(Job.status).tuples()
    return {status: int(count) for status, count in counted}


def promised() -> dict[tuple[str, str], int]:
    """Engine and resource → thousandths promised."""
    keys = (Reservation.engine, Reservation.resource_id)
    summed: Any = Reservation.select(*keys, fn.SUM(Reservation.amount_milli)).group_by(*keys).tuples()
    return {(engine, resource): int(amount) for engine, resource, amount in summed}


def pools() -> dict[tuple[str, str], int]:
    """Engine and resource → thousandths there are."""
    return {(row.engine, row.resource_id): row.total_milli for row in Pool.select()}
