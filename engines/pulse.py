"""Own a pass's sign of life: a file that is touched at each turn of its loop, for whoever probes the process."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

EVERY_S = 5.0


class Pulse:
    """Touch a file now and then; without one do nothing.

    It says that the loop goes round, not that engine, database or chain answer: a process is not ended for those.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._told_s = float("-inf")

    def beat(self) -> None:
        """The loop has gone round. Raises: OSError where the file cannot be written."""
        if self._path is not None and time.monotonic() - self._told_s >= EVERY_S:
            self._path.touch()
            self._told_s = time.monotonic()


def add_pulse(parser: argparse.ArgumentParser) -> None:
    """Declare the option of commands that watch."""
    parser.add_argument("--pulse", type=Path, metavar="FILE", help="touch this file at each turn, for a probe")
