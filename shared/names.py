"""Own every name made outside the database: ids, containers, volumes, labels, storage keys.

All are derived from the job id alone, so a second attempt finds what the first one made."""

from __future__ import annotations

import secrets
from enum import StrEnum
from typing import NewType

JobId = NewType("JobId", str)
WorkflowId = NewType("WorkflowId", str)
Address = NewType("Address", str)  # lower-case hex with 0x

LABEL_JOB = "c2d.job_id"
LABEL_PHASE = "c2d.phase"
LABEL_ENGINE = "c2d.engine"


class Phase(StrEnum):
    """One container of a job."""

    PROVISION = "provision"
    RUN = "run"
    PUBLISH = "publish"


def new_job_id() -> JobId:
    """64 hex characters; no `-`, which separates the engine's hash from the id on the wire."""
    return JobId(secrets.token_hex(32))


def new_token() -> str:
    """A lease's fencing token: 32 hex characters, never used twice."""
    return secrets.token_hex(16)


def container_name(job_id: JobId, phase: Phase) -> str:
    """The container of one phase; a DNS label (at most 63 characters) wherever it is used."""
    return f"c2d-{job_id[:40]}-{phase.value}"


def volume_name(job_id: JobId) -> str:
    """The volume that a job's three containers share."""
    return f"c2d-{job_id[:40]}-data"


def image_name(job_id: JobId) -> str:
    """The image built from a job's own Dockerfile."""
    return f"c2d-{job_id[:40]}-image:latest"


def labels(job_id: JobId, engine: str) -> dict[str, str]:
    """What marks everything made for a job, so that orphans can be found."""
    return {LABEL_JOB: job_id, LABEL_ENGINE: engine}


def result_key(job_id: JobId, filename: str) -> str:
    """Where a result lies in storage; `filename` is made safe by who records it."""
    return f"{job_id}/{filename}"
