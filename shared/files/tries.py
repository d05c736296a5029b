"""Own how often and how long a fetch is tried before it is given up."""

from __future__ import annotations

import time

from shared.errors import JobError
from shared.files.base import FetchRules

_LONGEST_WAIT_S = 10.0


class Tries:
    """The tries of one file: failures in a row are counted, the time allowed is for all of them."""

    def __init__(self, rules: FetchRules) -> None:
        self.deadline = time.monotonic() + rules.total_s if rules.total_s else None
        self._rules, self._failures = rules, 0

    def progressed(self) -> None:
        """Bytes came: what failed before no longer counts."""
        self._failures = 0

    def failed(self, what: str, error: Exception | None, asked_s: float = 0.0) -> None:
        """Wait before the next try, at least as long as the server asked. Raises: JobError if there is none."""
        self._refuse_if_late()
        self._failures += 1
        if self._failures >= self._rules.tries:
            raise JobError(f"{what} ({self._failures} tries in a row)") from error
        pause_s = max(asked_s, self._rules.backoff_s * 2 ** (self._failures - 1))
        time.sleep(min(pause_s, _LONGEST_WAIT_S))
        self._refuse_if_late()

    def _refuse_if_late(self) -> None:
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise JobError(f"the file was not read within {self._rules.total_s:g} s")
