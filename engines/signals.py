"""Own being told to end: SIGTERM and SIGINT, heard by a thread of its own."""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Callable


def when_told_to_end(stop: Callable[[], object]) -> None:
    """Call `stop` once somebody asks the process to end.

    Not from the signal's handler: that may interrupt the main thread just where it holds the lock that `stop` needs,
    and the process would never end.
    """
    told: queue.SimpleQueue[int] = queue.SimpleQueue()  # whose `put` may interrupt itself

    def wait() -> None:
        told.get()
        stop()

    threading.Thread(target=wait, name="signals", daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: told.put(number))
