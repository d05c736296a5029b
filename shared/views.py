"""Own what is shown outside: each view lists what it shows, never what it hides. Status numbers are here alone."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from shared.db.environments import EngineRow, Live, Offer
from shared.db.job_views import JobRow
from shared.db.result_views import ResultFile
from shared.lifecycle import WIRE, JobStatus
from shared.payment_view import payment_view, priced
from shared.placement import Usage, from_milli, to_milli

LOG_NAMES = frozenset(
    {"image.log", "configuration.log", "algorithm.log", "publish.log", "outputs.tar", "outputs.zip", "receipt.json"}
)
"File names that say nothing of their content."
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}$")


def job_view(row: JobRow, *, is_known: bool, shows_metadata: bool, prefix: str = "") -> dict[str, Any]:
    """Show a job as wire §18.1 has it; `is_known` for its owner and viewers, who see names and causes as well.

    `prefix` is the engine's hash, which a start puts before the id.
    """
    job, workflow = row.job, row.workflow
    number, text = WIRE[JobStatus(job.status)]
    return {
        "owner": workflow.owner_as_sent,
        "did": None,
        "inputDID": None,
        "algoDID": None,
        "agreementId": None,
        "jobId": f"{prefix}-{job.job_id}" if prefix else job.job_id,
        "jobIdHash": "0x" + hashlib.sha256(job.job_id.encode()).hexdigest(),
        "workflowId": job.workflow_id,
        "index": job.index,
        "runAfter": list(row.run_after),
        "dateCreated": seconds_text(job.created_at_ms),
        "dateFinished": None if job.finished_at_ms is None else seconds_text(job.finished_at_ms),
        "status": number,
        "statusText": text,
        "results": results_view(row.results, is_known=is_known),
        "environment": job.environment_id or job.requested_environment_id or "",
        "maxJobDuration": job.max_duration_s or job.requested_duration_s or 0,
        "stopRequested": bool(job.stop_requested),
        "resources": priced(job.resources or _wanted(job), job.job_id, row.paid),
        "isFree": bool(job.is_free),
        "algoStartTimestamp": seconds_text(job.started_at_ms),
        "algoStopTimestamp": seconds_text(job.stopped_at_ms),
        "buildStartTimestamp": seconds_text(job.build_started_at_ms),
        "buildStopTimestamp": seconds_text(job.build_stopped_at_ms),
        "algoDuration": _duration_s(job.started_at_ms, job.stopped_at_ms),
        "metadata": workflow.metadata if shows_metadata or is_known else None,
        "additionalViewers": workflow.viewers if is_known else None,
        "terminationDetails": _termination(job, is_known),
        "payment": payment_view(row.paid),
        "queueMaxWaitTime": workflow.queue_max_wait_s,
    }


def _wanted(job: Any) -> list[dict[str, Any]]:
    return [{"id": name, "amount": amount} for name, amount in job.wanted.items()]


def results_view(files: Iterable[ResultFile], *, is_known: bool) -> list[dict[str, Any]]:
    """Show the list of results; strangers do not see how an output is called."""
    return [
        {
            "filename": file.filename if is_known else _plain_name(file.filename),
            "filesize": file.size_bytes,
            "type": file.type,
            "index": index,
        }
        for index, file in enumerate(files)
    ]


def event_view(event: Any, *, is_known: bool) -> dict[str, Any]:
    """Show one event; strangers see moves and their times."""
    status = JobStatus(event.status)
    return {
        "id": event.id,
        "workflowId": event.workflow_id,
        "jobId": event.job_id,
        "at": seconds_text(event.at_ms),
        "kind": event.kind,
        "status": WIRE[status][0],
        "statusText": WIRE[status][1],
        "detail": _event_detail(event.detail or {}) if is_known else None,
    }


def environment_view(offer: Offer, usage: Usage, live: Live, now_ms: int) -> dict[str, Any]:
    """Show an environment as wire §5.1 has it, with what is used now."""
    document = offer.document
    shown = {name: document[name] for name in ENVIRONMENT_FIELDS if name in document}
    free_running = [job for job in live.running if job.is_free]
    free_queued = [job for job in live.queued if job.is_free]
    view = {
        **shown,
        "resources": [{**each, "inUse": _in_use(each, offer.id, usage)} for each in document["resources"]],
        "runningJobs": len(live.running),
        "runningfreeJobs": len(free_running),
        "queuedJobs": len(live.queued),
        "queuedFreeJobs": len(free_queued),
        "queMaxWaitTime": _queued_s(live.queued),
        "queMaxWaitTimeFree": _queued_s(free_queued),
        "runMaxWaitTime": _remaining_s(live.running, now_ms),
        "runMaxWaitTimeFree": _remaining_s(free_running, now_ms),
    }
    return view | ({"free": _free_view(offer, usage)} if document.get("free") is not None else {})


def limits_view(offer: Offer, usage: Usage, engine: EngineRow) -> dict[str, Any]:
    """Show how much runs in an environment and how much may."""
    free = offer.document.get("free") or {}
    return {
        "environment": offer.id,
        "engine": engine.name,
        "type": engine.type,
        "takesWork": offer.takes_work,
        "runningJobs": usage.jobs.get(offer.id, 0),
        "maxJobs": offer.document.get("maxJobs"),
        "runningFreeJobs": usage.free_jobs.get(offer.id, 0),
        "maxFreeJobs": free.get("maxJobs"),
        "maxJobDuration": offer.document.get("maxJobDuration"),
    }


def seconds_text(at_ms: int | None) -> str:
    """Write a time as the wire does: seconds as text, "0" for never."""
    if not at_ms:
        return "0"
    whole, rest = divmod(at_ms, 1000)
    return f"{whole}.{rest:03d}".rstrip("0").rstrip(".")


ENVIRONMENT_FIELDS = (
    "id", "description", "consumerAddress", "platform", "access", "fees", "storageExpiry", "minJobDuration",
    "maxJobDuration", "maxJobs", "enableNetwork",
)  # fmt: skip
FREE_FIELDS = ("access", "minJobDuration", "maxJobDuration", "maxJobs", "allowImageBuild", "storageExpiry")


def _termination(job: Any, is_known: bool) -> dict[str, Any]:
    """Say how it ended, or is about to; the sentence may hold names, so it is not for strangers."""
    shown = {"exitCode": job.exit_code, "OOMKilled": job.oom_killed, "reason": job.reason}
    return shown | ({"detail": job.reason_detail} if is_known else {})


def _event_detail(detail: Mapping[str, Any]) -> dict[str, Any]:
    """Name the bytes a pod has moved by what it does with them."""
    moved = {"provision": "downloadedBytes", "publish": "uploadedBytes"}.get(str(detail.get("phase")))
    shown = {key: value for key, value in detail.items() if value is not None}
    if moved and "bytesDone" in shown:
        shown[moved] = shown.pop("bytesDone")
    return shown


def _plain_name(filename: str) -> str:
    if filename in LOG_NAMES:
        return filename
    suffix = _SUFFIX.search(filename)
    return "output" + (suffix.group().lower() if suffix else "")


def _duration_s(started_at_ms: int | None, stopped_at_ms: int | None) -> float:
    if started_at_ms is None or stopped_at_ms is None:
        return 0
    return max(0, stopped_at_ms - started_at_ms) / 1000


def _free_view(offer: Offer, usage: Usage) -> dict[str, Any]:
    free = offer.document["free"]
    used = usage.free.get(offer.id, {})
    resources = [{**each, "inUse": from_milli(used.get(str(each["id"]), 0))} for each in free.get("resources", [])]
    return {**{name: free[name] for name in FREE_FIELDS if name in free}, "resources": resources}


def _in_use(resource: Mapping[str, Any], environment_id: str, usage: Usage) -> int | float:
    """What cannot be had now: promised here, or of the hardware shared with other environments."""
    key, total = str(resource["id"]), to_milli(resource["total"])
    here = usage.environment.get(environment_id, {}).get(key, 0)
    left = usage.pool_total.get(key, total) - usage.pool.get(key, 0)
    elsewhere = total - max(left, 0) if usage.pool.get(key, 0) else 0
    return from_milli(min(total, max(here, elsewhere)))


def _queued_s(jobs: Iterable[Any]) -> int:
    return sum(job.requested_duration_s or job.max_duration_s or 0 for job in jobs)


def _remaining_s(jobs: Iterable[Any], now_ms: int) -> int:
    """Seconds the running jobs may still take; one that has not started has all of its time left."""
    return sum(
        max(0, job.max_duration_s - (0 if job.started_at_ms is None else (now_ms - job.started_at_ms) // 1000))
        for job in jobs
    )
