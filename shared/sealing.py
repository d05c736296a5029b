"""Own what each sealed column is bound to, so that a sealed text moved elsewhere does not open; pure."""

from __future__ import annotations

from shared.names import JobId, WorkflowId


def key_context(job_id: JobId) -> str:
    """What a sealed job key is bound to."""
    return f"job_key:{job_id}"


def job_context(job_id: JobId) -> str:
    """What the sealed part of a job (`Job.sealed`) is bound to."""
    return f"job:{job_id}"


def input_context(job_id: JobId, index: int) -> str:
    """What the sealed file objects of one input (`Input.sealed`) are bound to."""
    return f"input:{job_id}:{index}"


def workflow_context(workflow_id: WorkflowId) -> str:
    """What a workflow's sealed output target is bound to."""
    return f"workflow:{workflow_id}"
