"""Own reading an order: from a job's rows to all that its containers are made of; opens what is sealed."""

from __future__ import annotations

from typing import Any

from engines.context import Context
from engines.phases import Order
from shared import sealing
from shared.db import environments, inputs
from shared.db.connection import session
from shared.db.tables import Job
from shared.errors import JobError
from shared.names import JobId


def read_order(job: Job, context: Context) -> Order:
    """Read what the job ordered. Raises: JobError where its environment is gone."""
    job_id = JobId(job.job_id)
    with session():
        environment = environments.document(job.environment_id)
    if environment is None:
        raise JobError("The environment this job was placed on is not offered any more.")
    secret: dict[str, Any] = context.box.open_json(job.sealed, sealing.job_context(job_id))
    key = context.box.open(job.key_sealed, sealing.key_context(job_id)) if job.key_sealed else b""
    return Order(
        job_id=job_id,
        engine=context.mark or context.name,
        resources=job.resources or [],
        max_duration_s=job.max_duration_s,
        environment=environment,
        container=job.algorithm.get("container") or {},
        algorithm_did=job.algorithm.get("did"),
        input_ids=inputs.names_of(job_id),
        envs={str(name): str(value) for name, value in (secret.get("envs") or {}).items()},
        registry_login=secret.get("registryAuth"),
        dockerfile=secret.get("dockerfile"),
        extra_files=secret.get("additionalDockerFiles") or {},
        key=key,
    )
