"""Own the engine's row: that it lives, which daemon it first spoke to, and why it takes no work."""

from __future__ import annotations

import time

from engines.context import Context
from shared.db.connection import session
from shared.db.node_tables import Engine
from shared.errors import Unavailable

CHECK_S = 5.0
"A good check is not repeated for so long."


def check_daemon(context: Context, *, is_cached: bool = True) -> None:
    """Make sure that the daemon is the one this engine's work is on.

    Raises: Unavailable for another daemon, or none; the row says so, and no work is taken.
    """
    if is_cached and time.monotonic() - context.daemon_check.at_s < CHECK_S:
        return
    context.daemon_check.forget()  # only a good check is kept
    try:
        found = context.driver.daemon_id()
    except Unavailable as error:
        _say(context.name, error.detail)
        raise
    _compare(context, found)
    context.daemon_check.at_s = time.monotonic()


def _compare(context: Context, found: str) -> None:
    with session():
        row = Engine.get_or_none(Engine.name == context.name)
        if row is not None and row.daemon_id is None:
            first = (Engine.name == context.name) & Engine.daemon_id.is_null()
            Engine.update(daemon_id=found).where(first).execute()
            row = Engine.get_by_id(context.name)  # somebody else may have been first
    if row is None:
        return
    if row.daemon_id != found:
        problem = f"Engine {context.name} reached daemon {found}, but its work is on daemon {row.daemon_id}."
        _say(context.name, problem)
        raise Unavailable(problem)
    if row.problem:
        _say(context.name, None)


def _say(engine: str, problem: str | None) -> None:
    """Show in the row why no work is taken; null when it is again. Said once: each write wakes every watcher."""
    said = Engine.problem.is_null() if problem is None else Engine.problem == problem
    with session():
        if not Engine.select().where((Engine.name == engine) & said).exists():
            Engine.update(problem=problem).where(Engine.name == engine).execute()


def beat(engine: str, now_ms: int) -> None:
    """Say that a pass of the engine lives."""
    with session():
        Engine.update(seen_at_ms=now_ms).where(Engine.name == engine).execute()
