"""A job that is one pod: its document, how its containers are started and closed, what a cluster tells of them."""

from __future__ import annotations

from typing import Any

import pytest

from engines.drivers.base import GpuRequest, PhaseSpec
from engines.drivers.kubernetes_manifests import KEEP
from engines.drivers.kubernetes_one_manifests import (
    HELD,
    PUBLISH_TRIES,
    containers_of,
    home_body,
    job_pod,
    made,
    opening,
    with_marks,
)
from engines.drivers.kubernetes_one_seen import is_gone, phase_has_ended, phase_seen
from engines.drivers.kubernetes_seen import NO_IMAGE
from engines.drivers.kubernetes_settings import KubernetesSettings
from engines.observation import ContainerSeen, ContainerState
from engines.pod_rules import RESTARTS
from shared.names import JobId, Phase

JOB, SHORT = JobId("ab" * 32), "ab" * 20
PROVISION, RUN, PUBLISH = Phase.PROVISION, Phase.RUN, Phase.PUBLISH
NOW_MS = 1_700_000_000_000
AT, NOW, LATER = "2023-11-14T22:12:20Z", "2023-11-14T22:13:20Z", "2023-11-14T22:14:00Z"
SETTINGS = KubernetesSettings.from_connection("k", {"namespace": "jobs", "volume": "emptyDir"})
CREATED, LOST = ContainerSeen(ContainerState.CREATED), ContainerSeen(ContainerState.EXITED, was_killed=True)
WAITS = ContainerSeen(ContainerState.RUNNING)
HELD_STATE = {"waiting": {"reason": "InvalidImageName", "message": f"couldn't parse {HELD}"}}


def spec(phase: Phase, **changes: Any) -> PhaseSpec:
    own = {"secret_environment": {"privateKey": "0x1"}, "acts_for": "1000:1000", "network": "pod", "image": "pod:1"}
    fields = {"image": "python:3", "user": "1000:1000", "max_seconds": 60} if phase is RUN else own
    known = {"command": ("x",), "environment": {}, "memory_bytes": 1 << 28, "disk_bytes": 1 << 30, "cpu_cores": 0.5}
    return PhaseSpec(job_id=JOB, engine="k", phase=phase, **{**known, **fields, **changes})  # type: ignore[arg-type]


def whole(**of_run: Any) -> dict[str, Any]:
    return job_pod([spec(PUBLISH), spec(RUN, **of_run), spec(PROVISION)], SETTINGS)


def pod(*phases: Phase, images: dict[str, str] | None = None, **states: dict[str, Any]) -> dict[str, Any]:
    """The pod on a node, with these phases made, these images in place, and these states told."""
    found = whole()
    for each in phases:
        found["metadata"] = with_marks(found["metadata"], made(spec(each))["metadata"])
    for each in found["spec"]["containers"]:
        each["image"] = (images or {}).get(each["name"], each["image"])
    found["spec"]["nodeName"] = "n1"
    found["metadata"]["creationTimestamp"] = AT
    seen_as = {each["name"]: each["image"] for each in found["spec"]["containers"]}
    statuses = [{"name": name, "image": seen_as[name], "state": state} for name, state in states.items()]
    return found | {"status": {"phase": "Pending", "startTime": AT, "containerStatuses": statuses}}


def end(code: int) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": "Error", "startedAt": AT, "finishedAt": NOW}}


def ended(code: int, **more: Any) -> ContainerSeen:
    return ContainerSeen(ContainerState.EXITED, code, started_at_ms=NOW_MS - 60_000, finished_at_ms=NOW_MS, **more)


