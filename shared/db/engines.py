"""Own what operators ask of the engines' rows: which there are, whether they drain, what they still have in hand."""

from __future__ import annotations

from shared.db.node_tables import Engine
from shared.db.tables import Job
from shared.db.watch import notify


def engine_names() -> list[str]:
    """Every engine that a pass has reported, by name."""
    return [str(row.name) for row in Engine.select(Engine.name).order_by(Engine.name)]


def set_draining(name: str, is_draining: bool) -> None:
    """Let the engine take no new work, or take it again; the same again changes nothing."""
    Engine.update(is_draining=is_draining).where(Engine.name == name).execute()
    notify()


def count_unfinished(name: str) -> int:
    """How many jobs were given to the engine and have not ended."""
    return int(Job.select().where((Job.engine == name) & Job.due_at_ms.is_null(False)).count())


def why_idle(name: str) -> str | None:
    """Why the engine takes no work now: what its pass found, or that it drains; null where it does, or is unknown."""
    row = Engine.get_or_none(Engine.name == name)
    if row is None:
        return None
    return row.problem or ("it drains" if row.is_draining else None)
