"""Own how the command fails: one sentence, what to do, and an honest exit code.

0 succeeded · 1 a job, or a check of `doctor`, failed · 2 wrong usage, file, setting or request · 3 node out of reach
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SUCCEEDED, JOB_FAILED, WRONG, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 130


class Failure(Exception):
    """Something the person at the keyboard can act on."""

    exit_code = WRONG

    def __init__(self, sentence: str, hint: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint

    def document(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {"error": self.sentence, "hint": self.hint, "exitCode": self.exit_code}


class Unreachable(Failure):
    """The node did not answer, or said that it cannot now."""

    exit_code = UNREACHABLE


class Refused(Failure):
    """The node answered with an error; its own sentence is shown, with the field it is about."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        path = str(body.get("path") or "")
        sentence = str(body.get("error") or body.get("detail") or f"the node answered {status}")
        super().__init__(f"{sentence} (at {path})" if path and path not in sentence else sentence)
        self.status = status
        self.code = str(body.get("code") or "")
        self.body = dict(body)

    def document(self) -> dict[str, Any]:
        """What `--json` prints: the node's own words."""
        return {**super().document(), **self.body}
