"""Own what happens once the algorithm has ended: its outputs and logs are published, or it is said why not; pure."""

from __future__ import annotations

from engines.actions import Action, Look, SaveLog, Stop
from engines.endings import end, fail, is_saved, wrote_too_much
from engines.job_view import JobView
from engines.observation import ContainerState, Seen
from engines.pod_rules import RESTARTS, SILENCE_MS, start_again, when_pod
from shared.lifecycle import JobStatus, Reason, ending
from shared.names import Phase

RETRY_MS = 15_000
"Between two tries to publish."


def when_publishing(job: JobView, seen: Seen, now_ms: int) -> list[Action]:
    """The publishing pod works; whatever ended the algorithm, its log and outputs so far are published."""
    report, pod = job.publish_report, seen.exited(Phase.PUBLISH)
    is_failed = report is not None and report["state"] == "failed"
    if report is not None and not is_failed and pod is not None and pod.exit_code == 0:
        return end(job, seen, ending(job.exit_code, job.oom_killed, job.reason), job.reason, job.detail)
    if not seen.has_volume and not _is_at_work(seen):
        return _when_outputs_are_gone(job, seen)
    if is_failed:
        return _when_upload_failed(job, seen, now_ms)
    if job.stop_requested and _waits_in_vain(job, seen, now_ms):
        return _unpublished(job, seen)
    doing = when_pod(job, seen, now_ms, Phase.PUBLISH, JobStatus.PUBLISH_FAILED)
    if not isinstance(doing[-1], Look):
        return doing
    earlier = [SaveLog(phase) for phase in (Phase.PROVISION, Phase.RUN) if not is_saved(job, seen, phase)]
    return [*doing[:-1], *earlier, doing[-1]]  # while the pod works, so that the end has less to wait for


def _is_at_work(seen: Seen) -> bool:
    """Whether a pod has the outputs before it: it has them though nobody else could any more."""
    pod = seen.containers.get(Phase.PUBLISH)
    return pod is not None and pod.state is ContainerState.RUNNING and pod.started_at_ms is not None


def _when_outputs_are_gone(job: JobView, seen: Seen) -> list[Action]:
    """Some engines end a job that is over its disk by removing that; else somebody did."""
    if job.reason is Reason.DISK_QUOTA or any(each.disk_exceeded for each in seen.containers.values()):
        detail = f"{wrote_too_much(job)} The engine removed its volume, and its outputs with it."
        return end(job, seen, JobStatus.DISK_EXCEEDED, Reason.DISK_QUOTA, detail)
    if job.reason is Reason.LOST:
        return end(job, seen, JobStatus.RUN_FAILED, Reason.LOST, f"{job.detail} Its outputs are gone.")
    return end(job, seen, JobStatus.RUN_FAILED, Reason.LOST, "The job's volume is gone, and its outputs with it.")


def _waits_in_vain(job: JobView, seen: Seen, now_ms: int) -> bool:
    """Whether the pod for the outputs has waited for long: for the only node that can have the volume, perhaps."""
    pod = seen.containers.get(Phase.PUBLISH)
    waits = pod is not None and pod.state is ContainerState.RUNNING and not _is_at_work(seen)
    return waits and now_ms > max(job.stopped_at_ms or 0, job.heard_at_ms or 0) + SILENCE_MS


def _unpublished(job: JobView, seen: Seen) -> list[Action]:
    """Its owner has waited long enough: end it as it would have ended, without outputs."""
    reason = job.reason or Reason.STOPPED
    waiting = seen.containers[Phase.PUBLISH].waiting or "the pod for them does not start"
    detail = f"{job.detail or 'Stopped by its owner.'} Its outputs were not published: {waiting}"
    return end(job, seen, ending(job.exit_code, job.oom_killed, reason), reason, detail)


def _when_upload_failed(job: JobView, seen: Seen, now_ms: int) -> list[Action]:
    """Try again, with the outputs kept on the job's volume, before giving up."""
    if job.publish_starts > RESTARTS:
        return fail(job, seen, JobStatus.PUBLISH_FAILED, Reason.ERROR, (job.publish_report or {}).get("reason"))
    retry_at_ms = (job.heard_at_ms or 0) + RETRY_MS
    if now_ms < retry_at_ms:
        return [Look(retry_at_ms)]
    if seen.is_running(Phase.PUBLISH):
        return [Stop(Phase.PUBLISH, 0)]
    return start_again(job, Phase.PUBLISH, now_ms)
