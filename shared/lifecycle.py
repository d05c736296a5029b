"""Own a job's statuses and the table of moves between them; pure.

Inside the code statuses have names; the wire's numbers and texts (wire contract §18.2) appear in views only.
"""

from __future__ import annotations

from enum import StrEnum

from shared.errors import Conflict


class JobStatus(StrEnum):
    """Where a job stands. Money has its own column and its own moves."""

    QUEUED = "queued"
    QUEUE_EXPIRED = "queue_expired"
    PULLING_IMAGE = "pulling_image"
    IMAGE_PULL_FAILED = "image_pull_failed"
    BUILDING_IMAGE = "building_image"
    IMAGE_BUILD_FAILED = "image_build_failed"
    CONFIGURING_VOLUMES = "configuring_volumes"
    VOLUME_FAILED = "volume_failed"
    CONTAINER_FAILED = "container_failed"
    PROVISIONING = "provisioning"
    DATA_FAILED = "data_failed"
    ALGORITHM_FAILED = "algorithm_failed"
    RUNNING = "running"
    RUN_FAILED = "run_failed"
    DISK_EXCEEDED = "disk_exceeded"
    PUBLISHING = "publishing"
    PUBLISH_FAILED = "publish_failed"
    FINISHED = "finished"


class Reason(StrEnum):
    """Why a job ended otherwise than by itself; shown in `terminationDetails.reason`."""

    TIMEOUT = "timeout"
    STOPPED = "stopped"
    DEPENDENCY = "dependency"
    LOST = "lost"
    OUT_OF_MEMORY = "oom"
    DISK_QUOTA = "disk"
    QUEUE = "queue"
    PAYMENT = "payment"
    ERROR = "error"


STOPPED_IN_LINE = "Stopped by its owner while it waited."
"The detail of a job that was stopped before it left the queue."

WIRE: dict[JobStatus, tuple[int, str]] = {
    JobStatus.QUEUED: (1, "Job queued"),
    JobStatus.QUEUE_EXPIRED: (2, "Job expired in queue"),
    JobStatus.PULLING_IMAGE: (10, "Pulling algorithm image"),
    JobStatus.IMAGE_PULL_FAILED: (11, "Pulling algorithm image failed"),
    JobStatus.BUILDING_IMAGE: (12, "Building algorithm image"),
    JobStatus.IMAGE_BUILD_FAILED: (13, "Building algorithm image failed"),
    JobStatus.CONFIGURING_VOLUMES: (20, "Configuring volumes"),
    JobStatus.VOLUME_FAILED: (21, "Volume creation failed"),
    JobStatus.CONTAINER_FAILED: (22, "Container creation failed"),
    JobStatus.PROVISIONING: (30, "Provisioning data"),
    JobStatus.DATA_FAILED: (31, "Data provisioning failed"),
    JobStatus.ALGORITHM_FAILED: (32, "Algorithm provisioning failed"),
    JobStatus.RUNNING: (40, "Running algorithm "),
    JobStatus.RUN_FAILED: (41, "Failed to run algorithm"),
    JobStatus.DISK_EXCEEDED: (42, "Error: disk quota exceeded"),
    JobStatus.PUBLISHING: (60, "Publishing results"),
    JobStatus.PUBLISH_FAILED: (62, "Failed to upload results to storage"),
    JobStatus.FINISHED: (70, "Job finished"),
}
"The wire's number and exact text of each status (`Running algorithm ` keeps its trailing blank)."

MOVES: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset(
        {
            JobStatus.PULLING_IMAGE,
            JobStatus.BUILDING_IMAGE,
            JobStatus.QUEUE_EXPIRED,
            JobStatus.DATA_FAILED,  # a job it runs after failed
            JobStatus.FINISHED,  # stopped
        }
    ),
    JobStatus.PULLING_IMAGE: frozenset(
        {JobStatus.CONFIGURING_VOLUMES, JobStatus.IMAGE_PULL_FAILED, JobStatus.FINISHED}
    ),
    JobStatus.BUILDING_IMAGE: frozenset(
        {JobStatus.CONFIGURING_VOLUMES, JobStatus.IMAGE_BUILD_FAILED, JobStatus.FINISHED}
    ),
    JobStatus.CONFIGURING_VOLUMES: frozenset(
        {JobStatus.PROVISIONING, JobStatus.VOLUME_FAILED, JobStatus.CONTAINER_FAILED, JobStatus.FINISHED}
    ),
    JobStatus.PROVISIONING: frozenset(
        {
            JobStatus.RUNNING,
            JobStatus.DATA_FAILED,
            JobStatus.ALGORITHM_FAILED,
            JobStatus.CONTAINER_FAILED,
            JobStatus.RUN_FAILED,  # the algorithm's container cannot start
            JobStatus.DISK_EXCEEDED,
            JobStatus.FINISHED,
        }
    ),
    JobStatus.RUNNING: frozenset({JobStatus.PUBLISHING, JobStatus.RUN_FAILED}),
    JobStatus.PUBLISHING: frozenset(
        {JobStatus.FINISHED, JobStatus.RUN_FAILED, JobStatus.DISK_EXCEEDED, JobStatus.PUBLISH_FAILED}
    ),
}
"From each unfinished status, the statuses it may move to."

UNFINISHED: frozenset[JobStatus] = frozenset(MOVES)
FINISHED: frozenset[JobStatus] = frozenset(JobStatus) - UNFINISHED
"Succeeded, failed or cancelled: nothing moves any more."


def check_move(was: JobStatus, to: JobStatus) -> None:
    """Refuse a move that the table does not have. Raises: Conflict."""
    if to not in MOVES.get(was, frozenset()):
        raise Conflict(f"A job cannot move from {was} to {to}.", was=was, to=to)


def is_finished(status: JobStatus) -> bool:
    """Whether nothing moves any more."""
    return status in FINISHED


def has_succeeded(status: JobStatus, exit_code: int | None, reason: str | None) -> bool:
    """70, exit 0 and no reason: the only outcome after which a dependant starts."""
    return status is JobStatus.FINISHED and exit_code == 0 and reason is None


def ending(exit_code: int | None, oom_killed: bool, reason: Reason | None) -> JobStatus:
    """The final status of a job whose algorithm has ended and whose results are published (design §4)."""
    if reason in (Reason.TIMEOUT, Reason.STOPPED):
        return JobStatus.FINISHED
    if reason is Reason.DISK_QUOTA:
        return JobStatus.DISK_EXCEEDED
    if reason is Reason.LOST or oom_killed or exit_code != 0:
        return JobStatus.RUN_FAILED
    return JobStatus.FINISHED
