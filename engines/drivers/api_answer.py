"""Own what an engine's HTTP API answers: a status, and JSON whose `message` says what went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """A status and the JSON that came with it."""

    status: int
    body: Any

    @property
    def message(self) -> str:
        """What the engine says of a failure, in one line."""
        text = self.body.get("message", "") if isinstance(self.body, dict) else str(self.body or "")
        return " ".join(text.split()) or f"status {self.status}"
