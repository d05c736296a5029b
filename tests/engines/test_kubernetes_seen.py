"""What a cluster tells of a pod, and what it means."""

from __future__ import annotations

from typing import Any

import pytest

from engines.drivers.kubernetes_seen import GATE_OPEN, NOT_STARTED, OPEN_GATE, has_ended, is_held_back, pod_seen
from engines.drivers.kubernetes_words import DELETED as SOMEBODY
from engines.drivers.kubernetes_words import DISRUPTED, NODE_LOST, UNHEARD
from engines.observation import ContainerSeen, ContainerState
from pods.gate import OPEN

NOW_MS = 1_700_000_000_000
AT, LATER = "2023-11-14T22:13:00Z", "2023-11-14T22:13:10Z"
AT_MS, LATER_MS = 1_699_999_980_000, 1_699_999_990_000
RUNNING, EXITED = ContainerState.RUNNING, ContainerState.EXITED


def pod(state: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A pod on a node, with its one container in this state."""
    status = {"phase": "Running", "startTime": AT, **changes.pop("status", {})}
    if state is not None:
        status["containerStatuses"] = [{"name": "main", "state": state, **changes.pop("container", {})}]
    about = {"labels": {"c2d.phase": changes.pop("phase", "run")}, "creationTimestamp": AT, **changes.pop("meta", {})}
    needs = {"requests": {"cpu": "500m", "memory": str(2 << 30), "nvidia.com/gpu": "2"}}
    body = {"nodeName": "n1", "containers": [{"image": "i", "resources": needs}], **changes.pop("spec", {})}
    return {"metadata": about, "spec": body, "status": status}


def end(code: int, reason: str = "Error", **more: Any) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "startedAt": AT, "finishedAt": LATER, **more}}


def gated(gate: dict[str, Any], **status: Any) -> dict[str, Any]:
    """A pod whose gate is in this state."""
    told = {"initContainerStatuses": [{"name": "gate", "state": gate}], **status}
    return pod({"waiting": {"reason": "PodInitializing"}}, status=told)


def unscheduled(message: str, reason: str = "Unschedulable") -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
    return pod(spec={"nodeName": None}, status={"phase": "Pending", "conditions": [condition]})


def not_ready(since: str) -> dict[str, Any]:
    """What a node says of a pod that is over, whatever it says of the container."""
    return {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": since}]}


def preempted(reason: str) -> dict[str, Any]:
    """What current clusters say of a pod that they take away."""
    return {"type": "DisruptionTarget", "status": "True", "reason": reason}


def ended(code: int | None, **more: Any) -> ContainerSeen:
    return ContainerSeen(EXITED, code, started_at_ms=AT_MS, finished_at_ms=LATER_MS, **more)


DELETED = {"deletionTimestamp": LATER, "deletionGracePeriodSeconds": 10, "finalizers": ["c2d.node/keep"]}
CLEARED = {**DELETED, "deletionTimestamp": "2023-11-14T22:13:21Z"}
LEAVING = {**DELETED, "deletionTimestamp": "2023-11-14T22:13:15Z"}
STUCK = {**DELETED, "deletionTimestamp": "2023-11-14T22:10:00Z"}
OLD = {"creationTimestamp": "2023-11-14T22:00:00Z"}
RUNS = {"running": {"startedAt": AT}}
EVICTED = {"phase": "Failed", "reason": "Evicted"}
NODE_LOW = {**EVICTED, "message": "The node was low on resource: memory. "}
TOO_MUCH = {**EVICTED, "message": "Pod ephemeral local storage usage exceeds the total limit"}
OVER = {"phase": "Failed", "reason": "DeadlineExceeded"}
SHUT_DOWN = {"phase": "Failed", "reason": "NodeShutdown"}
UNREADY = {"type": "Ready", "status": "False", "lastTransitionTime": AT}
STUCK_AT_MS = 1_699_999_800_000
WAS_SHUT_DOWN = "The node the job ran on was shut down"
LOW = "The node the job ran on evicted its pod (The node was low on resource: memory.)"
REFUSED = "The node the job was sent to ended its pod (OutOfcpu: Node didn't have enough resource: cpu)"
NO_PROGRAM = 'x: unable to start container process: exec: "no": not found: unknown'
TAKEN = {"containers": [{"image": "ended::by-its-engine"}]}
SAID: list[tuple[str, dict[str, Any], ContainerSeen]] = [
    ("it runs", pod({"running": {"startedAt": AT}}), ContainerSeen(RUNNING, started_at_ms=AT_MS)),
    ("it is being prepared", pod({"waiting": {"reason": "ContainerCreating"}}), ContainerSeen(RUNNING)),
    ("no node has looked at it", pod(spec={"nodeName": None}), ContainerSeen(RUNNING)),
    (
        "nobody has enough GPUs",
        unscheduled("0/3 nodes are available: 3 Insufficient nvidia.com/gpu."),
        ContainerSeen(RUNNING, waiting="queued: no node has 2 GPUs free"),
    ),
    (
        "nobody has enough of two things",
        unscheduled("0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory."),
        ContainerSeen(RUNNING, waiting="queued: no node has 0.5 CPU cores and 2 GiB of memory free"),
    ),
    (
        "its volume is not made yet",
        unscheduled("0/1 nodes are available: 1 pod has unbound immediate PersistentVolumeClaims."),
        ContainerSeen(RUNNING, waiting="queued: the cluster has not made its volume yet"),
    ),
    (
        "another queue holds it",
        unscheduled("", "SchedulingGated"),
        ContainerSeen(RUNNING, waiting="queued: waits for its turn in the cluster's own queue"),
    ),
    (
        "its image may still come",
        pod({"waiting": {"reason": "ErrImagePull", "message": "no route"}}),
        ContainerSeen(RUNNING, waiting="the node cannot have the image: no route"),
    ),
    (
        "its image never comes",
        pod({"waiting": {"reason": "ImagePullBackOff", "message": "no"}}, meta=OLD),
        ContainerSeen(EXITED, start_error="the node cannot have the image: no"),
    ),
    ("its gate waits for the network", gated({"running": {"startedAt": AT}}), ContainerSeen(RUNNING)),
    (
        "its gate's image may still come",
        gated({"waiting": {"reason": "ErrImagePull", "message": "no route"}}),
        ContainerSeen(RUNNING, waiting="the node cannot have the image: no route"),
    ),
    ("its gate found no wall", gated(end(9), phase="Failed"), ContainerSeen(EXITED, start_error=OPEN_GATE)),
    ("its gate was ended with it", gated(end(143), **OVER), ContainerSeen(EXITED)),
    ("it ended well", pod(end(0, "Completed")), ended(0)),
    ("it failed", pod(end(3)), ended(3)),
    ("it used too much memory", pod(end(137, "OOMKilled")), ended(137, oom_killed=True)),
    ("an algorithm's own word is not enough for lost", pod(end(143)), ended(143)),
    ("our own pods never end by a signal", pod(end(143), phase="publish"), ended(143, was_killed=True)),
    ("somebody deleted it", pod(end(143), meta=DELETED), ended(143, was_killed=True, lost=SOMEBODY)),
    ("it was deleted, and made the best of it", pod(end(0), meta=DELETED), ended(0, was_killed=True, lost=SOMEBODY)),
    ("it had ended before somebody deleted it", pod(end(0), meta=CLEARED), ended(0)),
    ("whose signal it was nobody can tell", pod(end(143), meta=CLEARED), ended(143, was_killed=True, lost=SOMEBODY)),
    (
        "it is being deleted, and runs",
        pod(RUNS, meta=LEAVING),
        ContainerSeen(RUNNING, started_at_ms=AT_MS, lost=SOMEBODY),
    ),
    (
        "its node is not heard of",
        pod(RUNS, status={"conditions": [UNREADY]}),
        ContainerSeen(RUNNING, started_at_ms=AT_MS, waiting=UNHEARD),
    ),
    (
        "its node says that others beside it are not ready",
        pod(RUNS, status={"conditions": [{**UNREADY, "reason": "ContainersNotReady"}]}),
        ContainerSeen(RUNNING, started_at_ms=AT_MS),
    ),
    (
        "a pod of more weight took its place",
        pod(end(143), meta=DELETED, status={"conditions": [preempted("PreemptionByScheduler")]}),
        ended(143, was_killed=True, lost=DISRUPTED["PreemptionByScheduler"]),
    ),
    (
        "a node was drained",
        pod(end(143), meta=DELETED, status={"conditions": [preempted("EvictionByEvictionAPI")]}),
        ended(143, was_killed=True, lost=DISRUPTED["EvictionByEvictionAPI"]),
    ),
    (
        "somebody took its node away, in words of a cluster to come",
        pod(end(143), meta=DELETED, status={"conditions": [preempted("SomethingNew")]}),
        ended(143, was_killed=True, lost=SOMEBODY),
    ),
    (
        "its node had no room for it after all",
        pod(status={"phase": "Failed", "reason": "OutOfcpu", "message": "Node didn't have enough resource: cpu"}),
        ContainerSeen(EXITED, was_killed=True, lost=REFUSED),
    ),
    (
        "its Secret is not there",
        pod({"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "s" not found'}}),
        ContainerSeen(RUNNING, waiting='the node cannot start the container: secret "s" not found', lacks_parts=True),
    ),
    (
        "its node never ended it",
        pod(RUNS, meta=STUCK),
        ContainerSeen(EXITED, None, was_killed=True, lost=NODE_LOST, started_at_ms=AT_MS, finished_at_ms=STUCK_AT_MS),
    ),
    (
        "its node never ended it, and was not heard of since before",
        pod(RUNS, meta=STUCK, status={"conditions": [{**UNREADY, "lastTransitionTime": "2023-11-14T22:09:00Z"}]}),
        ContainerSeen(
            EXITED, None, was_killed=True, lost=NODE_LOST, started_at_ms=AT_MS, finished_at_ms=STUCK_AT_MS - 60_000
        ),
    ),
    (
        "deleted before any node had it",
        pod(spec={"nodeName": None}, meta=DELETED),
        ContainerSeen(EXITED, was_killed=True, lost=SOMEBODY, finished_at_ms=LATER_MS),
    ),
    ("the node was low on memory", pod(status=NODE_LOW), ContainerSeen(EXITED, was_killed=True, lost=LOW)),
    ("it wrote too much", pod(status=TOO_MUCH), ContainerSeen(EXITED, disk_exceeded=True)),
    (
        "its node went",
        pod(status={"phase": "Failed", "reason": "NodeLost"}),
        ContainerSeen(EXITED, was_killed=True, lost=NODE_LOST),
    ),
    (
        "the cluster's own bound ended it",
        pod(RUNS, spec={"activeDeadlineSeconds": 10}, status=OVER),
        ContainerSeen(EXITED, started_at_ms=AT_MS, finished_at_ms=LATER_MS),
    ),
    (
        "it is over, and how it ended is still on its way",
        pod(RUNS, spec={"activeDeadlineSeconds": 1}, status=OVER | not_ready("2023-11-14T22:13:00Z")),
        ContainerSeen(RUNNING, started_at_ms=AT_MS),
    ),
    (
        "it is over, and its node never told how it ended",
        pod(RUNS, spec={"activeDeadlineSeconds": 10}, status=OVER | not_ready("2023-11-14T22:12:40Z")),
        ContainerSeen(EXITED, started_at_ms=AT_MS, finished_at_ms=LATER_MS),
    ),
    (
        "its node shut down a moment ago",
        pod(RUNS, status=SHUT_DOWN | not_ready(LATER)),
        ContainerSeen(EXITED, was_killed=True, lost=WAS_SHUT_DOWN, started_at_ms=AT_MS),
    ),
    (
        "nobody knows its end",
        pod(end(137, "ContainerStatusUnknown"), status=SHUT_DOWN),
        ended(None, was_killed=True, lost=WAS_SHUT_DOWN),
    ),
    (
        "there is no such program",
        pod(end(128, "StartError", message=NO_PROGRAM)),
        ContainerSeen(EXITED, 128, start_error='exec: "no": not found'),
    ),
    (
        "it was told to end before it started",
        pod({"waiting": {"reason": "InvalidImageName"}}, spec=TAKEN),
        ContainerSeen(EXITED),
    ),
]


@pytest.mark.parametrize(("found", "meaning"), [each[1:] for each in SAID], ids=[each[0] for each in SAID])
def test_a_pod_is_judged(found: dict[str, Any], meaning: ContainerSeen) -> None:
    seen = pod_seen(found, NOW_MS, pending_s=86_400)
    assert seen == meaning
    if seen.start_error is None:
        assert has_ended(found, NOW_MS) == (seen.state is EXITED)


def test_a_pod_waits_for_a_node_only_so_long() -> None:
    seen = pod_seen(unscheduled("0/1 nodes are available: 1 Insufficient cpu."), NOW_MS, pending_s=10)
    assert seen == ContainerSeen(EXITED, start_error="queued: no node has 0.5 CPU cores free")


def test_an_algorithm_is_held_back_until_its_gate_has_ended() -> None:
    has_gate = {"initContainers": [{"name": "gate"}]}
    assert not is_held_back(pod(RUNS))
    assert is_held_back(pod(spec=has_gate)), "no node has said anything yet"
    for state, is_held in (({"running": {"startedAt": AT}}, True), (end(0), False), (end(9), False)):
        assert is_held_back({**gated(state), "spec": has_gate}) == is_held


def test_a_pod_that_a_node_never_gets_started_is_given_up_after_the_same_time() -> None:
    found = pod({"waiting": {"reason": "ContainerCreating"}})
    assert pod_seen(found, NOW_MS, pending_s=10) == ContainerSeen(EXITED, start_error=NOT_STARTED)


def test_the_gate_and_who_reads_it_agree() -> None:
    assert GATE_OPEN == OPEN
