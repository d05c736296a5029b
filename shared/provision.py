"""Own what the pods of a job are told: its inputs, its algorithm, its limits; and how their results are named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared import sealing
from shared.db import environments, inputs, job_views, results
from shared.db.job_views import JobRow
from shared.db.result_views import ResultFile
from shared.errors import NotFound
from shared.names import JobId
from shared.secrets import SecretBox

GIB = 1 << 30
ARCHIVES = {"outputs.zip": "zip", "outputs.tar": "tar"}
MOST_NAME_BYTES = 200


def document(row: JobRow, box: SecretBox, fetch_allow: Sequence[str]) -> dict[str, Any]:
    """Write all that a configuration pod needs; opens what is sealed."""
    job = row.job
    job_id = JobId(job.job_id)
    secret: Mapping[str, Any] = box.open_json(job.sealed, sealing.job_context(job_id))
    offered = environments.document(job.environment_id) or {}
    return {
        "jobId": job_id,
        "workflowId": job.workflow_id,
        "index": job.index,
        "door": row.workflow.door,
        "layout": job.algorithm.get("layout") or offered.get("layout") or "did",
        "fetchAllow": list(fetch_allow),
        "maxBytes": disk_bytes(job),
        "inputs": [_input(each, box) for each in inputs.inputs_of(job_id)],
        "algorithm": {
            "did": job.algorithm.get("did"),
            "rawcode": secret.get("rawcode"),
            "files": secret.get("files") or [],
            "checksum": None,
        },
        "customData": {} if secret.get("algocustomdata") is None else secret["algocustomdata"],
        "ddos": {},
    }


def earlier_output(job_id: JobId, index: int) -> tuple[str, ResultFile]:
    """Find the outputs that an input names: the earlier job and its file. Raises: NotFound."""
    wanted = next((each for each in inputs.inputs_of(job_id) if each.index == index), None)
    if wanted is None or wanted.from_job_id is None:
        raise NotFound(f"Input {index} is not an earlier job's outputs.", path="input")
    file = _output_of(wanted.from_job_id)
    if file is None:
        raise NotFound(f"Job {wanted.from_job_id} left no outputs.", path="input")
    return wanted.from_job_id, file


def disk_bytes(job: Any) -> int:
    """The disk a job was granted, in bytes; one that was granted none still has room for its code."""
    granted = next((int(each["amount"] * GIB) for each in job.resources or [] if each["id"] == "disk"), 0)
    return granted or GIB


def safe_filename(name: str) -> str:
    """Make a result's name safe: one segment, no control characters, never that of a log."""
    kept = "".join(letter for letter in name.replace("\\", "/").rpartition("/")[2] if letter.isprintable())
    while len(kept.encode()) > MOST_NAME_BYTES:
        kept = kept[:-1]
    kept = kept.lstrip(". ").strip() or "output"
    return f"output-{kept}" if kept in results.TYPES else kept


def _input(row: Any, box: SecretBox) -> dict[str, Any]:
    if row.from_job_id is not None:
        file = _output_of(row.from_job_id)
        return {"index": row.index, "fromJob": row.from_job_id, "result": file and _result(file)}
    context = sealing.input_context(JobId(row.job_id), row.index)
    return {"index": row.index, "did": row.did, "files": box.open_json(row.sealed, context) if row.sealed else []}


def _output_of(job_id: str) -> ResultFile | None:
    """The file that a job's outputs are in; null where it left none."""
    row = job_views.get(job_id)
    return next((file for file in row.results if file.type == "output" and file.key), None) if row else None


def _result(file: ResultFile) -> dict[str, Any]:
    return {
        "filename": file.filename,
        "size_bytes": file.size_bytes,
        "sha256": file.sha256,
        "archive": ARCHIVES.get(file.filename, "none"),
    }
