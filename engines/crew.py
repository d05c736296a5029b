"""Own the threads that carry jobs side by side, and the heartbeat that keeps their leases while they do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from engines.context import Context
from shared.db import leases
from shared.errors import Unavailable
from shared.logs import logger
from shared.names import JobId

log = logger("c2d.engine")


class _Held(NamedTuple):
    """One job on its way through a thread, or in line for one."""

    token: str
    context: Context
    is_slow: bool


class Crew:
    """The threads that carry jobs, and the heartbeat that keeps their leases."""

    def __init__(self, workers: int = 16, slow_workers: int = 8, beat_s: float = 8) -> None:
        self._fast = ThreadPoolExecutor(workers, "carry")
        self._slow = ThreadPoolExecutor(slow_workers, "carry-image")
        self._held: dict[JobId, _Held] = {}
        self._lock = threading.Lock()
        self._beat_s = beat_s
        self._stopped = threading.Event()
        threading.Thread(target=self._beat, name="leases", daemon=True).start()

    def room(self, most: int, *, is_slow: bool) -> int:
        """How many more jobs of one kind may be taken on, so that no more than `most` have or await a thread."""
        with self._lock:
            return max(0, most - sum(each.is_slow == is_slow for each in self._held.values()))

    def carry(
        self, context: Context, job_id: JobId, token: str, is_slow: bool, carry: Callable[[], None]
    ) -> Future[None]:
        """Run `carry` for a job whose lease is kept while it runs."""
        with self._lock:
            self._held[job_id] = _Held(token, context, is_slow)

        def run() -> None:
            try:
                carry()
            finally:
                with self._lock:
                    held = self._held.get(job_id)
                    if held is not None and held.token == token:
                        del self._held[job_id]

        return (self._slow if is_slow else self._fast).submit(run)

    def close(self, has_ended: Callable[[], bool] = lambda: False) -> None:
        """Take nothing new, and wait for what is being carried; not once `has_ended`."""
        self._fast.shutdown(wait=False)
        self._slow.shutdown(wait=False)
        while self._held and not has_ended():
            time.sleep(0.02)
        self._stopped.set()

    def let_go(self, patience_s: float = 0.5) -> None:
        """Wait a little for what is being carried, then give the rest back for another process to take up at once."""
        self._stopped.set()
        self._fast.shutdown(wait=False, cancel_futures=True)
        self._slow.shutdown(wait=False, cancel_futures=True)
        until = time.monotonic() + patience_s
        while self._held and time.monotonic() < until:
            time.sleep(0.02)
        for job_id, each in list(self._held.items()):
            leases.release(job_id, each.token, each.context.now_ms())

    def _beat(self) -> None:
        while not self._stopped.wait(self._beat_s):
            with self._lock:
                held = list(self._held.items())
            for job_id, each in held:
                try:
                    leases.renew([job_id], each.token, each.context.now_ms() + each.context.lease_ms)
                except Unavailable as error:
                    log.warning("a lease could not be renewed", fields={"job_id": job_id, "cause": error.detail})
