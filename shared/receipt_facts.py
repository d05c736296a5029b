"""Own how a finished job's rows are read for its receipt; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from shared.db.job_views import JobRow
from shared.lifecycle import JobStatus, has_succeeded
from shared.receipts import FILENAME, JobFacts

_IMAGE = "image"
"Whose place among a job's specs has what the engine ran."
_ALGORITHM, _INPUTS = "transformations/", "inputs/"


class InputRow(Protocol):
    """What is read of an input's row."""

    index: Any
    did: Any
    from_job_id: Any


def job_facts(
    row: JobRow, inputs: Iterable[InputRow], price: Mapping[str, Any], billed_s: int, cost_wei: int
) -> JobFacts:
    """State what became of a finished job; `price` as its payment keeps it for this job."""
    job, container = row.job, (row.job.algorithm or {}).get("container") or {}
    detail = (job.provision_report or {}).get("detail")
    files = (detail.get("files") if isinstance(detail, Mapping) else None) or []
    return JobFacts(
        job_id=job.job_id,
        index=job.index,
        environment=job.environment_id or "",
        image="" if job.algorithm.get("hasDockerfile") else _reference(container),
        image_digest=_digest(str(job.specs.get(_IMAGE) or "")) or _digest(str(container.get("checksum") or "")),
        algorithm={
            "container": {key: str(value) for key, value in container.items() if value},
            "did": job.algorithm.get("did"),
            "files": _below(files, _ALGORITHM),
        },
        inputs={
            "ordered": [{"index": each.index, "did": each.did, "fromJob": each.from_job_id} for each in inputs],
            "files": _below(files, _INPUTS),
        },
        outputs=[
            {"index": at, "filename": file.filename, "size": file.size_bytes, "sha256": file.sha256 or ""}
            for at, file in enumerate(file for file in row.results if file.filename != FILENAME)
        ],
        exit_code=job.exit_code,
        outcome=_outcome(job),
        started_at_s=(job.started_at_ms or 0) // 1000,
        finished_at_s=-(-(job.stopped_at_ms or 0) // 1000),
        billed_s=billed_s,
        price=price,
        cost_wei=cost_wei,
    )


def _below(files: Iterable[Any], folder: str) -> list[dict[str, Any]]:
    """What the configuration pod laid out in a folder; of what it reports only what has a form is taken."""
    return [
        {"path": str(entry["path"]), "size": int(entry["size"]), "sha256": str(entry["sha256"])}
        for entry in files
        if isinstance(entry, Mapping) and {"path", "size", "sha256"} <= set(entry)
        if str(entry["path"]).startswith(folder) and isinstance(entry["size"], int)
    ]


def _reference(container: Mapping[str, Any]) -> str:
    checksum = str(container.get("checksum") or "")
    tail = f"@{checksum}" if checksum.startswith("sha256:") else f":{container.get('tag') or 'latest'}"
    return f"{container['image']}{tail}" if container.get("image") else ""


def _digest(text: str) -> str:
    """The hex of `sha256:…`, also at the end of a reference; empty for anything else."""
    _, found, digits = text.rpartition("sha256:")
    return digits if found and len(digits) == 64 and all(digit in "0123456789abcdef" for digit in digits) else ""


def _outcome(job: Any) -> str:
    """`succeeded`, or the reason, or the status it ended in."""
    if has_succeeded(JobStatus(job.status), job.exit_code, job.reason):
        return "succeeded"
    return str(job.reason or job.status)
