"""Own the frozen things a pass may do for a job; decided in `decide.py`, carried out in `act.py`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from shared.lifecycle import JobStatus, Reason
from shared.names import Phase


@dataclass(frozen=True)
class EnsureImage:
    """Have the algorithm's image at hand: pulled, or built."""


@dataclass(frozen=True)
class EnsureVolume:
    """Have the job's volume."""


@dataclass(frozen=True)
class Create:
    """Have the phase's container made, not started."""

    phase: Phase
    is_anew: bool = False
    "In the place of a pod's that has ended."


@dataclass(frozen=True)
class Start:
    """Have the container that was made started, once; one that is not there is not made."""

    phase: Phase


@dataclass(frozen=True)
class Stop:
    """End the phase's container: asked first, killed after the grace."""

    phase: Phase
    grace_s: int


@dataclass(frozen=True)
class ShipLog:
    """Copy what is new of the running container's log to where handlers stream it from."""

    phase: Phase


@dataclass(frozen=True)
class SaveLog:
    """Make the phase's whole log a result."""

    phase: Phase


@dataclass(frozen=True)
class Remove:
    """Leave nothing of the job outside."""


@dataclass(frozen=True)
class Record:
    """Write what is known; never the status."""

    changes: dict[str, Any] = field(hash=False)
    is_told: bool = False
    "Whether the owner is told the detail: why the job waits, or, with null, that it waits no more."


@dataclass(frozen=True)
class Move:
    """Change the status; always last."""

    to: JobStatus
    reason: Reason | None = None
    detail: str | None = None


@dataclass(frozen=True)
class Look:
    """Look again at this time, or when something happens."""

    at_ms: int


Action = EnsureImage | EnsureVolume | Create | Start | Stop | ShipLog | SaveLog | Remove | Record | Move | Look
