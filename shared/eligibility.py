"""Own whether an environment could ever take a job, whatever runs there now; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from shared.errors import CallerError, Forbidden, InvalidRequest, NotFound
from shared.placement import NOTHING_HELD, Held, complete, may_use
from shared.workflow import JobRequest, Workflow

Document = Mapping[str, Any]


def check(
    environment: Document, job: JobRequest, owner: str, *, is_free: bool, is_exact: bool, held: Held = NOTHING_HELD
) -> None:
    """Refuse a job that the environment can never take. Raises: InvalidRequest, Forbidden, with the wire's texts.

    `is_exact`: a resource that the environment does not have is refused; else it is dropped, as ocean-node does.
    `held`: contracts of access lists of which the owner holds a token.
    """
    free = environment.get("free")
    if is_free and free is None:
        raise InvalidRequest("This env does not support free jobs")
    if not may_use(environment, owner, is_free, held):
        raise Forbidden("Access denied: the environment is not open to this address")
    known = {str(entry["id"]) for entry in environment["resources"]}
    missing = next((name for name, amount in job.wanted.items() if amount and name not in known), None)
    if is_exact and missing is not None:
        raise InvalidRequest(f"No such resource {missing}")
    complete(environment, job.wanted, is_free)
    if job.algorithm.dockerfile is not None and is_free and not (free or {}).get("allowImageBuild"):
        raise InvalidRequest("Building image is not allowed for free jobs")


def candidates(
    environments: Iterable[Document],
    job: JobRequest,
    owner: str,
    *,
    is_free: bool,
    is_exact: bool,
    held: Held = NOTHING_HELD,
) -> list[Document]:
    """The environments that could take a job. Raises: the refusal of the last, where none could."""
    found: list[Document] = []
    refused: CallerError = InvalidRequest("This node offers no compute environment now")
    for environment in environments:
        try:
            check(environment, job, owner, is_free=is_free, is_exact=is_exact, held=held)
            found.append(environment)
        except CallerError as error:
            refused = error
    if not found:
        raise refused
    return found


def of_place(
    workflow: Workflow, place: int, environments: Iterable[Document], owner: str, *, is_free: bool, held: Held
) -> list[Document]:
    """The environments that could take one job of a workflow. Raises: NotFound, or a refusal with the job's path."""
    job, is_exact = workflow.jobs[place], workflow.door == "workflow"
    path = f"workflow[{place}]" if is_exact else ""
    named = [each for each in environments if job.environment_id in (None, each["id"])]
    if job.environment_id is not None and not named:
        at = f"{path}.environment" if path else "environment"
        raise NotFound(f"Invalid C2D Environment: this node offers no {job.environment_id}", path=at)
    try:
        return candidates(named, job, owner, is_free=is_free, is_exact=is_exact, held=held)
    except CallerError as error:
        raise type(error)(f"{path}: {error.detail}" if path else error.detail, path=path or None) from error
