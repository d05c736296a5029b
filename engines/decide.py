"""Own the decision: what to do for one job, from its row and what was seen outside; pure.

One rule per unfinished status. A rule returns actions in order; a `Move` is last, so that a crash repeats a side
effect and never skips one. Absent is what the engine said, never what could not be looked at.
"""

from __future__ import annotations

from collections.abc import Callable

from engines.actions import Action, Create, EnsureImage, EnsureVolume, Look, Move, Record, SaveLog, ShipLog, Start, Stop
from engines.endings import end, finish, is_saved, stopped, wrote_too_much
from engines.job_view import JobView
from engines.observation import ContainerSeen, ContainerState, Seen
from engines.pod_rules import tell, when_lost, when_pod
from engines.publish_rules import when_publishing
from shared.lifecycle import STOPPED_IN_LINE, JobStatus, Reason
from shared.names import Phase

LOOK_MS = 1_000
"Between two looks at a container that has just started: its log, its disk."
MOST_LOOK_MS = 3_000
"Between two looks at one that has run for some minutes: each costs the engine some calls, and nobody sees the wait."
LOOKS_SLOWER = 60
"The wait is this part of the time it has run, between those two."
LAST_WORDS_MS = 5_000
"A pod that has reported its failure is given this long to end by itself."
GRACE_S = 10
"Between SIGTERM and SIGKILL for an algorithm."

ENDED = "The engine ended the algorithm; it is not run a second time."
VOLUME_GONE = "Somebody removed the job's volume"

REPORTED: dict[str, JobStatus] = {
    "data_failed": JobStatus.DATA_FAILED,
    "algorithm_failed": JobStatus.ALGORITHM_FAILED,
}
"What a configuration pod's code means."


def decide(job: JobView, seen: Seen, now_ms: int) -> list[Action]:
    """What to do next for the job; an empty list or a lone `Look` when there is nothing to do."""
    if job.ending is not None:
        return finish(job, seen)
    return RULES[job.status](job, seen, now_ms)


def when_queued(job: JobView, seen: Seen, now_ms: int) -> list[Action]:
    """In line: only a stop or the end of its patience is decided here; admission is `admission.py`'s."""
    if job.stop_requested:
        return [Move(JobStatus.FINISHED, Reason.STOPPED, STOPPED_IN_LINE)]
    if job.queue_ends_at_ms is not None and now_ms >= job.queue_ends_at_ms:
        return [Move(JobStatus.QUEUE_EXPIRED, Reason.QUEUE, "Waited longer than queueMaxWaitTime allows.")]
    return [] if job.queue_ends_at_ms is None else [Look(job.queue_ends_at_ms)]


def when_preparing_image(job: JobView, seen: Seen, now_ms: int) -> list[Action]:
    """Pull or build, then go on."""
    if job.stop_requested:
        return stopped(job, seen)
    return [EnsureImage(), Move(JobStatus.CONFIGURING_VOLUMES)]


def when_configuring_volumes(job: JobView, seen: Seen, now_ms: int) -> list[Action]:
    """The pod is started one status later: it may call the node only while the job is provisioning."""
    if job.stop_requested:
        return stopped(job, seen)
    return [EnsureVolume(), Move(JobStatus.PROVISIONING)]


def when_provisioning(job: JobView, seen: Seen, now_ms: int) -> list[Action]:
    """The configuration pod works; its exit code and its report must both be good."""
    if job.stop_requested:
        return stopped(job, seen)
    report = job.provision_report
    if report is not None and report["state"] == "failed":
        return _when_provisioning_failed(job, seen, now_ms)
    pod = seen.exited(Phase.PROVISION)
    if pod is not None and pod.exit_code == 0 and report is not None:
        if seen.has_volume:
            return [Create(Phase.RUN), Move(JobStatus.RUNNING)]
        return when_lost(job, seen, now_ms, Phase.PROVISION, JobStatus.DATA_FAILED, VOLUME_GONE)
    return when_pod(job, seen, now_ms, Phase.PROVISION, JobStatus.DATA_FAILED)


def _when_provisioning_failed(job: JobView, seen: Seen, now_ms: int) -> list[Action]:
    report = job.provision_report or {}
    last_words_end_ms = (job.heard_at_ms or 0) + LAST_WORDS_MS
    if seen.is_running(Phase.PROVISION) and now_ms < last_words_end_ms:
        return [Look(last_words_end_ms)]
    to = REPORTED.get(str(report.get("code")), JobStatus.DATA_FAILED)
    return end(job, seen, to, Reason.ERROR, report.get("reason"))


def when_running(job: JobView, seen: Seen, now_ms: int) -> list[Action]:
    """The algorithm runs until it ends by itself, is stopped, or meets a limit."""
    run = seen.containers.get(Phase.RUN)
    if run is None:
        return _when_algorithm_is_gone(job, seen)
    if run.start_error is not None:
        return end(job, seen, JobStatus.RUN_FAILED, Reason.ERROR, run.start_error)
    if run.state is ContainerState.CREATED:
        return _when_algorithm_is_made(job)
    if run.state is ContainerState.EXITED:
        return _when_algorithm_ended(job, run)
    if job.started_at_ms is None and run.started_at_ms is not None:
        told = tell(job, run)  # that it waits no more
        return [*told, Record({"started_at_ms": run.started_at_ms})]
    return _while_algorithm_runs(job, seen, now_ms)


