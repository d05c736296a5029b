"""Own what the two pods have in common: started, waited for, started again when lost, failed when silent; pure."""

from __future__ import annotations

from typing import Any

from engines.actions import Action, Create, EnsureVolume, Look, Record, Start
from engines.endings import fail, wrote_too_much
from engines.job_view import JobView
from engines.observation import ContainerSeen, ContainerState, Seen
from shared.lifecycle import JobStatus, Reason
from shared.names import Phase

RESTARTS = 3
"How often a lost pod is started again."
SILENCE_MS = 900_000
"A pod that says nothing for this long is ended."
LOOK_MS = 5_000
"Between two looks at a pod; its exit and its report wake the pass anyway."


def when_pod(job: JobView, seen: Seen, now_ms: int, phase: Phase, failed: JobStatus) -> list[Action]:
    """What to do about a pod that has not done its work yet; `failed` is what the job ends as if it cannot."""
    pod, starts = seen.containers.get(phase), job.starts(phase)
    if pod is not None and pod.state is ContainerState.RUNNING:
        return _while_running(job, seen, now_ms, phase, failed)
    if pod is not None and pod.start_error is not None:
        return fail(job, seen, failed, Reason.ERROR, pod.start_error)
    if pod is not None and pod.state is ContainerState.CREATED:
        return _start_made(job, now_ms, phase)
    if pod is None and starts == 0:
        return [Create(phase), *_count_and_start(now_ms, phase, 1)]
    if pod is not None and pod.disk_exceeded:
        return fail(job, seen, failed, Reason.DISK_QUOTA, wrote_too_much(job))
    if pod is not None and _ended_by_itself(job, pod):
        what = "out of memory" if pod.oom_killed else f"exit code {pod.exit_code}"
        return fail(job, seen, failed, Reason.ERROR, f"The {phase} pod ended without a good report ({what}).")
    return when_lost(job, seen, now_ms, phase, failed, pod.lost if pod is not None else None)


def when_lost(job: JobView, seen: Seen, now_ms: int, phase: Phase, failed: JobStatus, why: str | None) -> list[Action]:
    """Start a pod again whose work is lost, unless it was too often; `why` is the start of a sentence for the owner."""
    starts, told = job.starts(phase), f" {why}." if why else ""
    if starts > RESTARTS:
        return fail(job, seen, failed, Reason.LOST, f"The {phase} pod was lost {starts} times.{told}")
    said = [Record({"reason_detail": f"{why}; the {phase} pod is started again."}, is_told=True)] if why else []
    return [*said, *_its_volume(phase), *start_again(job, phase, now_ms)]


def start_again(job: JobView, phase: Phase, now_ms: int) -> list[Action]:
    """Say so first: a pass that dies in between finds an old container that it may not judge."""
    again = {f"{phase}_report": None, "progress": {"at_ms": now_ms, "again": True}}
    return [Record(again), Create(phase, is_anew=True), *_count_and_start(now_ms, phase, job.starts(phase) + 1)]


def _start_made(job: JobView, now_ms: int, phase: Phase) -> list[Action]:
    """Take up what a pass left that died between making the pod and starting it; counted if it was not yet."""
    if job.starts(phase) == 0 or job.is_starting_again:
        return _count_and_start(now_ms, phase, job.starts(phase) + 1)
    return [Start(phase), Look(now_ms + LOOK_MS)]


def _count_and_start(now_ms: int, phase: Phase, starts: int) -> list[Action]:
    """Counted when it is made and before it starts, so that neither a pass's death nor a lost pod is miscounted."""
    counted: dict[str, Any] = {f"{phase}_starts": starts}
    if starts > 1:
        counted["progress"] = {"at_ms": now_ms}
    return [Record(counted), Start(phase), Look(now_ms + LOOK_MS)]


def _ended_by_itself(job: JobView, pod: ContainerSeen) -> bool:
    return not pod.was_killed and not job.is_starting_again


def _its_volume(phase: Phase) -> list[Action]:
    """What is downloaded can be downloaded anew; outputs cannot."""
    return [EnsureVolume()] if phase is Phase.PROVISION else []


def _while_running(job: JobView, seen: Seen, now_ms: int, phase: Phase, failed: JobStatus) -> list[Action]:
    started_at_ms = seen.containers[phase].started_at_ms or now_ms
    if now_ms > max(job.heard_at_ms or 0, started_at_ms) + SILENCE_MS:
        silent = f"The {phase} pod said nothing for {SILENCE_MS // 1000} seconds."
        return fail(job, seen, failed, Reason.TIMEOUT, silent)
    mending: list[Action] = [Create(phase)] if seen.containers[phase].lacks_parts else []
    return [*mending, *tell(job, seen.containers[phase]), Look(now_ms + LOOK_MS)]


def tell(job: JobView, container: ContainerSeen) -> list[Action]:
    """Say why a container that was started does not run yet, and that it does; of one's end, only the former."""
    is_known = job.reason is not None or job.status is JobStatus.PUBLISHING
    is_news = container.waiting is not None if is_known else container.waiting != job.detail
    return [Record({"reason_detail": container.waiting}, is_told=True)] if is_news else []
