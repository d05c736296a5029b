"""Own what is submitted: a workflow of jobs, what runs after what, and which jobs are ready; pure.

Here the seeds' form is read; ocean-node's (`shared.command_form`) becomes a workflow of one job.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared import assets
from shared.errors import InvalidRequest
from shared.file_objects import Decrypt, FileObject, parse_files
from shared.names import JobId
from shared.run_after import find_cycle
from shared.start_fields import amounts, checked_metadata, lower_addresses, seconds, shown_container, texts

QUEUE_MAX_WAIT_S = 86_400
"How long a workflow's jobs wait in the queue where nothing is said."
Earlier = int | JobId
"A job of this workflow by its index, or of an earlier one by its id."


@dataclass(frozen=True)
class InputRequest:
    """One input: files, or an earlier job's outputs."""

    index: int
    did: str | None = None
    service_id: str | None = None
    files: tuple[FileObject, ...] = field(default=(), repr=False)
    from_job: Earlier | None = None


@dataclass(frozen=True)
class AlgorithmRequest:
    """What runs."""

    container: Mapping[str, Any]
    "image, tag, checksum, entrypoint."
    did: str | None = None
    service_id: str | None = None
    files: tuple[FileObject, ...] = field(default=(), repr=False)
    rawcode: str | None = field(default=None, repr=False)
    envs: Mapping[str, str] = field(default_factory=dict, repr=False)
    custom_data: Any = field(default=None, repr=False)
    dockerfile: str | None = field(default=None, repr=False)
    extra_files: Mapping[str, str] = field(default_factory=dict, repr=False)

    def shown(self, layout: str | None) -> dict[str, Any]:
        """What may be shown of it."""
        return {
            "did": self.did,
            "serviceId": self.service_id,
            "container": dict(self.container),
            "hasDockerfile": self.dockerfile is not None,
            "layout": layout,
        }

    def hidden(self, registry_auth: str | None) -> dict[str, Any]:
        """What may not, and is sealed."""
        return {
            "files": list(self.files),
            "rawcode": self.rawcode,
            "envs": dict(self.envs),
            "algocustomdata": self.custom_data,
            "dockerfile": self.dockerfile,
            "additionalDockerFiles": dict(self.extra_files),
            "registryAuth": registry_auth,
        }


@dataclass(frozen=True)
class JobRequest:
    """One entry of a workflow."""

    index: int
    algorithm: AlgorithmRequest
    inputs: tuple[InputRequest, ...] = ()
    run_after: tuple[Earlier, ...] = ()
    "Without repetition; an input from an earlier job is among them."
    environment_id: str | None = None
    wanted: Mapping[str, float] = field(default_factory=dict)
    "Resource id → amount; what is missing means the environment's minimum."
    max_duration_s: int | None = None
    layout: str | None = None
    "`did` or `flat`; null = the environment's."
    registry_auth: str | None = field(default=None, repr=False)
    "Still encrypted for the node; the engine opens it."


@dataclass(frozen=True)
class Workflow:
    """All that one consumer submits at once."""

    door: str
    "`workflow` (the seeds' form) or `command` (ocean-node's)."
    jobs: tuple[JobRequest, ...]
    metadata: Mapping[str, Any] | None = None
    viewers: tuple[str, ...] | None = None
    "Lower case."
    output: Any = field(default=None, repr=False)
    queue_max_wait_s: int = QUEUE_MAX_WAIT_S


def from_body(body: Mapping[str, Any], decrypt: Decrypt) -> Workflow:
    """Read the seeds' form, checked by its schema already. Raises: InvalidRequest with the field's path."""
    jobs = tuple(
        _job(entry, f"workflow[{place}]", body.get("environment"), decrypt)
        for place, entry in enumerate(body["workflow"])
    )
    check_graph(jobs)
    wait = body.get("queueMaxWaitTime")
    return Workflow(
        door="workflow",
        jobs=jobs,
        metadata=checked_metadata(body.get("metadata")),
        viewers=lower_addresses(body.get("additionalViewers")),
        output=body.get("output"),
        queue_max_wait_s=QUEUE_MAX_WAIT_S if wait is None else int(wait),
    )


