"""Own how many requests one address may make; per process, in memory, nothing to share."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shared.errors import TooManyRequests

WINDOW_S = 60
MOST_ADDRESSES = 100_000


class RateLimit:
    """Count requests per address and minute; loopback is never counted."""

    def __init__(self, per_minute: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._window = 0
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def check(self, address: str) -> None:
        """Count one request. Raises: TooManyRequests with `retry_after_s`."""
        if self._per_minute is None or is_loopback(address):
            return
        now = self._clock()
        with self._lock:
            self._turn(int(now // WINDOW_S))
            count = self._counts.get(address, 0) + 1
            self._counts[address] = count
        if count > self._per_minute:
            wait = int(WINDOW_S - now % WINDOW_S) + 1
            raise TooManyRequests(f"Rate limit exceeded. Try again in {wait} seconds.", retry_after_s=wait)

    def _turn(self, window: int) -> None:
        if window != self._window or len(self._counts) > MOST_ADDRESSES:
            self._window = window
            self._counts.clear()


def is_loopback(address: str) -> bool:
    """Whether the address is this machine's own; an empty one is a unix socket's."""
    if not address:
        return True
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_loopback)


class OneEach:
    """Let each address do one costly thing at a time."""

    def __init__(self) -> None:
        self._busy: set[str] = set()
        self._lock = threading.Lock()

    @contextmanager
    def turn(self, address: str) -> Iterator[None]:
        """Hold the address's one turn. Raises: TooManyRequests."""
        with self._lock:
            if address in self._busy:
                raise TooManyRequests("One such call at a time: the last one is not done yet.", retry_after_s=2)
            self._busy.add(address)
        try:
            yield
        finally:
            with self._lock:
                self._busy.discard(address)
