"""Own what a decision knows of a job: a frozen picture of its row."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.db.tables import Job
from shared.lifecycle import JobStatus, Reason
from shared.names import JobId, Phase

GIB = 1 << 30


@dataclass(frozen=True)
class JobView:
    """A job as `decide` sees it; nothing here is secret."""

    job_id: JobId
    status: JobStatus
    ending: JobStatus | None = None
    reason: Reason | None = None
    detail: str | None = None
    stop_requested: bool = False
    queue_ends_at_ms: int | None = None
    max_duration_s: int = 60
    disk_bytes: int = GIB
    started_at_ms: int | None = None
    stopped_at_ms: int | None = None
    exit_code: int | None = None
    oom_killed: bool = False
    provision_starts: int = 0
    publish_starts: int = 0
    provision_report: Mapping[str, Any] | None = None
    publish_report: Mapping[str, Any] | None = None
    heard_at_ms: int | None = None
    "When the running pod last told its progress."
    is_starting_again: bool = False
    "A pod is being started anew and has said nothing yet: an ended container is the old one."
    saved: frozenset[str] = field(default_factory=frozenset)
    "File names of the results there are."

    @property
    def deadline_ms(self) -> int | None:
        """When the algorithm's time is up; null before it started."""
        return None if self.started_at_ms is None else self.started_at_ms + self.max_duration_s * 1000

    def report(self, phase: Phase) -> Mapping[str, Any] | None:
        """What the phase's pod reported at its end, if it did."""
        return self.provision_report if phase is Phase.PROVISION else self.publish_report

    def starts(self, phase: Phase) -> int:
        """How often the phase's pod was started."""
        return self.provision_starts if phase is Phase.PROVISION else self.publish_starts


def from_row(job: Job, saved: Collection[str], queue_ends_at_ms: int | None = None) -> JobView:
    """Read a row; `saved` are the file names of its results."""
    return JobView(
        job_id=JobId(job.job_id),
        status=JobStatus(job.status),
        ending=JobStatus(job.ending) if job.ending else None,
        reason=Reason(job.reason) if job.reason else None,
        detail=job.reason_detail,
        stop_requested=job.stop_requested,
        queue_ends_at_ms=queue_ends_at_ms,
        max_duration_s=job.max_duration_s,
        disk_bytes=disk_bytes(job.resources or []),
        started_at_ms=job.started_at_ms,
        stopped_at_ms=job.stopped_at_ms,
        exit_code=job.exit_code,
        oom_killed=bool(job.oom_killed),
        provision_starts=job.provision_starts,
        publish_starts=job.publish_starts,
        provision_report=job.provision_report,
        publish_report=job.publish_report,
        heard_at_ms=(job.progress or {}).get("at_ms"),
        is_starting_again=bool((job.progress or {}).get("again")),
        saved=frozenset(saved),
    )


def disk_bytes(resources: list[Mapping[str, Any]]) -> int:
    """The disk granted, in bytes; a job that was granted none still has room for its code and its logs."""
    granted = next((int(entry["amount"] * GIB) for entry in resources if entry["id"] == "disk"), 0)
    return granted or GIB
