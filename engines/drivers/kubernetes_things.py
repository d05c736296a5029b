"""Own reading what a job's Kubernetes objects say, and keeping what was found out of a job."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, TypeVar

from engines.drivers.kubernetes_manifests import KEEP
from shared.names import LABEL_ENGINE, LABEL_JOB, JobId, Phase

Thing = Mapping[str, Any]
T = TypeVar("T")
KNOWN_JOBS = 10_000


def job_of(thing: Thing) -> JobId:
    """Whose it is."""
    return JobId((thing["metadata"].get("annotations") or {}).get(LABEL_JOB, ""))


def mark(what: str, phase: Phase) -> str:
    """The name of a note about a phase."""
    return f"{what}.{phase.value}"


def notes_of(claim: Thing) -> Mapping[str, str]:
    """What is noted on a job's volume."""
    found: Mapping[str, str] = claim.get("metadata", {}).get("annotations") or {}
    return found


def is_ours(thing: Thing, engine: str) -> bool:
    """Whether it has the engine's label."""
    return bool((thing["metadata"].get("labels") or {}).get(LABEL_ENGINE) == engine)


def is_leaving(thing: Thing) -> bool:
    """Whether it is being deleted and none of our doing keeps it."""
    about = thing["metadata"]
    return bool(about.get("deletionTimestamp")) and KEEP not in (about.get("finalizers") or ())


def others(pod: Thing) -> list[str]:
    """The finalizers that are not ours."""
    return [each for each in pod["metadata"]["finalizers"] if each != KEEP]


def remember(known: dict[JobId, T], job_id: JobId, what: T) -> None:
    """Keep what was found out of a job, and of no more jobs than can be of use; the earliest goes first."""
    while len(known) >= KNOWN_JOBS:
        known.pop(next(iter(known)), None)
    known[job_id] = what


def now_ms() -> int:
    """The wall clock, which pods' times are compared with."""
    return time.time_ns() // 1_000_000
