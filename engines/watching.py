"""Own a pass that goes on: woken by commits and by the engine, until it is told to end or its time is up."""

from __future__ import annotations

import os
import threading
import time

from engines.context import Context
from engines.crew import Crew
from engines.housekeeping import keep_house, quick_duties, slow_duties
from engines.pulse import Pulse
from engines.reconcile import reconcile_once
from shared.db import jobs
from shared.db.watch import DatabaseWatch
from shared.errors import Unavailable
from shared.logs import logger
from shared.names import JobId

log = logger("c2d.engine")
IDLE_S = 1.0
"The safety net: a look even if nobody woke us."
BREATH_S = 0.02
"Between two passes at the least, so that a job somebody else holds does not make us spin."

SAME_TROUBLE_S = 5.0
"Trouble that comes back sooner is told once."


class Bell:
    """What ends a wait: a commit, an engine's event, a signal."""

    def __init__(self) -> None:
        self._rung = threading.Event()
        self._lock = threading.Lock()
        self._woken: set[JobId] = set()
        self.is_stopped = False

    def ring(self, job_id: JobId | None = None) -> None:
        """Wake the loop; for a job that has news."""
        with self._lock:
            if job_id is not None:
                self._woken.add(job_id)
        self._rung.set()

    def stop(self, *_: object) -> None:
        """Wake the loop for the last time."""
        self.is_stopped = True
        self._rung.set()

    def has_ended(self, timeout_s: float) -> bool:
        """Wait for the last ring, at most so long."""
        self._rung.wait(timeout_s)
        return self.is_stopped

    def wait(self, timeout_s: float) -> set[JobId]:
        """Wait for a ring; whose news there are."""
        self._rung.wait(timeout_s)
        self._rung.clear()
        with self._lock:
            woken, self._woken = self._woken, set()
        return woken


def watch(context: Context, bell: Bell, until: float | None = None, pulse: Pulse | None = None) -> None:
    """Pass whenever something happened, until told to stop or the time is up.

    When its time is up, what is under way is finished first; told to stop, also then, it is given back.
    """
    crew = Crew()
    _start_listening(context, bell)
    timeout_s = 0.0
    while not bell.is_stopped and (until is None or time.monotonic() < until):
        try:
            timeout_s = _pass(context, crew, bell, timeout_s)
        except Unavailable as error:
            log.warning("a pass waits", fields={"engine": context.name, "cause": error.for_operators})
            timeout_s = 2.0
        if pulse is not None:
            pulse.beat()
        if until is not None:
            timeout_s = max(0.0, min(timeout_s, until - time.monotonic()))
    crew.close(lambda: bell.is_stopped)
    if bell.is_stopped:
        crew.let_go()
        os._exit(0)  # threads deep in a pull or a stop are not waited for: rows and the outside tell the next pass all


def _pass(context: Context, crew: Crew, bell: Bell, timeout_s: float) -> float:
    """Wait, then pass; how long to wait for the next."""
    for job_id in bell.wait(timeout_s):
        jobs.wake(job_id, context.now_ms())
    keep_house(context, quick_duties(context))
    report = reconcile_once(context, crew, is_waiting=False)
    if report.leased or report.is_behind:
        return BREATH_S
    due_ms = jobs.next_due_ms(context.name, context.now_ms())
    return IDLE_S if due_ms is None else max(BREATH_S, min(IDLE_S, (due_ms - context.now_ms()) / 1000))


def _start_listening(context: Context, bell: Bell) -> None:
    """Two threads that only ring: one hears commits, one the engine. A third keeps house: that may take long."""
    threading.Thread(target=_hear_commits, args=(bell,), name="commits", daemon=True).start()
    threading.Thread(target=_hear_engine, args=(context, bell), name="engine", daemon=True).start()
    threading.Thread(target=_keep_house, args=(context, bell), name="house", daemon=True).start()


def _keep_house(context: Context, bell: Bell) -> None:
    while not bell.is_stopped:
        try:
            keep_house(context, slow_duties(context))
        except Unavailable as error:
            log.warning("the house waits", fields={"engine": context.name, "cause": error.detail})
        time.sleep(IDLE_S)


def _hear_commits(bell: Bell) -> None:
    with DatabaseWatch() as database:
        while not bell.is_stopped:
            if database.wait(IDLE_S):
                bell.ring()


def _hear_engine(context: Context, bell: Bell) -> None:
    def is_stopped() -> bool:
        return bell.is_stopped

    told = ""
    while not bell.is_stopped:
        began_s = time.monotonic()
        try:
            context.driver.watch(bell.ring, is_stopped)
        except Unavailable as error:
            if error.detail != told or time.monotonic() - began_s > SAME_TROUBLE_S:
                log.warning("the engine's events break off", fields={"engine": context.name, "cause": error.detail})
            told = error.detail
            context.daemon_check.forget()  # who answers next may be another daemon
            time.sleep(1)
