"""Own reading what Kubernetes tells of a pod: runs, waits and why, ended and how, or lost; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from engines.drivers.docker_api import clear_line
from engines.drivers.kubernetes_manifests import GATE, MAIN
from engines.drivers.kubernetes_words import UNHEARD, lost_words, no_node_words, waits_words
from engines.observation import ContainerSeen, ContainerState
from shared.names import LABEL_PHASE, Phase

Pod = Mapping[str, Any]

COULD_NOT_START = frozenset({"ContainerCannotRun", "StartError"})
"Why a container is said to have ended that never ran."
NEVER_STARTS = frozenset({"InvalidImageName", "ErrImageNeverPull", "CreateContainerError", "RunContainerError"})
"What a container waits for that will not come."
NO_SECRET = "CreateContainerConfigError"
"What a container waits for whose Secret is not there."
PULL_TROUBLE = frozenset({"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", NO_SECRET})
"What may pass: a registry out of reach, a Secret not there yet."
TROUBLE_MS = 120_000
"How long what may pass is waited for."
GATE_OPEN = 9
"The exit code of a gate that gave up: `pods.gate.OPEN`."
GRACE = "deletionGracePeriodSeconds"
BY_SIGNAL = frozenset({137, 143})
OPEN_GATE = "the cluster's network did not keep the algorithm from reaching it; its operator has to look at that"
STUCK_MS = 60_000
"A node that has not ended a deleted pod so long after its grace is not there any more."
TELLS_MS = 30_000
"A node may send that a pod has failed before how its container ended; the end follows."
NO_IMAGE = "ended::by-its-engine"
"No image's name: a node that is given it ends the container it has, and can start no other."
KUBELETS = frozenset({"ContainersNotReady", "PodCompleted", "PodFailed", "ReadinessGatesNotReady"})
"Why a node says that a pod is not ready; without one of them it is the cluster that says so, of a silent node's."
NOT_STARTED = "the cluster does not get it started; its volume may be held elsewhere"
OWN_LIMITS = ("ephemeral", "emptydir")
"In the message of an eviction for what the pod itself wrote; the server has no field for it."


def pod_seen(pod: Pod, now_ms: int, pending_s: int) -> ContainerSeen:
    """Judge one pod of a job. `pending_s`: how long it may wait for a node."""
    status, state = container_status(pod), container_state(pod)
    if "terminated" in state:
        return ended(pod, state["terminated"], status)
    if gate_state(pod).get("terminated", {}).get("exitCode") == GATE_OPEN:
        return ContainerSeen(ContainerState.EXITED, start_error=OPEN_GATE)
    if is_over(pod, state, now_ms):
        return ContainerSeen(
            ContainerState.EXITED,
            was_killed=is_lost(pod, None),
            lost=lost_words(pod, is_unheard=is_unheard(pod, now_ms)) if is_lost(pod, None) else None,
            disk_exceeded=is_over_its_disk(pod),
            started_at_ms=time_ms((state.get("running") or {}).get("startedAt")),
            finished_at_ms=over_at_ms(pod),
        )
    if "running" in state:
        return ContainerSeen(
            ContainerState.RUNNING,
            lost=lost_words(pod),
            started_at_ms=time_ms(state["running"].get("startedAt")),
            waiting=UNHEARD if silent_since_ms(pod) is not None else None,
        )
    return waiting(pod, gate_state(pod).get("waiting") or state.get("waiting") or {}, now_ms, pending_s)


def ended(pod: Pod, end: Mapping[str, Any], status: Mapping[str, Any]) -> ContainerSeen:
    """A container that ran to its end, or could not start."""
    reason, exit_code = str(end.get("reason") or ""), int(end.get("exitCode") or 0)
    if reason in COULD_NOT_START:
        told = clear_line(str(end.get("message") or reason))
        return ContainerSeen(ContainerState.EXITED, exit_code=exit_code, start_error=told.replace("\n", " "))
    started_at_ms, finished_at_ms = time_ms(end.get("startedAt")), time_ms(end.get("finishedAt"))
    is_oom = reason == "OOMKilled"
    was_killed = not is_oom and is_lost(pod, exit_code) and not ended_before(pod, exit_code, finished_at_ms)
    return ContainerSeen(
        state=ContainerState.EXITED,
        exit_code=None if reason == "ContainerStatusUnknown" else exit_code,
        oom_killed=is_oom,
        was_killed=was_killed,
        lost=lost_words(pod) if was_killed else None,
        disk_exceeded=is_over_its_disk(pod),
        started_at_ms=started_at_ms,
        finished_at_ms=max(finished_at_ms or 0, started_at_ms or 0) or None,
    )


def waiting(pod: Pod, waits: Mapping[str, Any], now_ms: int, pending_s: int) -> ContainerSeen:
    """A pod that has not started yet: running as far as we are asked, with the reason it does not."""
    reason = str(waits.get("reason") or "")
    age_ms = now_ms - (time_ms(pod["metadata"].get("creationTimestamp")) or now_ms)
    told = no_node_words(pod) if not pod["spec"].get("nodeName") else waits_words(waits)
    is_hopeless = reason in NEVER_STARTS or (reason in PULL_TROUBLE and age_ms > TROUBLE_MS)
    if is_hopeless or age_ms > pending_s * 1000:
        return ContainerSeen(ContainerState.EXITED, start_error=told or NOT_STARTED)
    return ContainerSeen(ContainerState.RUNNING, waiting=told, lacks_parts=reason == NO_SECRET)


def is_over(pod: Pod, state: Mapping[str, Any], now_ms: int) -> bool:
    """Whether nothing of a pod runs any more though no end of its container is told."""
    if pod["status"].get("phase") in ("Failed", "Succeeded"):
        return not is_end_on_its_way(pod, state, now_ms)
    if (state.get("waiting") or {}).get("reason") == "InvalidImageName" and was_told_to_end(pod):
        return True
    leaves_at_ms = time_ms(pod["metadata"].get("deletionTimestamp"))
    if leaves_at_ms is None:
        return False
    was_let_go = pod["metadata"].get(GRACE) == 0 and "running" not in state
    return not pod["spec"].get("nodeName") or was_let_go or is_unheard(pod, now_ms)


def is_unheard(pod: Pod, now_ms: int) -> bool:
    """Whether the pod was deleted so long ago that its node, had it been there, would have told its end."""
    leaves_at_ms = time_ms(pod["metadata"].get("deletionTimestamp"))
    return bool(pod["spec"].get("nodeName")) and leaves_at_ms is not None and now_ms > leaves_at_ms + STUCK_MS


def silent_since_ms(pod: Pod) -> int | None:
    """Since when the cluster has not heard of the node of a pod that runs; null where it has."""
    if pod["status"].get("phase") != "Running":
        return None
    for each in pod["status"].get("conditions") or ():
        if each["type"] == "Ready" and each["status"] == "False" and each.get("reason") not in KUBELETS:
            return time_ms(each.get("lastTransitionTime"))
    return None


def is_end_on_its_way(pod: Pod, state: Mapping[str, Any], now_ms: int) -> bool:
    """Whether a node that says both that the pod is over and that its container runs will still tell how that ended.

    A lost pod's node tells nothing more. A node of before 1.22 leaves the container out, and never tells.
    """
    if "running" not in state or is_lost(pod, None):
        return False
    conditions = pod["status"].get("conditions") or ()
    over_at = [
        each["lastTransitionTime"] for each in conditions if each["type"] == "Ready" and each["status"] == "False"
    ]
    return any(now_ms < (time_ms(each) or 0) + TELLS_MS for each in over_at)


def was_told_to_end(pod: Pod) -> bool:
    """Whether we have taken the pod's image away."""
    return any(each["image"] == NO_IMAGE for each in pod["spec"]["containers"])


