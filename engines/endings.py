"""Own how a job ends: what is saved, what is removed, and the words for it; pure."""

from __future__ import annotations

from dataclasses import replace

from engines.actions import Action, Move, Record, Remove, SaveLog, Stop
from engines.job_view import JobView
from engines.observation import Seen
from shared.lifecycle import JobStatus, Reason
from shared.names import Phase

LOG_NAMES: dict[Phase, str] = {
    Phase.PROVISION: "configuration.log",
    Phase.RUN: "algorithm.log",
    Phase.PUBLISH: "publish.log",
}

FAILURES: dict[JobStatus, JobStatus] = {
    JobStatus.PULLING_IMAGE: JobStatus.IMAGE_PULL_FAILED,
    JobStatus.BUILDING_IMAGE: JobStatus.IMAGE_BUILD_FAILED,
    JobStatus.CONFIGURING_VOLUMES: JobStatus.VOLUME_FAILED,
    JobStatus.PROVISIONING: JobStatus.CONTAINER_FAILED,
    JobStatus.RUNNING: JobStatus.RUN_FAILED,
    JobStatus.PUBLISHING: JobStatus.PUBLISH_FAILED,
}
"What a job ends as when an action of its status turns out to be impossible."


def finish(job: JobView, seen: Seen) -> list[Action]:
    """Save what is left to read, leave nothing outside, and end."""
    assert job.ending is not None
    running = [Stop(phase, 0) for phase in Phase if seen.is_running(phase)]
    logged = [phase for phase in Phase if phase in seen.containers or _must_explain(job, phase)]
    return [
        *running,
        *(SaveLog(phase) for phase in logged if LOG_NAMES[phase] not in job.saved),
        Remove(),
        Move(job.ending, job.reason, job.detail),
    ]


def _must_explain(job: JobView, phase: Phase) -> bool:
    """An algorithm that could not even start still has a log, with the reason."""
    return phase is Phase.RUN and job.ending is JobStatus.RUN_FAILED


def end(job: JobView, seen: Seen, to: JobStatus, reason: Reason | None, detail: str | None) -> list[Action]:
    """Write down how the job ends, then end it."""
    known = Record({"ending": to.value, "reason": reason.value if reason else None, "reason_detail": detail})
    return [known, *finish(replace(job, ending=to, reason=reason, detail=detail), seen)]


def fail(job: JobView, seen: Seen, to: JobStatus, reason: Reason, detail: str | None) -> list[Action]:
    """End a job whose pod has failed it."""
    return end(job, seen, *failure(job, to, reason, detail))


def failure(job: JobView, to: JobStatus, reason: Reason, detail: str | None) -> tuple[JobStatus, Reason, str | None]:
    """What a job ends as that cannot go on: one whose algorithm was lost stays lost, and costs nothing."""
    if job.reason is Reason.LOST and job.status is JobStatus.PUBLISHING:
        told = f"{job.detail} Its outputs were not published: {detail}"
        return JobStatus.RUN_FAILED, Reason.LOST, told
    return to, reason, detail


def stopped(job: JobView, seen: Seen) -> list[Action]:
    """The owner asked for it before the algorithm started: nothing is billed."""
    return end(job, seen, JobStatus.FINISHED, Reason.STOPPED, "Stopped by its owner before the algorithm started.")


def wrote_too_much(job: JobView) -> str:
    """The sentence for who is over the disk granted."""
    return f"The job wrote more than the {job.disk_bytes / (1 << 30):g} GiB it was granted."


def is_saved(job: JobView, seen: Seen, phase: Phase) -> bool:
    """Whether the phase's log is a result already, or there is none to save."""
    return LOG_NAMES[phase] in job.saved or phase not in seen.containers
