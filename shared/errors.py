"""Own the one tree of errors; `web.py` alone turns them into problem JSON.

C2DError
├── CallerError            the caller can fix it
│   ├── InvalidRequest     400  malformed JSON, schema, limits, cycles
│   ├── Unauthorized       401  signature, nonce, token
│   ├── Forbidden          403  known, but not allowed
│   ├── NotFound           404  no such job, result, environment
│   ├── NotAvailable       404  not configured or not built yet
│   ├── MethodNotAllowed   405
│   ├── Conflict           409  right call, wrong moment
│   ├── PayloadTooLarge    413
│   ├── RangeNotSatisfiable 416
│   └── TooManyRequests    429
├── Unavailable            503  try again: database, storage, engine out of reach
├── Misdirected            421  try again: another process of the node serves it; nothing was done
├── JobError                    ends the job, with a reason for its owner
└── SettingsError               a wrong setting stops the start
"""

from __future__ import annotations

from typing import ClassVar


class C2DError(Exception):
    """Carry one sentence a person can act on, and the facts behind it."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, **facts: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts

    @property
    def for_operators(self) -> str:
        """The sentence, with what a part of the node said of itself: for logs and shells, never for a caller."""
        return f"{self.detail} ({self.facts['cause']})" if self.facts.get("cause") else self.detail


class CallerError(C2DError):
    """The caller can fix it."""

    status, code, title = 400, "invalid_request", "Invalid request"


class InvalidRequest(CallerError):
    """What was sent cannot be understood or granted; `path` among the facts names the field."""


class Unauthorized(CallerError):
    """Nobody knows who is calling."""

    status, code, title = 401, "unauthorized", "Not authenticated"


class Forbidden(CallerError):
    """The caller is known and not allowed."""

    status, code, title = 403, "forbidden", "Not allowed"


class NotFound(CallerError):
    """There is no such thing, or not for this caller."""

    status, code, title = 404, "not_found", "Not found"


class NotAvailable(CallerError):
    """This node does not offer it: not configured or not built."""

    status, code, title = 404, "not_available", "Not available on this node"


class MethodNotAllowed(CallerError):
    """The route exists, the method does not."""

    status, code, title = 405, "method_not_allowed", "Method not allowed"


class Conflict(CallerError):
    """The right call at the wrong moment."""

    status, code, title = 409, "conflict", "Not in this state"


class PayloadTooLarge(CallerError):
    """More bytes than this call takes."""

    status, code, title = 413, "payload_too_large", "Too large"


class RangeNotSatisfiable(CallerError):
    """The range asked for lies outside the file; `size_bytes` among the facts."""

    status, code, title = 416, "range_not_satisfiable", "Range not satisfiable"


class TooManyRequests(CallerError):
    """Slow down; `retry_after_s` among the facts."""

    status, code, title = 429, "too_many_requests", "Too many requests"


class Unavailable(C2DError):
    """Out of reach now; the same call may succeed later. "Could not look" is never "not there"."""

    status, code, title = 503, "unavailable", "Temporarily unavailable"


class Misdirected(C2DError):
    """The node has this route, and another of its processes serves it: whoever sent it here may send it again at once.

    Not 404, which clients take for "no such workflow"; not 503, after which something may have been done.
    """

    status, code, title = 421, "misdirected", "Served by another process"


class JobError(C2DError):
    """End the job; `detail` is the reason its owner reads."""

    code = "job_failed"
    title = "The job cannot go on"


class SettingsError(C2DError):
    """A setting is wrong: its name, what was wrong, and an example."""

    code = "settings"
    title = "Wrong setting"


class DigestMismatch(CallerError):
    """The bytes that arrived are not those the digest announced."""

    status, code, title = 400, "digest_mismatch", "Digest mismatch"