def check_graph(jobs: Collection[JobRequest]) -> None:
    """Refuse an index that is there twice, a job nobody sent, and a cycle. Raises: InvalidRequest."""
    places: dict[int, int] = {}
    for place, job in enumerate(jobs):
        if job.index in places:
            raise _wrong(f"workflow[{place}].index", f"index {job.index} is that of workflow[{places[job.index]}] too")
        places[job.index] = place
    for place, job in enumerate(jobs):
        for earlier in job.run_after:
            if isinstance(earlier, int) and earlier not in places:
                raise _wrong(f"workflow[{place}].runAfter", f"there is no job with index {earlier}")
    cycle = find_cycle({job.index: [each for each in job.run_after if isinstance(each, int)] for job in jobs})
    if cycle:
        path = f"workflow[{places[cycle[0]]}].runAfter"
        raise _wrong(path, f"jobs wait for each other: {' after '.join(str(index) for index in cycle)}")


def ready(jobs: Iterable[JobRequest], succeeded: Collection[Earlier]) -> list[JobRequest]:
    """Tell which jobs have nothing left to wait for."""
    return [job for job in jobs if all(earlier in succeeded for earlier in job.run_after)]


def _job(entry: Mapping[str, Any], path: str, environment_id: str | None, decrypt: Decrypt) -> JobRequest:
    inputs = tuple(
        _input(each, f"{path}.input[{place}]", decrypt) for place, each in enumerate(entry.get("input") or [])
    )
    if len({each.index for each in inputs}) < len(inputs):
        raise _wrong(f"{path}.input", "two inputs have one index")
    compute = entry.get("compute") or {}
    wanted = {ours: compute[name] for name, ours in COMPUTE.items() if compute.get(name) is not None}
    named = [_earlier(each) for each in _list(entry.get("runAfter"))]
    implied = [each.from_job for each in inputs if each.from_job is not None]
    return JobRequest(
        index=int(entry["index"]),
        algorithm=_algorithm(entry["algorithm"], f"{path}.algorithm", decrypt),
        inputs=inputs,
        run_after=tuple(dict.fromkeys([*named, *implied])),
        environment_id=entry.get("environment") or environment_id,
        wanted={**wanted, **amounts(entry.get("resources"))},
        max_duration_s=seconds(compute.get("maxDuration")),
        layout=entry.get("layout"),
    )


COMPUTE = {"cpu": "cpu", "ram": "ram", "disc": "disk"}


def _input(entry: Mapping[str, Any], path: str, decrypt: Decrypt) -> InputRequest:
    earlier = entry.get("fromJob", entry.get("previousStage"))
    files = entry.get("files")
    if earlier is None and files is None and entry.get("did"):
        assets.files(entry["did"], path)
    if (earlier is None) == (files is None):
        hint = "give either files or fromJob" if files else "give files or fromJob"
        raise _wrong(path, hint)
    return InputRequest(
        index=int(entry["index"]),
        did=entry.get("did"),
        service_id=entry.get("serviceId"),
        files=() if files is None else parse_files(files, f"{path}.files", decrypt),
        from_job=None if earlier is None else _earlier(earlier),
    )


def _algorithm(entry: Mapping[str, Any], path: str, decrypt: Decrypt) -> AlgorithmRequest:
    container = entry.get("container")
    if container is None:
        raise _wrong(f"{path}.container", "this field is required: this node resolves no DIDs")
    files = entry.get("files")
    return AlgorithmRequest(
        container=shown_container(container),
        did=entry.get("did"),
        service_id=entry.get("serviceId"),
        files=() if files is None else parse_files(files, f"{path}.files", decrypt),
        rawcode=entry.get("rawcode") or None,
        envs=texts(entry.get("envs")),
        custom_data=entry.get("algocustomdata"),
        dockerfile=container.get("dockerfile") or None,
        extra_files=texts(container.get("additionalDockerFiles")),
    )


def _earlier(value: int | float | str) -> Earlier:
    return JobId(value.rpartition("-")[2]) if isinstance(value, str) else int(value)


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _wrong(path: str, sentence: str) -> InvalidRequest:
    return InvalidRequest(f"{path}: {sentence}", path=path)
