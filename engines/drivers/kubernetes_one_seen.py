"""Own reading what one of a job's pod's containers is at, as if it had the pod to itself; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engines.drivers.kubernetes_manifests import MAIN
from engines.drivers.kubernetes_one_manifests import HELD, Pod, container_of, image_of, started_at, tries
from engines.drivers.kubernetes_seen import NO_IMAGE, has_ended, is_over_its_disk, over_at_ms, pod_seen, time_ms
from engines.observation import ContainerSeen, ContainerState
from shared.names import LABEL_PHASE, Phase

SILENT_MS = {Phase.RUN: 3_600_000, Phase.PUBLISH: 300_000}
"A node that says nothing for so long of a container it was to start never will: the pod's sandbox is gone."
NO_NAME = "InvalidImageName"
STALE_MS = 30_000
"So long after a start a node may still repeat what it said of the container while it was held."


def phase_seen(pod: Pod, phase: Phase, now_ms: int, pending_s: int) -> ContainerSeen | None:
    """Judge one phase of a job; null where it was not made."""
    if not tries(pod, phase):
        return None
    if image_of(pod, container_of(pod, phase)) == HELD:
        return lost(pod) if is_gone(pod) else ContainerSeen(ContainerState.CREATED)
    seen = pod_seen(alone(pod, phase, now_ms), now_ms, pending_s)
    began_ms = time_ms(started_at(pod, phase))
    is_silent = seen.state is ContainerState.RUNNING and seen.started_at_ms is None and seen.waiting is None
    if is_silent and began_ms is not None and now_ms > began_ms + SILENT_MS.get(phase, now_ms):
        return lost(pod)
    return seen


def lost(pod: Pod) -> ContainerSeen:
    """A container that never ran, and never will."""
    return ContainerSeen(
        ContainerState.EXITED,
        was_killed=not is_over_its_disk(pod),
        disk_exceeded=is_over_its_disk(pod),
        finished_at_ms=over_at_ms(pod),
    )


def phase_has_ended(pod: Pod, phase: Phase, now_ms: int) -> bool:
    """Whether nothing of the phase runs, or can start by itself."""
    if image_of(pod, container_of(pod, phase)) == HELD:
        return True
    return has_ended(alone(pod, phase, now_ms), now_ms)


def is_gone(pod: Pod) -> bool:
    """Whether the pod's volume is, or soon will be, out of everybody's reach."""
    is_over = pod["status"].get("phase") == "Failed" and bool(pod["status"].get("reason"))
    return is_over or bool(pod["metadata"].get("deletionTimestamp"))


def alone(pod: Pod, phase: Phase, now_ms: int) -> dict[str, Any]:
    """The pod as it would be with this phase's container alone, made when that was started."""
    name, about = container_of(pod, phase), pod["metadata"]
    own = next(each for each in pod["spec"]["containers"] if each["name"] == name)
    others = [{**each, "image": ""} for each in pod["spec"]["containers"] if each["name"] != name]
    made_at = started_at(pod, phase) or about.get("creationTimestamp")
    statuses: list[dict[str, Any]] = pod["status"].get("containerStatuses") or []
    status = next((each for each in statuses if each["name"] == name), {})
    told = {**status, "name": MAIN, "state": said(pod, own, status, now_ms - (time_ms(made_at) or 0))}
    return {
        "metadata": {**about, "labels": {**about["labels"], LABEL_PHASE: phase.value}, "creationTimestamp": made_at},
        "spec": {**pod["spec"], "containers": [own, *others]},
        "status": {**pod["status"], "containerStatuses": [told]},
    }


def said(pod: Pod, own: Mapping[str, Any], status: Mapping[str, Any], age_ms: int) -> Mapping[str, Any]:
    """A container's state, without what its node said before it saw the image that is there now.

    Whose image was taken away has ended once the node says that it waits for that one; at once where no node has it.
    """
    state: Mapping[str, Any] = status.get("state") or {}
    if own["image"] == NO_IMAGE and not pod["spec"].get("nodeName"):
        return {"waiting": {"reason": NO_NAME}}
    if "waiting" not in state:
        return state
    if own["image"] == NO_IMAGE:
        return {"waiting": {"reason": NO_NAME}} if status.get("image") == NO_IMAGE else {}
    is_stale = status.get("image") != own["image"] or (state["waiting"].get("reason") == NO_NAME and age_ms < STALE_MS)
    return {} if is_stale else state