def _when_algorithm_is_made(job: JobView) -> list[Action]:
    """Only what is known to be there is started; where its owner wants none of it any more, not even that."""
    if not job.stop_requested:
        return [Start(Phase.RUN)]
    detail = "Stopped by its owner before the algorithm started."
    known = {"reason": Reason.STOPPED.value, "reason_detail": detail}
    return [Record(known), Move(JobStatus.PUBLISHING, Reason.STOPPED, detail)]


def _when_algorithm_is_gone(job: JobView, seen: Seen) -> list[Action]:
    """It was made before the job became a running one: what is not there now was there, and may have run."""
    lost = "The algorithm's container is gone; it is not run a second time."
    if not seen.has_volume:
        return end(job, seen, JobStatus.RUN_FAILED, Reason.LOST, f"{lost} Its outputs are gone.")
    return [Record({"reason": Reason.LOST.value, "reason_detail": lost}), Move(JobStatus.PUBLISHING, Reason.LOST, lost)]


def _when_algorithm_ended(job: JobView, run: ContainerSeen) -> list[Action]:
    is_known = job.reason is not None and not (job.reason is Reason.TIMEOUT and _is_unheard(run))
    reason, detail = (job.reason, job.detail) if is_known else _why_it_ended(job, run)
    facts = {
        "exit_code": run.exit_code,
        "oom_killed": run.oom_killed,
        "started_at_ms": job.started_at_ms or run.started_at_ms,
        "stopped_at_ms": run.finished_at_ms,
        "reason": reason.value if reason else None,
        "reason_detail": detail,
    }
    return [Record(facts), Move(JobStatus.PUBLISHING, reason, detail)]


def _is_unheard(run: ContainerSeen) -> bool:
    """Whether it ended where nobody saw it, so that nobody knows whether it used its time."""
    return run.was_killed and run.exit_code is None


def _why_it_ended(job: JobView, run: ContainerSeen) -> tuple[Reason | None, str | None]:
    """The reason of an end that no pass asked for; null where the algorithm ended by itself."""
    if run.oom_killed:
        return Reason.OUT_OF_MEMORY, "The algorithm needed more memory than the job was granted."
    if run.disk_exceeded:
        return Reason.DISK_QUOTA, wrote_too_much(job)
    if run.was_killed:
        return Reason.LOST, f"{run.lost}; the algorithm is not run a second time." if run.lost else ENDED
    if run.exit_code == 0:
        return None, None
    lasted_ms = (run.finished_at_ms or 0) - (run.started_at_ms or 0)
    if lasted_ms >= job.max_duration_s * 1000:  # an engine that bounds a container's time itself was first
        return Reason.TIMEOUT, _used_up(job)
    return None, f"The algorithm ended with exit code {run.exit_code}."


def _used_up(job: JobView) -> str:
    return f"The algorithm used up its {job.max_duration_s} seconds."


def _while_algorithm_runs(job: JobView, seen: Seen, now_ms: int) -> list[Action]:
    limit = _limit_met(job, seen, now_ms)
    if job.reason is not None:  # told to end already; the pass that told it may have died
        return [Stop(Phase.RUN, GRACE_S)]
    if limit is not None:
        reason, detail = limit
        return [Record({"reason": reason.value, "reason_detail": detail}), Stop(Phase.RUN, GRACE_S)]
    saving: list[Action] = [] if is_saved(job, seen, Phase.PROVISION) else [SaveLog(Phase.PROVISION)]
    look_at_ms = now_ms + _patience_ms(job, now_ms)
    run = seen.containers[Phase.RUN]
    shipping: list[Action] = [] if run.waiting is not None else [ShipLog(Phase.RUN)]  # there is none, or nobody to ask
    return [*saving, *tell(job, run), *shipping, Look(min(look_at_ms, job.deadline_ms or look_at_ms))]


def _patience_ms(job: JobView, now_ms: int) -> int:
    """How long a running container need not be looked at; its end and a stop wake the pass anyway."""
    ran_ms = now_ms - (job.started_at_ms or now_ms)
    return max(LOOK_MS, min(ran_ms // LOOKS_SLOWER, MOST_LOOK_MS))


def _limit_met(job: JobView, seen: Seen, now_ms: int) -> tuple[Reason, str] | None:
    """Which limit ends the algorithm now, and the sentence for its owner."""
    if job.stop_requested:
        return Reason.STOPPED, "Stopped by its owner."
    if job.deadline_ms is not None and now_ms >= job.deadline_ms:
        return Reason.TIMEOUT, _used_up(job)
    if seen.disk_used_bytes is not None and seen.disk_used_bytes > job.disk_bytes:
        return Reason.DISK_QUOTA, wrote_too_much(job)
    if not seen.has_volume and seen.containers[Phase.RUN].lost is None:  # what it would compute could not be published
        return Reason.LOST, f"{VOLUME_GONE} while the algorithm ran."
    return None


RULES: dict[JobStatus, Callable[[JobView, Seen, int], list[Action]]] = {
    JobStatus.QUEUED: when_queued,
    JobStatus.PULLING_IMAGE: when_preparing_image,
    JobStatus.BUILDING_IMAGE: when_preparing_image,
    JobStatus.CONFIGURING_VOLUMES: when_configuring_volumes,
    JobStatus.PROVISIONING: when_provisioning,
    JobStatus.RUNNING: when_running,
    JobStatus.PUBLISHING: when_publishing,
}
