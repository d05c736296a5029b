"""Own how a job record of the wire is read here, and said in words; pure."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.c2d.failures import JOB_FAILED, SUCCEEDED
from infra.c2d.terminal import span
from shared.lifecycle import WIRE, JobStatus

STAGES = ("queue", "image", "provision", "run", "publish")
STAGE_OF: dict[JobStatus, str] = {
    JobStatus.QUEUED: "queue", JobStatus.QUEUE_EXPIRED: "queue",
    JobStatus.PULLING_IMAGE: "image", JobStatus.IMAGE_PULL_FAILED: "image",
    JobStatus.BUILDING_IMAGE: "image", JobStatus.IMAGE_BUILD_FAILED: "image",
    JobStatus.CONFIGURING_VOLUMES: "provision", JobStatus.VOLUME_FAILED: "provision",
    JobStatus.CONTAINER_FAILED: "provision", JobStatus.PROVISIONING: "provision",
    JobStatus.DATA_FAILED: "provision", JobStatus.ALGORITHM_FAILED: "provision",
    JobStatus.RUNNING: "run", JobStatus.RUN_FAILED: "run", JobStatus.DISK_EXCEEDED: "run",
    JobStatus.PUBLISHING: "publish", JobStatus.PUBLISH_FAILED: "publish", JobStatus.FINISHED: "publish",
}  # fmt: skip
"Which of the five stages a status belongs to."

BY_NUMBER = {number: status for status, (number, _text) in WIRE.items()}
PLAIN = {"run": "running", "queue": "waiting", "image": "fetching image", "provision": "provisioning"}


@dataclass(frozen=True)
class JobView:
    """What the command shows of a job."""

    job_id: str
    index: int
    status: JobStatus
    status_text: str
    reason: str
    detail: str
    exit_code: int | None
    is_finished: bool
    run_after: tuple[str, ...]
    environment: str
    created_at: float
    finished_at: float | None
    run_s: float
    results: tuple[Mapping[str, Any], ...]
    record: Mapping[str, Any] = field(default_factory=dict, repr=False)
    "As the node sent it."

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> JobView:
        """Read a record of wire §18.1."""
        end = record.get("terminationDetails") or {}
        started, stopped = seconds(record.get("algoStartTimestamp")), seconds(record.get("algoStopTimestamp"))
        return cls(
            job_id=str(record["jobId"]).rsplit("-", 1)[-1],
            index=int(record.get("index") or 0),
            status=BY_NUMBER.get(int(record["status"]), JobStatus.QUEUED),
            status_text=str(record.get("statusText") or "").strip(),
            reason=str(end.get("reason") or ""),
            detail=str(end.get("detail") or ""),
            exit_code=end.get("exitCode"),
            is_finished=record.get("dateFinished") is not None,
            run_after=tuple(str(job).rsplit("-", 1)[-1] for job in record.get("runAfter") or ()),
            environment=str(record.get("environment") or ""),
            created_at=seconds(record.get("dateCreated")),
            finished_at=seconds(record["dateFinished"]) if record.get("dateFinished") else None,
            run_s=max(0.0, (stopped or time.time()) - started) if started else 0.0,
            results=tuple(record.get("results") or ()),
            record=record,
        )

    @property
    def has_succeeded(self) -> bool:
        """Finished by itself, with exit code 0."""
        return self.is_finished and self.status is JobStatus.FINISHED and self.exit_code == 0 and not self.reason

    @property
    def stage(self) -> str:
        """Which of the five stages it is in."""
        return STAGE_OF[self.status]

    def outcome(self) -> str:
        """One or two words for a table."""
        if not self.is_finished:
            return PLAIN.get(self.stage, "publishing")
        if self.has_succeeded:
            return "succeeded"
        return "stopped" if self.reason == "stopped" else f"failed ({self.cause()})"

    def cause(self) -> str:
        """Why it did not succeed."""
        if self.reason in ("", "error") and self.exit_code:
            return f"exit code {self.exit_code}"
        return self.reason or self.status_text.lower()

    def took(self) -> str:
        """From being handed in to the end, or until now."""
        return span(max(0.0, (self.finished_at or time.time()) - self.created_at))


def seconds(text: object) -> float:
    """Read the wire's seconds, which are text; "0" and null are no time."""
    return float(str(text)) if text not in (None, "") else 0.0


def exit_code_of(jobs: Sequence[JobView]) -> int:
    """0 unless a finished job failed."""
    return JOB_FAILED if any(job.is_finished and not job.has_succeeded for job in jobs) else SUCCEEDED


def rows(jobs: Sequence[JobView]) -> list[list[str]]:
    """A table's rows, in the order of the workflow."""
    indexes = {job.job_id: str(job.index) for job in jobs}
    return [
        [
            str(job.index),
            job.job_id[:12],
            ", ".join(sorted(indexes.get(earlier, earlier) for earlier in job.run_after)) or "-",
            job.outcome(),
            span(job.run_s) if job.run_s else "-",
            job.took(),
        ]
        for job in sorted(jobs, key=lambda job: (job.created_at, job.index))
    ]


HEADS = ("job", "id", "after", "status", "ran", "since start")
