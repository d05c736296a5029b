"""Own ocean-node's form of a start (wire §7): a workflow of one job; pure. Fields it does not know are ignored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared import assets
from shared.errors import InvalidRequest
from shared.file_objects import Decrypt, FileObject, parse_files, with_userdata
from shared.start_fields import amounts, checked_metadata, lower_addresses, seconds, shown_container, texts
from shared.workflow import AlgorithmRequest, InputRequest, JobRequest, Workflow


def from_body(body: Mapping[str, Any], decrypt: Decrypt) -> Workflow:
    """Read the form, checked by its schema already. Raises: InvalidRequest with the field's path."""
    inputs = tuple(_input(place, entry, decrypt) for place, entry in enumerate(body.get("datasets") or []))
    job = JobRequest(
        index=0,
        algorithm=_algorithm(body["algorithm"], decrypt),
        inputs=inputs,
        environment_id=body["environment"],
        wanted=amounts(_resources(body)),
        max_duration_s=seconds(body.get("maxJobDuration")),
        registry_auth=body.get("encryptedDockerRegistryAuth") or None,
    )
    return Workflow(
        door="command",
        jobs=(job,),
        metadata=checked_metadata(body.get("metadata")),
        viewers=lower_addresses(body.get("additionalViewers")),
        output=body.get("output") or None,
        queue_max_wait_s=int(body.get("queueMaxWaitTime") or 0),
    )


def _resources(body: Mapping[str, Any]) -> Any:
    """The amounts beside the payment, as a start has them, else those in it, as a quote has."""
    beside, payment = body.get("resources"), body.get("payment")
    return payment.get("resources") if beside is None and isinstance(payment, dict) else beside


def _input(place: int, entry: Mapping[str, Any], decrypt: Decrypt) -> InputRequest:
    files = _files(entry, f"datasets[{place}]", decrypt)
    return InputRequest(place, entry.get("documentId") or None, entry.get("serviceId") or None, files)


def _algorithm(entry: Mapping[str, Any], decrypt: Decrypt) -> AlgorithmRequest:
    meta = entry.get("meta") or {}
    container = meta.get("container")
    if not container:
        raise InvalidRequest(
            "algorithm.meta.container: this field is required: this node resolves no DIDs",
            path="algorithm.meta.container",
        )
    is_raw = bool(meta.get("rawcode")) or not (entry.get("fileObject") or entry.get("documentId"))
    return AlgorithmRequest(
        container=shown_container(container),
        did=entry.get("documentId") or None,
        service_id=entry.get("serviceId") or None,
        files=() if is_raw else _files(entry, "algorithm", decrypt),
        rawcode=meta.get("rawcode") or None,
        envs=texts(entry.get("envs")),
        custom_data=entry.get("algocustomdata"),
        dockerfile=container.get("dockerfile") or None,
        extra_files=texts(container.get("additionalDockerFiles")),
    )


def _files(entry: Mapping[str, Any], path: str, decrypt: Decrypt) -> tuple[FileObject, ...]:
    if not entry.get("fileObject") and entry.get("documentId"):
        assets.files(entry["documentId"], path)
    if not entry.get("fileObject"):
        raise InvalidRequest(
            f"{path}.fileObject: this field is required where there is no DID", path=f"{path}.fileObject"
        )
    files = parse_files(entry["fileObject"], f"{path}.fileObject", decrypt)
    return with_userdata(files, entry.get("userdata"), f"{path}.userdata")
