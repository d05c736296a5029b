"""Own taking a start in, by either door: check it against what is offered, write it, and admit it where it must be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from shared import command_form, eligibility, outputs, workflow
from shared.db import environments, job_views, reservations, workflows
from shared.db.environments import Offer
from shared.db.workflows import Submission
from shared.errors import InvalidRequest
from shared.file_objects import Decrypt
from shared.names import JobId, WorkflowId
from shared.outputs import OutputTarget
from shared.placement import NOTHING_HELD, Held, NotEnough, may_use
from shared.strict_json import loads
from shared.views import job_view
from shared.workflow import JobRequest, Workflow


def read(body: Mapping[str, Any], decrypt: Decrypt) -> Workflow:
    """Read a start by the door it came through. Raises: InvalidRequest."""
    parsed = workflow.from_body(body, decrypt) if "workflow" in body else command_form.from_body(body, decrypt)
    return parsed if parsed.output is None else replace(parsed, output=_output(parsed, decrypt))


def submit(submission: Submission, held: Held = NOTHING_HELD) -> tuple[WorkflowId, list[JobId]]:
    """Check, write, and admit; part of the caller's transaction. Raises: InvalidRequest, Forbidden, NotFound.

    `held`: contracts of access lists of which the owner holds a token.
    """
    offers = environments.offers(submission.at_ms)
    documents = [offer.document for offer in offers]
    parsed = submission.workflow
    found = [
        eligibility.of_place(parsed, place, documents, submission.owner, is_free=submission.is_free, held=held)
        for place in range(len(parsed.jobs))
    ]
    jobs = [_gated(job, each, submission) for job, each in zip(parsed.jobs, found, strict=True)]
    offer = offer_of(parsed.jobs[0], offers) if is_immediate(parsed) else None
    if offer is not None:
        reservations.lock_promises(offer.engine)
    workflow_id, ids = workflows.insert(replace(submission, workflow=replace(parsed, jobs=tuple(jobs))))
    if offer is not None:
        reservations.admit(ids[0], offer.engine, [offer.document], submission.at_ms)
    return workflow_id, ids


def is_immediate(workflow: Workflow) -> bool:
    """Whether there must be room at once: ocean-node's form with no time to wait."""
    return workflow.door == "command" and workflow.queue_max_wait_s == 0


def offer_of(job: JobRequest, offers: Sequence[Offer]) -> Offer:
    """The offer a job names, which takes work now. Raises: NotEnough."""
    offer = next(each for each in offers if each.id == job.environment_id)
    if not offer.takes_work:
        raise NotEnough("The environment takes no new work now; try again later, or set queueMaxWaitTime.")
    return offer


def records(workflow: Workflow, workflow_id: WorkflowId, ids: Sequence[JobId]) -> list[dict[str, Any]]:
    """Show the jobs of a workflow that was just written, in the order they were sent."""
    rows = sorted(job_views.get_workflow(workflow_id), key=lambda row: ids.index(row.job.job_id))
    prefix = (workflow.jobs[0].environment_id or "").partition("-")[0] if workflow.door == "command" else ""
    return [job_view(row, is_known=True, shows_metadata=True, prefix=prefix) for row in rows]


def check_logins(workflow: Workflow, decrypt: Decrypt) -> None:
    """Open every registry login once, so that a wrong one is told before all else. Raises: InvalidRequest."""
    for job in workflow.jobs:
        if job.registry_auth is not None:
            login(decrypt, job.registry_auth)


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


def _gated(job: JobRequest, found: Sequence[Mapping[str, Any]], submission: Submission) -> JobRequest:
    """Name the environment of a job that only a token lets in: passes, which ask no chain, take that for granted."""
    is_open = any(may_use(each, submission.owner, submission.is_free) for each in found)
    return job if job.environment_id is not None or is_open else replace(job, environment_id=found[0]["id"])
