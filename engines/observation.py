"""Own what a driver reports of one job's outside: facts only, no opinion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from shared.names import Phase


class ContainerState(StrEnum):
    """Made but not started; running; ended."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


@dataclass(frozen=True)
class ContainerSeen:
    """One phase's container as the engine tells it."""

    state: ContainerState
    exit_code: int | None = None
    oom_killed: bool = False
    was_killed: bool = False
    "Ended by somebody else (a signal, the engine's restart), not by itself. Out of memory does not count."
    lost: str | None = None
    "Who or what ended it, or is about to: the start of a sentence for the owner. Null where the engine cannot tell."
    started_at_ms: int | None = None
    finished_at_ms: int | None = None
    disk_exceeded: bool = False
    "Ended by the engine for having written more than it may."
    waiting: str | None = None
    "Why it does not start yet though it was told to, or is not heard of: a sentence for the owner. Null: all is well."
    lacks_parts: bool = False
    "It waits for something that was made with it and is gone: making the phase once more brings that back."
    start_error: str | None = None
    "Why the engine could not start it (entrypoint not found, no permission): one clear line."


@dataclass(frozen=True)
class Seen:
    """All that exists outside for one job."""

    has_volume: bool = False
    containers: Mapping[Phase, ContainerSeen] = field(default_factory=dict)
    disk_used_bytes: int | None = None
    "Bytes on the job's volume; null where the engine cannot tell (or the kernel enforces the quota)."

    def is_running(self, phase: Phase) -> bool:
        """Whether the phase's container runs now."""
        seen = self.containers.get(phase)
        return seen is not None and seen.state is ContainerState.RUNNING

    def exited(self, phase: Phase) -> ContainerSeen | None:
        """The phase's container if it has ended; else null."""
        seen = self.containers.get(phase)
        return seen if seen is not None and seen.state is ContainerState.EXITED else None
