"""Own the duties beside the jobs: each done by one process at a time, when its time has come."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from engines.context import Context
from engines.engine_row import beat, check_daemon
from engines.orphans import expire_results, remove_orphans, sweep_storage
from shared.db import pod_nonces, tokens
from shared.db.connection import session
from shared.db.duties import due_duties, end_duty, take_duty
from shared.errors import JobError, Unavailable
from shared.logs import logger
from shared.names import new_token

log = logger("c2d.engine")

MINUTE_MS = 60_000
LEASE_MS = 10 * MINUTE_MS

Duty = Callable[[Context], object]


def quick_duties(context: Context) -> dict[str, tuple[int, Duty]]:
    """Name → (every so many milliseconds, what to do). Names with the engine's are per engine, others the node's."""
    return {f"beat:{context.name}": (5_000, _beat)}


def slow_duties(context: Context) -> dict[str, tuple[int, Duty]]:
    """The same of what may take minutes, where there is much to remove or the store is slow."""
    return {
        f"orphans:{context.name}": (MINUTE_MS, remove_orphans),
        f"offer:{context.name}": (MINUTE_MS, _follow_the_machines),
        f"surroundings:{context.name}": (30_000, _keep_surroundings),
        "expiry": (MINUTE_MS, expire_results),
        "storage": (60 * MINUTE_MS, sweep_storage),
        "tokens": (60 * MINUTE_MS, _sweep_tokens),
    }


def keep_house(context: Context, chosen: Mapping[str, tuple[int, Duty]] | None = None) -> list[str]:
    """Do what is due, of the chosen duties or of all; one that fails is logged and tried again at its next time.

    Returns what was done. Raises: Unavailable.
    """
    done = []
    now_ms = context.now_ms()
    wanted = quick_duties(context) | slow_duties(context) if chosen is None else chosen
    for name in due_duties(wanted, now_ms):
        every_ms, duty = wanted[name]
        token = new_token()
        if not take_duty(name, token, now_ms, LEASE_MS):
            continue
        try:
            duty(context)
            done.append(name)
        except (Unavailable, JobError) as error:
            log.warning("a duty waits", fields={"duty": name, "cause": error.detail})
        except Exception:
            log.exception("a duty failed", fields={"duty": name, "engine": context.name})
        end_duty(name, token, now_ms + every_ms)
    return done


def _beat(context: Context) -> None:
    """Say that we live, and whether the engine does: an idle one must not go on showing a problem that is over."""
    beat(context.name, context.now_ms())
    check_daemon(context)


def _follow_the_machines(context: Context) -> None:
    """Offer what there is now."""
    if context.offering is not None and context.offering.write():
        log.info("the engine offers what its machines have now", fields={"engine": context.name})


def _keep_surroundings(context: Context) -> None:
    """Restore what keeps running algorithms in."""
    context.driver.ensure_surroundings()


def _sweep_tokens(context: Context) -> int:
    with session():
        return tokens.sweep(context.now_ms()) + pod_nonces.sweep()