def is_lost(pod: Pod, exit_code: int | None) -> bool:
    """Whether somebody else ended the pod: deleted, evicted, its node gone. Our own pods never end by a signal."""
    status = pod["status"]
    if pod["metadata"].get("deletionTimestamp"):
        return True
    if any(each["type"] == "DisruptionTarget" and each["status"] == "True" for each in status.get("conditions") or ()):
        return True
    if status.get("phase") == "Failed" and status.get("reason") not in (None, "", "DeadlineExceeded"):
        return not is_over_its_disk(pod)
    return exit_code in BY_SIGNAL and pod["metadata"]["labels"].get(LABEL_PHASE) != Phase.RUN.value


def ended_before(pod: Pod, exit_code: int, finished_at_ms: int | None) -> bool:
    """Whether the container had ended by itself when somebody deleted its pod: drains take those that are done too."""
    leaves_at_ms, grace_s = time_ms(pod["metadata"].get("deletionTimestamp")), pod["metadata"].get(GRACE)
    if leaves_at_ms is None or finished_at_ms is None or exit_code in BY_SIGNAL:
        return False
    return finished_at_ms < leaves_at_ms - int(grace_s or 0) * 1000


def is_over_its_disk(pod: Pod) -> bool:
    """Whether the node evicted the pod for what it wrote itself, not because the node ran out."""
    said = str(pod["status"].get("message") or "").lower().partition("the node was low")[0]
    return pod["status"].get("reason") == "Evicted" and any(each in said for each in OWN_LIMITS)


def over_at_ms(pod: Pod) -> int | None:
    """When a pod ended of whose container nothing is told: its deadline, its node's last word, or its removal."""
    began_ms, bound_s = time_ms(pod["status"].get("startTime")), pod["spec"].get("activeDeadlineSeconds")
    if pod["status"].get("reason") == "DeadlineExceeded" and began_ms is not None and bound_s is not None:
        return began_ms + int(bound_s) * 1000
    return silent_since_ms(pod) or time_ms(pod["metadata"].get("deletionTimestamp"))


def has_ended(pod: Pod, now_ms: int) -> bool:
    """Whether nothing of the pod runs any more."""
    state = container_state(pod)
    return "terminated" in state or is_over(pod, state, now_ms)


def container_status(pod: Pod) -> Mapping[str, Any]:
    """What is told of the pod's one container; empty before a node has it."""
    statuses: Sequence[Mapping[str, Any]] = pod["status"].get("containerStatuses") or ()
    return next((each for each in statuses if each["name"] == MAIN), {})


def container_state(pod: Pod) -> Mapping[str, Any]:
    """`waiting`, `running` or `terminated`; an end stays one though the node is asked to start it anew."""
    status = container_status(pod)
    state: Mapping[str, Any] = status.get("state") or {}
    earlier: Mapping[str, Any] = status.get("lastState") or {}
    return earlier if "terminated" in earlier and "running" not in state else state


def gate_state(pod: Pod) -> Mapping[str, Any]:
    """The state of the container that holds the algorithm back; empty where there is none."""
    statuses: Sequence[Mapping[str, Any]] = pod["status"].get("initContainerStatuses") or ()
    found: Mapping[str, Any] = next((each["state"] for each in statuses if each["name"] == GATE), {})
    return found


def is_held_back(pod: Pod) -> bool:
    """Whether the pod has a gate that has not ended."""
    has_gate = any(each["name"] == GATE for each in pod["spec"].get("initContainers") or ())
    return has_gate and "terminated" not in gate_state(pod)


def time_ms(text: object) -> int | None:
    """Kubernetes' time (RFC 3339, whole seconds) as Unix ms."""
    return (
        round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000) if isinstance(text, str) else None
    )
