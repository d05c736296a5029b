"""Own what a pod prints: its standard output becomes configuration.log or publish.log, which the consumer reads."""

from __future__ import annotations

import time

_STARTED = time.monotonic()


def say(line: str) -> None:
    """Print one line with the seconds since the start. Never a URL, a key or a header."""
    printable = "".join(char if char.isprintable() else "?" for char in line)
    print(f"{time.monotonic() - _STARTED:9.3f} s  {printable}", flush=True)
