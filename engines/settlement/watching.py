"""Own settling that goes on: a thread for each chain, so that one out of reach delays no other; woken by commits."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from engines.pulse import Pulse
from engines.settlement.passes import settle_once
from engines.settlement.till import Till
from shared.db.watch import DatabaseWatch
from shared.errors import Unavailable
from shared.logs import logger

log = logger("c2d.settlement")
BREATH_S = 0.2
"Between two passes at the least."
IDLE_S = 2.0
"Between two looks at the chain when nobody wrote anything: a block, or what was lost on its way."
AWAY_S = 3.0
"After the chain was out of reach."
SILENT_S = 300.0
"A chain's thread that has not gone round for so long hangs: no sign of life is given any more."


def keep_settling(
    tills: Sequence[Till], stop: threading.Event, until: float | None, pulse: Pulse | None = None
) -> None:
    """Pass over every till until told to stop, or the time is up (monotonic seconds); passes under way end first."""
    bells = [threading.Event() for _ in tills]
    turns = {till.chain_id: time.monotonic() for till in tills}
    threads = [
        threading.Thread(target=_settle, args=(till, bell, stop, until, turns), name=f"chain {till.chain_id}")
        for till, bell in zip(tills, bells, strict=True)
    ]
    threading.Thread(target=_hear_commits, args=(bells, stop), name="commits", daemon=True).start()
    for thread in threads:
        thread.start()
    while not stop.wait(0.2) and (until is None or time.monotonic() < until):
        if pulse is not None and time.monotonic() - min(turns.values(), default=time.monotonic()) < SILENT_S:
            pulse.beat()
    stop.set()
    for bell in bells:
        bell.set()
    for thread in threads:
        thread.join()


def _settle(
    till: Till, bell: threading.Event, stop: threading.Event, until: float | None, turns: dict[int, float]
) -> None:
    while not stop.is_set() and (until is None or time.monotonic() < until):
        turns[till.chain_id] = time.monotonic()
        pause_s = _pass(till)
        stop.wait(BREATH_S)
        bell.wait(pause_s)
        bell.clear()


def _pass(till: Till) -> float:
    """One pass; how long to wait for the next."""
    try:
        return 0.0 if settle_once(till) else IDLE_S
    except Unavailable as error:
        log.warning("a settlement pass waits", fields={"chain": till.chain_id, "cause": error.for_operators})
        return AWAY_S
    except Exception:
        log.exception("a settlement pass failed", fields={"chain": till.chain_id})
        return AWAY_S


def _hear_commits(bells: Sequence[threading.Event], stop: threading.Event) -> None:
    with DatabaseWatch() as database:
        while not stop.is_set():
            if database.wait(1.0):
                for bell in bells:
                    bell.set()