def test_the_pod_of_a_job() -> None:
    found = whole()
    body = found["spec"]
    assert found["metadata"] == {
        "name": f"c2d-{SHORT}-job",
        "labels": {"c2d.job_id": JOB[:63], "c2d.engine": "k", "c2d.phase": "job", "c2d.network": "none"},
        "annotations": {"c2d.job_id": JOB},
        "finalizers": [KEEP],
    }
    assert body["volumes"] == [{"name": "data", "emptyDir": {"sizeLimit": str(1 << 30)}}]
    assert body["shareProcessNamespace"] is False and body["restartPolicy"] == "Never"
    assert "activeDeadlineSeconds" not in body
    names = ["provision", "run", "publish", "publish-2", "publish-3", "publish-4"]
    assert [each["name"] for each in body["containers"]] == names
    held = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    for each in body["containers"]:
        assert each["image"] == HELD and each["securityContext"] == held
        assert each["volumeMounts"] == [{"name": "data", "mountPath": "/data"}]


def test_only_our_own_containers_refer_to_the_key() -> None:
    containers = {each["name"]: each for each in whole()["spec"]["containers"]}
    key = {"name": "privateKey", "valueFrom": {"secretKeyRef": {"name": f"c2d-{SHORT}-publish", "key": "privateKey"}}}
    assert containers["run"]["env"] == []
    assert containers["publish"]["env"] == containers["publish-4"]["env"] == [key]


def test_what_is_promised_adds_up_to_little_more_than_the_algorithms() -> None:
    gpus = GpuRequest(extended={"nvidia.com/gpu": 2})
    containers = {each["name"]: each["resources"] for each in whole(gpu=gpus)["spec"]["containers"]}
    assert containers["run"]["requests"]["nvidia.com/gpu"] == "2" and containers["run"]["requests"]["cpu"] == "500m"
    assert containers["publish-2"]["requests"] == {"cpu": "10m", "memory": "16Mi"}
    assert containers["provision"]["requests"] == {"cpu": "10m", "memory": "16Mi", "ephemeral-storage": str(1 << 30)}
    assert [name for name, given in containers.items() if "nvidia.com/gpu" in str(given)] == ["run"]


def test_there_is_a_container_for_each_time_that_publishing_may_start() -> None:
    assert len(containers_of(PUBLISH)) == PUBLISH_TRIES == RESTARTS + 1


def test_what_a_job_hangs_on_is_empty() -> None:
    about = {"c2d.job_id": JOB[:63], "c2d.engine": "k"}
    assert home_body(JOB, "k") == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"c2d-{SHORT}-data", "labels": about, "annotations": {"c2d.job_id": JOB}},
    }


def test_a_start_is_for_what_is_held_alone_and_bounds_the_pod_from_then_on() -> None:
    assert opening(pod(RUN), spec(RUN), SETTINGS, NOW_MS) == [
        {"op": "test", "path": "/spec/containers/1/image", "value": HELD},
        {"op": "replace", "path": "/spec/containers/1/image", "value": "python:3"},
        {"op": "add", "path": "/metadata/annotations/c2d.started-at.run", "value": NOW},
        {"op": "replace", "path": "/spec/containers/0/image", "value": NO_IMAGE},
        {"op": "add", "path": "/spec/activeDeadlineSeconds", "value": 60 + 60 + 300 + 6 * 3600},
    ]


def test_what_came_before_is_closed_for_good_but_never_while_it_runs() -> None:
    images = {"provision": "pod:1", "run": "python:3"}
    after = pod(PUBLISH, images=images, provision=end(0), run=end(3))
    assert closed(after) == ["/spec/containers/0/image", "/spec/containers/1/image"]
    assert closed(pod(PUBLISH, images=images, provision=end(0), run={"running": {}})) == ["/spec/containers/0/image"]
    assert closed(pod(PUBLISH, images={"provision": NO_IMAGE, "run": HELD})) == ["/spec/containers/1/image"]


def closed(found: dict[str, Any]) -> list[str]:
    """The images that starting publishing takes away."""
    steps = opening(found, spec(PUBLISH), SETTINGS, NOW_MS)
    return [each["path"] for each in steps if each["value"] == NO_IMAGE]


def test_the_network_is_that_of_the_phase_that_is_made() -> None:
    assert made(spec(RUN))["metadata"]["labels"] == {"c2d.network": "none"}
    assert made(spec(PUBLISH), 2)["metadata"] == {
        "annotations": {"c2d.made.publish": "2"},
        "labels": {"c2d.network": "pod"},
    }


