"""Own the documents of a job that is one pod on an `emptyDir`, and how each of its containers is started; pure.

A container that has not started has `HELD` in the place of its image, which is no image's name: the node makes nothing
of it and asks no registry. Starting is to put the image there, which Kubernetes allows in a pod that is made, and which
we do only where `HELD` still is: so the image is the memory of the start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from engines.drivers.base import PhaseSpec
from engines.drivers.kubernetes_manifests import (
    KEEP,
    LABEL_NETWORK,
    PULL,
    QUEUE_LABEL,
    USER,
    container,
    metadata,
    network_label,
    pod_body,
    resources,
    thing_name,
)
from engines.drivers.kubernetes_seen import NO_IMAGE, time_ms
from engines.drivers.kubernetes_settings import KubernetesSettings
from engines.drivers.kubernetes_things import mark
from shared import names
from shared.names import JobId, Phase

JOB = "job"
"What the one pod is of: neither phase alone."
HELD = "held::until-its-phase"
PUBLISH_TRIES = 4
"Containers for publishing: one that has ended cannot be started a second time."
WAITING = {"cpu": "10m", "memory": "16Mi"}
"What our own containers are promised each: only one of the pod's runs at a time, and has what all were promised."
PUBLISHING_S = 6 * 3600
"The pod's own deadline leaves publishing so long: once set it can only be shortened."
STARTED_AT = "c2d.started-at"

Pod = Mapping[str, Any]


def home_body(job_id: JobId, engine: str) -> dict[str, Any]:
    """What a job's pod and Secrets hang on, and what tells that there was a pod: a ConfigMap without contents."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(names.volume_name(job_id), job_id, engine)}


def job_pod(specs: Sequence[PhaseSpec], settings: KubernetesSettings) -> dict[str, Any]:
    """The pod of a job's phases, all held."""
    ordered = sorted(specs, key=lambda each: list(Phase).index(each.phase))
    first, placement = ordered[0], settings.place(ordered[0].placement)
    user = first.acts_for or first.user or USER
    body = pod_body(placement, user)
    if any(each.has_registry_login for each in ordered):
        login = {"name": thing_name(first.job_id, PULL)}
        body["imagePullSecrets"] = [*body.get("imagePullSecrets", ()), login]
    body["shareProcessNamespace"] = False  # the algorithm sees no process of ours
    body["volumes"] = [{"name": "data", "emptyDir": {"sizeLimit": str(first.disk_bytes)}}]
    body["containers"] = [
        {**container(each, user), "name": name, "image": HELD, "resources": shared_resources(each)}
        for each in ordered
        for name in containers_of(each.phase)
    ]
    about = metadata(pod_name(first.job_id), first.job_id, first.engine, JOB)
    about["labels"][LABEL_NETWORK] = network_label(None)
    if placement.queue:
        about["labels"][QUEUE_LABEL] = placement.queue
    about["finalizers"] = [KEEP]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": body}


def pod_name(job_id: JobId) -> str:
    """The one pod's name."""
    return thing_name(job_id, JOB)


def containers_of(phase: Phase) -> list[str]:
    """The names of a phase's containers, in the order in which they are used."""
    tries = PUBLISH_TRIES if phase is Phase.PUBLISH else 1
    return [phase.value, *(f"{phase}-{number}" for number in range(2, tries + 1))]


def shared_resources(spec: PhaseSpec) -> dict[str, Any]:
    """What a container may use is its own; what it is promised adds up over the pod, though one alone runs.

    The volume is promised by the configuration's, and may be as large beside what the algorithm writes elsewhere.
    """
    given = resources(spec)
    if spec.phase is Phase.RUN:
        return given
    disk = {"ephemeral-storage": str(spec.disk_bytes)} if spec.phase is Phase.PROVISION else {}
    return {"limits": given["limits"] | disk, "requests": WAITING | disk}


def made(spec: PhaseSpec, number: int = 1) -> dict[str, Any]:
    """The patch that notes a phase as made: which of its containers is meant, and what the pod may reach meanwhile."""
    notes, labels = {mark("c2d.made", spec.phase): str(number)}, {LABEL_NETWORK: network_label(spec.network)}
    return {"metadata": {"annotations": notes, "labels": labels}}


def with_marks(about: Mapping[str, Any], marks: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """The same with more labels and annotations."""
    return {**about, **{kind: {**about[kind], **more} for kind, more in marks.items()}}


def tries(pod: Pod, phase: Phase) -> int:
    """Which of the phase's containers is meant, counted from 1; 0 where the phase was not made."""
    return int((pod["metadata"].get("annotations") or {}).get(mark("c2d.made", phase), 0))


def container_of(pod: Pod, phase: Phase) -> str:
    """The name of the phase's container that is meant."""
    return containers_of(phase)[max(tries(pod, phase), 1) - 1]


def image_of(pod: Pod, name: str) -> str:
    """What a container has for its image; none where the pod was made without it."""
    return next((str(each["image"]) for each in pod["spec"]["containers"] if each["name"] == name), "")


def opening(pod: Pod, spec: PhaseSpec, settings: KubernetesSettings, now_ms: int) -> list[dict[str, Any]]:
    """The JSON patch that starts a phase, only where it is still held, and closes what came before it for good."""
    index = [each["name"] for each in pod["spec"]["containers"]].index(container_of(pod, spec.phase))
    path = f"/spec/containers/{index}/image"
    at = datetime.fromtimestamp(now_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    steps: list[dict[str, Any]] = [
        {"op": "test", "path": path, "value": HELD},
        {"op": "replace", "path": path, "value": spec.image},
        {"op": "add", "path": f"/metadata/annotations/{mark(STARTED_AT, spec.phase)}", "value": at},
        *({"op": "replace", "path": each, "value": NO_IMAGE} for each in left_behind(pod, index)),
    ]
    if spec.phase is Phase.RUN and spec.max_seconds is not None:
        began_ms = time_ms(pod["status"].get("startTime")) or now_ms
        allowed = spec.max_seconds + settings.slack_s + PUBLISHING_S
        bound = (now_ms - began_ms) // 1000 + allowed
        steps.append({"op": "add", "path": "/spec/activeDeadlineSeconds", "value": bound})
    return steps


def left_behind(pod: Pod, index: int) -> Iterator[str]:
    """Where the images are of earlier containers that have ended, or must not start any more.

    A node that has lost its memory of an ended container would run it again: not without an image.
    """
    states = {each["name"]: each.get("state") or {} for each in pod["status"].get("containerStatuses") or ()}
    for place, each in enumerate(pod["spec"]["containers"][:index]):
        if each["image"] == HELD or (each["image"] != NO_IMAGE and "terminated" in states.get(each["name"], {})):
            yield f"/spec/containers/{place}/image"


def started_at(pod: Pod, phase: Phase) -> str | None:
    """When the phase was started, as Kubernetes writes times."""
    found: str | None = (pod["metadata"].get("annotations") or {}).get(mark(STARTED_AT, phase))
    return found
