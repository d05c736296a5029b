"""Own a pod's reports of its phase: progress at most once a second, then the one that counts."""

from __future__ import annotations

import threading
import time
from typing import Any

from pods.body import Body
from pods.console import say
from pods.node_client import REPORT, NodeClient
from shared.errors import C2DError

_EVERY_S = 1.0


class Reporter:
    """One phase's reports. Bytes may be added from any thread; reports are sent from one."""

    def __init__(self, client: NodeClient, phase: str) -> None:
        self.bytes_done, self.bytes_total = 0, None if phase == "provision" else 0
        self._client, self._phase = client, phase
        self._lock, self._next_at = threading.Lock(), time.monotonic() + _EVERY_S

    def add(self, size_bytes: int) -> None:
        """Count bytes."""
        with self._lock:
            self.bytes_done += size_bytes

    def progress_if_due(self) -> None:
        """Report progress if the last report is a second old. A lost one is no trouble: the next says more."""
        if time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + _EVERY_S
        try:
            self._send(self._client._replace(retry_s=0.0, silence_s=5.0), "progress", None, None, {})
        except C2DError as error:
            say(f"progress was not reported: {error.detail}")

    def done(self, detail: dict[str, object]) -> None:
        """Report success. Raises: JobError when the node does not take it."""
        self._send(self._client, "done", None, None, detail)

    def failed(self, code: str, reason: str) -> None:
        """Report failure with a reason for the owner. Raises: JobError when the node does not take it."""
        say(f"failed: {reason}")
        self._send(self._client, "failed", code, reason, {})

    def _send(
        self, client: NodeClient, state: str, code: str | None, reason: str | None, detail: dict[str, object]
    ) -> Any:
        report = {
            "phase": self._phase,
            "state": state,
            "code": code,
            "reason": reason,
            "bytesDone": self.bytes_done,
            "bytesTotal": self.bytes_total,
            "detail": detail,
        }
        return client.call(REPORT, Body.of_json(report))
