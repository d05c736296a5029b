"""Own long replies: how many may be open at once, and one thread that wakes all of them when rows change."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from shared.db.watch import DatabaseWatch
from shared.errors import Unavailable

RETRY_AFTER_S = 5
COALESCE_S = 0.1
"After a wake-up the next one waits this long, so that a busy database does not wake every stream at each commit."


class StreamSlots:
    """At most so many streams at once; the other threads stay free for short requests."""

    def __init__(self, most: int) -> None:
        self.most = max(1, most)
        self._free = threading.Semaphore(self.most)

    def check(self) -> None:
        """Refuse now what would be refused later, before anything is spent on it. Raises: Unavailable."""
        with self.slot():
            pass

    def take(self) -> None:
        """Take a slot; who takes gives back. Raises: Unavailable with `retry_after_s` where none is free."""
        if not self._free.acquire(blocking=False):
            raise Unavailable(
                f"All {self.most} streams of this process are in use; try again shortly.", retry_after_s=RETRY_AFTER_S
            )

    def give_back(self) -> None:
        """Return a slot."""
        self._free.release()

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold a slot for the length of a block."""
        self.take()
        try:
            yield
        finally:
            self.give_back()


class SlotStream:
    """Chunks that hold a slot until they are closed, even if nobody ever asked for the first."""

    def __init__(self, chunks: Iterable[bytes], slots: StreamSlots) -> None:
        slots.take()
        self._chunks = iter(chunks)
        self._slots: StreamSlots | None = slots

    def __iter__(self) -> SlotStream:
        return self

    def __next__(self) -> bytes:
        return next(self._chunks)

    def close(self) -> None:
        """End the chunks and give the slot back, once."""
        slots, self._slots = self._slots, None
        if slots is None:
            return
        try:
            close = getattr(self._chunks, "close", None)
            if close is not None:
                close()
        finally:
            slots.give_back()


class Wakeups:
    """One thread per process watches the database; every stream waits on it instead of polling by itself."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0
        self._thread: threading.Thread | None = None

    def count(self) -> int:
        """How often rows have changed so far; read it before looking, then `wait` with it."""
        self._ensure_watching()
        with self._changed:
            return self._count

    def wait(self, seen: int, timeout_s: float) -> bool:
        """Wait until rows change after `seen`; false when the time was up first."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count != seen, timeout_s)

    def _ensure_watching(self) -> None:
        """Start the thread with the first stream: never on import, never before a fork."""
        with self._changed:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._watch, name="wakeups", daemon=True)
                self._thread.start()

    def _watch(self) -> None:
        watch = DatabaseWatch()
        while True:
            if watch.wait(timeout_s=1.0):
                with self._changed:
                    self._count += 1
                    self._changed.notify_all()
                time.sleep(COALESCE_S)