DELETED = {"deletionTimestamp": NOW, "deletionGracePeriodSeconds": 10}
EVICTED = {
    "phase": "Failed",
    "reason": "Evicted",
    "message": 'Usage of EmptyDir volume "data" exceeds the limit "50Mi". ',
}
OPEN = {"run": "python:3"}
RUNNING = ContainerSeen(ContainerState.RUNNING, started_at_ms=NOW_MS - 60_000)
RUNS = {"running": {"startedAt": AT}}
SAID: list[tuple[str, dict[str, Any], ContainerSeen | None]] = [
    ("not made", pod(), None),
    ("made", pod(RUN, run=HELD_STATE), CREATED),
    ("made, its pod evicted", pod(RUN) | {"status": EVICTED}, ContainerSeen(ContainerState.EXITED, disk_exceeded=True)),
    ("started, and the node has not seen it", pod(RUN, images=OPEN, run=HELD_STATE), WAITS),
    ("running", pod(RUN, images=OPEN, run=RUNS), RUNNING),
    ("ended", pod(RUN, images=OPEN, run=end(3)), ended(3)),
    ("ended, and closed behind", pod(RUN, images={"run": NO_IMAGE}, run=end(3)), ended(3)),
    ("asked to end, and runs", pod(RUN, images={"run": NO_IMAGE}, run=RUNS), RUNNING),
    ("ended before it ran", pod(RUN, images={"run": NO_IMAGE}, run=HELD_STATE), ContainerSeen(ContainerState.EXITED)),
    (
        "evicted while it ran",
        pod(RUN, images=OPEN) | {"status": EVICTED},
        ContainerSeen(ContainerState.EXITED, disk_exceeded=True),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("told", "found", "wanted"), SAID, ids=[each[0] for each in SAID])
def test_what_a_pod_tells_of_one_of_its_containers(
    told: str, found: dict[str, Any], wanted: ContainerSeen | None
) -> None:
    found["metadata"]["annotations"]["c2d.started-at.run"] = "2023-11-14T22:13:10Z"
    assert phase_seen(found, RUN, NOW_MS, 60) == wanted


def test_a_container_of_a_deleted_pod_that_was_held_is_lost() -> None:
    found = pod(PUBLISH)
    found["metadata"] |= DELETED
    seen = phase_seen(found, PUBLISH, NOW_MS, 60)
    assert seen is not None and seen.was_killed and seen.state is ContainerState.EXITED and is_gone(found)


def test_a_container_that_its_node_keeps_silent_about_is_lost_after_a_while() -> None:
    found = pod(PUBLISH, images={"publish": "pod:1"}, publish={"waiting": {"reason": "ContainerCreating"}})
    found["metadata"]["annotations"]["c2d.started-at.publish"] = NOW
    assert phase_seen(found, PUBLISH, NOW_MS + 299_000, 86_400) == WAITS
    assert phase_seen(found, PUBLISH, NOW_MS + 301_000, 86_400) == LOST


def test_a_bad_image_is_told_once_the_node_has_had_time_to_look_again() -> None:
    found = pod(RUN, images=OPEN, run={"waiting": {"reason": "InvalidImageName", "message": "bad name"}})
    found["metadata"]["annotations"]["c2d.started-at.run"] = NOW
    assert phase_seen(found, RUN, NOW_MS + 10_000, 86_400) == WAITS
    seen = phase_seen(found, RUN, NOW_MS + 31_000, 86_400)
    assert seen is not None and seen.start_error == "the node cannot have the image: bad name"


def test_asked_to_end_it_has_not_until_the_node_has_seen_that() -> None:
    found = pod(RUN, images={"run": NO_IMAGE}, run=HELD_STATE)
    assert phase_has_ended(found, RUN, NOW_MS)
    found["status"]["containerStatuses"][0]["image"] = "python:3"  # it may be about to start
    assert not phase_has_ended(found, RUN, NOW_MS)
    found["spec"].pop("nodeName")
    assert phase_has_ended(found, RUN, NOW_MS)
