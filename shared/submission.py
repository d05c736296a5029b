"""Own taking a start in, by either door: check it against what is offered, write it, and admit it where it must be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from shared import command_form, eligibility, outputs, workflow
from shared.db import environments, reservations, workflows
from shared.db.environments import Offer
from shared.db.workflows import Submission
from shared.errors import CallerError, InvalidRequest, NotFound
from shared.file_objects import Decrypt
from shared.names import JobId, WorkflowId
from shared.outputs import OutputTarget
from shared.placement import NotEnough
from shared.strict_json import loads
from shared.workflow import JobRequest, Workflow


def read(body: Mapping[str, Any], decrypt: Decrypt) -> Workflow:
    """Read a start by the door it came through. Raises: InvalidRequest."""
    parsed = workflow.from_body(body, decrypt) if "workflow" in body else command_form.from_body(body, decrypt)
    return parsed if parsed.output is None else replace(parsed, output=_output(parsed, decrypt))


def submit(submission: Submission) -> tuple[WorkflowId, list[JobId]]:
    """Check, write, and admit; part of the caller's transaction. Raises: InvalidRequest, Forbidden, NotFound."""
    offers = environments.offers(submission.at_ms)
    parsed = submission.workflow
    for place, job in enumerate(parsed.jobs):
        _check_job(submission, job, place, offers)
    workflow_id, ids = workflows.insert(submission)
    if parsed.door == "command" and parsed.queue_max_wait_s == 0:
        _admit_now(ids[0], parsed.jobs[0], offers, submission.at_ms)
    return workflow_id, ids


def login(decrypt: Decrypt, encrypted: str) -> Any:
    """Open a registry login. Raises: InvalidRequest."""
    opened = loads(decrypt(encrypted))
    is_login = isinstance(opened, dict) and ("auth" in opened or {"username", "password"} <= set(opened))
    if not is_login:
        raise InvalidRequest(
            "Invalid encryptedDockerRegistryAuth: username and password, or auth, are expected",
            path="encryptedDockerRegistryAuth",
        )
    return opened


def _output(parsed: Workflow, decrypt: Decrypt) -> dict[str, Any]:
    """Open the target; where several jobs leave something, it must be a folder. Raises: InvalidRequest."""
    document = outputs.read(parsed.output, decrypt)
    read = {job_input.from_job for job in parsed.jobs for job_input in job.inputs}
    sent = [job for job in parsed.jobs if job.index not in read]
    if len(sent) > 1 and not OutputTarget.from_document(document).is_folder:
        raise InvalidRequest(
            f"output: {len(sent)} jobs send their outputs, so the target must end with /", path="output"
        )
    return document


def _check_job(submission: Submission, job: JobRequest, place: int, offers: Sequence[Offer]) -> None:
    """Refuse a job that no environment it may run on could ever take."""
    is_exact = submission.workflow.door == "workflow"
    path = f"workflow[{place}]" if is_exact else ""
    named = [offer for offer in offers if job.environment_id in (None, offer.id)]
    if job.environment_id is not None and not named:
        raise NotFound(
            f"Invalid C2D Environment: this node offers no {job.environment_id}", path=_at(path, "environment")
        )
    try:
        eligibility.candidates(
            [offer.document for offer in named], job, submission.owner, is_free=submission.is_free, is_exact=is_exact
        )
    except CallerError as error:
        raise type(error)(f"{path}: {error.detail}" if path else error.detail, path=path or None) from error


def _at(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _admit_now(job_id: JobId, job: JobRequest, offers: Sequence[Offer], at_ms: int) -> None:
    """Reserve what the job needs before answering, or refuse it. Raises: NotEnough."""
    offer = next(each for each in offers if each.id == job.environment_id)
    if not offer.takes_work:
        raise NotEnough("The environment takes no new work now; try again later, or set queueMaxWaitTime.")
    reservations.admit(job_id, offer.engine, [offer.document], at_ms)
