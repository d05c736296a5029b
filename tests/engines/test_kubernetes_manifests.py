"""The documents a cluster is handed, whole."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from engines.drivers.base import GpuRequest, PhaseSpec
from engines.drivers.kubernetes_manifests import (
    claim,
    key_secret,
    literal,
    meter_pod,
    owned,
    phase_pod,
    probe_pod,
    pull_secret,
)
from engines.drivers.kubernetes_network import policies, policy_name
from engines.drivers.kubernetes_settings import KubernetesSettings
from engines.drivers.kubernetes_storage import IS_DEFAULT, LATE, is_late
from shared.names import JobId, Phase

JOB = JobId("ab" * 32)
SHORT = "ab" * 20
MARKS = {"c2d.job_id": JOB[:63], "c2d.engine": "k.123"}
SETTINGS = KubernetesSettings.from_connection("k.123", {"namespace": "jobs", "podImage": "pod:1"})
HELD = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def leaves(trouble: str) -> dict[str, Any]:
    key = f"node.kubernetes.io/{trouble}"
    return {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 120}


def spec(phase: Phase = Phase.RUN, **changes: Any) -> PhaseSpec:
    fields: dict[str, Any] = {
        "image": "python:3", "command": ("sh", "-c", "echo $(date) $$ $HOME"), "environment": {"A": "$(A)"},
        "user": "1000:1000", "cpu_cores": 0.5, "memory_bytes": 1 << 28, "disk_bytes": 1 << 30, "max_seconds": 60,
    }  # fmt: skip
    return PhaseSpec(job_id=JOB, engine="k.123", phase=phase, **fields | changes)


def test_an_algorithms_pod() -> None:
    assert phase_pod(spec(), SETTINGS) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"c2d-{SHORT}-run",
            "labels": {**MARKS, "c2d.phase": "run", "c2d.network": "none"},
            "annotations": {"c2d.job_id": JOB},
            "finalizers": ["c2d.node/keep"],
        },
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 10,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "shareProcessNamespace": True,
            "activeDeadlineSeconds": 360,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "runAsGroup": 1000,
                "fsGroup": 1000,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "tolerations": [leaves("not-ready"), leaves("unreachable")],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": f"c2d-{SHORT}-data"}}],
            "containers": [
                {
                    "name": "main",
                    "image": "python:3",
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", "echo $$(date) $$$ $HOME"],
                    "args": [],
                    "env": [{"name": "A", "value": "$$(A)"}],
                    "resources": {
                        "limits": {"cpu": "500m", "memory": str(1 << 28), "ephemeral-storage": str(1 << 30)},
                        "requests": {"cpu": "500m", "memory": str(1 << 28), "ephemeral-storage": str(64 << 20)},
                    },
                    "securityContext": HELD,
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }
            ],
        },
    }


def test_a_gate_holds_back_an_algorithm_that_may_reach_nothing() -> None:
    connection = {"podImage": "pod:1", "podApiUrl": "http://node:8000", "networkGate": True}
    settings = KubernetesSettings.from_connection("k.123", connection)
    [gate] = phase_pod(spec(), settings)["spec"]["initContainers"]
    assert gate["command"] == ["python3", "-m", "pods.gate", "45", "http://node:8000"]
    assert (gate["name"], gate["image"], gate["securityContext"]) == ("gate", "pod:1", HELD)
    for other in (spec(network="internet"), spec(Phase.PROVISION, network="pod")):
        assert "initContainers" not in phase_pod(other, settings)["spec"]


def test_our_own_pods_act_as_the_algorithms_user_and_refer_to_their_key() -> None:
    own = spec(
        Phase.PROVISION, user="0:0", acts_for="1000:1000", capabilities=("CHOWN",), network="pod",
        secret_environment={"privateKey": "0xsecret"}, environment={}, max_seconds=None,
    )  # fmt: skip
    pod = phase_pod(own, SETTINGS)
    [container] = pod["spec"]["containers"]
    assert pod["spec"]["securityContext"]["runAsUser"] == 1000 and container["securityContext"] == HELD
    name = f"c2d-{SHORT}-provision"
    assert container["env"] == [
        {"name": "privateKey", "valueFrom": {"secretKeyRef": {"name": name, "key": "privateKey"}}}
    ]
    assert container["resources"]["requests"] == {"cpu": "100m", "memory": "128Mi"}
    assert "activeDeadlineSeconds" not in pod["spec"] and pod["metadata"]["labels"]["c2d.network"] == "pod"
    assert "secret" not in json.dumps(pod).replace("secretKeyRef", "")
    assert key_secret(own) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "labels": {**MARKS, "c2d.phase": "provision"},
            "annotations": {"c2d.job_id": JOB},
        },
        "type": "Opaque",
        "immutable": True,
        "data": {"privateKey": base64.b64encode(b"0xsecret").decode()},
    }


def test_where_root_is_allowed_pods_are_root_too_and_read_what_it_wrote() -> None:
    own = spec(Phase.PUBLISH, user="0:0", acts_for="0:0", capabilities=("DAC_OVERRIDE",))
    body = phase_pod(own, SETTINGS)["spec"]
    assert body["securityContext"]["runAsUser"] == 0 and body["securityContext"]["runAsNonRoot"] is False
    assert body["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["DAC_OVERRIDE"]}


def test_an_environment_places_its_pods() -> None:
    placement = {
        "namespace": "gpu", "runtimeClass": "gvisor", "imagePullSecrets": ["registry"], "nodeSelector": {"gpu": "a100"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}], "queue": "team",
    }  # fmt: skip
    wanted = spec(placement=placement, has_registry_login=True, gpu=GpuRequest(extended={"nvidia.com/gpu": 2}))
    pod = phase_pod(wanted, SETTINGS)
    body = pod["spec"]
    assert body["runtimeClassName"] == "gvisor" and body["nodeSelector"] == {"gpu": "a100"}
    assert body["tolerations"][0] == {"key": "gpu", "operator": "Exists"}
    assert body["imagePullSecrets"] == [{"name": "registry"}, {"name": f"c2d-{SHORT}-pull"}]
    assert pod["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"
    given = body["containers"][0]["resources"]
    assert given["limits"]["nvidia.com/gpu"] == given["requests"]["nvidia.com/gpu"] == "2"
    assert (
        "kueue.x-k8s.io/queue-name"
        not in phase_pod(spec(Phase.PUBLISH, placement=placement), SETTINGS)["metadata"]["labels"]
    )


def test_where_the_first_pod_places_the_volume_it_asks_for_all_that_the_algorithm_does() -> None:
    run = spec(cpu_cores=4.0, memory_bytes=1 << 28, gpu=GpuRequest(extended={"nvidia.com/gpu": 2}))
    own = spec(Phase.PROVISION, cpu_cores=1.0, memory_bytes=512 << 20, others=(run, spec(Phase.PUBLISH)))
    [container] = phase_pod(own, SETTINGS, places_volume=True)["spec"]["containers"]
    scratch = {"limits": str(1 << 30), "requests": str(64 << 20)}
    memory = {"limits": str(512 << 20), "requests": str(1 << 28)}
    for kind in ("limits", "requests"):
        assert container["resources"][kind] == {
            "cpu": "4000m", "memory": memory[kind], "nvidia.com/gpu": "2", "ephemeral-storage": scratch[kind]
        }  # fmt: skip
    in_line = spec(Phase.PROVISION, others=(run,), placement={"queue": "team"})
    [container] = phase_pod(in_line, SETTINGS, places_volume=True)["spec"]["containers"]
    assert container["resources"]["requests"] == {"cpu": "100m", "memory": "128Mi"}


@pytest.mark.parametrize(("name", "late"), [("near", True), ("far", False), ("no-such", False), (None, True)])
def test_a_storage_class_says_whether_the_first_pod_places_the_volume(name: str | None, late: bool) -> None:
    notes, times = {IS_DEFAULT: "true"}, {"near": "2026-02-01T00:00:00Z", "far": "2026-01-01T00:00:00Z"}
    about = {each: {"name": each, "creationTimestamp": times[each], "annotations": notes} for each in times}
    near = {"metadata": about["near"], "volumeBindingMode": LATE}
    far = {"metadata": about["far"], "volumeBindingMode": "Immediate"}
    assert is_late([near, far], name) is late and not is_late([], name)


def test_a_volume_and_what_hangs_on_it() -> None:
    place = SETTINGS.place({"storageClass": "fast"})
    made = claim(JOB, "k.123", 5 << 30, place)
    assert made == {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": f"c2d-{SHORT}-data", "labels": MARKS, "annotations": {"c2d.job_id": JOB}},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": str(5 << 30)}},
            "storageClassName": "fast",
        },
    }
    owner = {"metadata": {"name": "v", "uid": "u"}}
    assert owned({"metadata": {"name": "x"}}, owner)["metadata"] == {
        "name": "x",
        "ownerReferences": [{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": "v", "uid": "u"}],
    }


def test_a_registry_login_goes_to_its_own_registry_alone() -> None:
    made = pull_secret(JOB, "k.123", "registry.example:5000/a/b:1", {"username": "u", "password": "p"})
    assert json.loads(base64.b64decode(made["data"][".dockerconfigjson"])) == {
        "auths": {"registry.example:5000": {"username": "u", "password": "p"}}
    }


def test_the_meter_is_beside_the_algorithm_and_cannot_write() -> None:
    run = phase_pod(spec(), SETTINGS)
    run["spec"]["nodeName"] = "node-1"
    pod = meter_pod(JOB, SETTINGS, run)
    [container] = pod["spec"]["containers"]
    assert pod["spec"]["nodeName"] == "node-1" and "finalizers" not in pod["metadata"]
    assert pod["spec"]["volumes"][0]["persistentVolumeClaim"]["readOnly"] and container["volumeMounts"][0]["readOnly"]
    assert container["image"] == "pod:1" and container["command"] == ["python3", "-m", "pods.meter", "/data"]
    assert pod["spec"]["securityContext"] == run["spec"]["securityContext"] and container["securityContext"] == HELD


@pytest.mark.parametrize(
    ("text", "kept"),
    [("plain $HOME", "plain $HOME"), ("$(A)", "$$(A)"), ("$$", "$$$"), ("$$(A)", "$$$$(A)"), ("a$", "a$"), ("$", "$")],
)
def test_no_variable_takes_a_texts_place(text: str, kept: str) -> None:
    assert literal(text) == kept and expanded(kept) == text


def expanded(text: str) -> str:
    """What Kubernetes makes of a text: `$$` is one, `$(NAME)` a variable's value."""
    done, rest = "", text
    while rest:
        if rest.startswith("$$"):
            done, rest = done + "$", rest[2:]
        elif rest.startswith("$("):
            done, rest = done + "<value>", rest.partition(")")[2]
        else:
            done, rest = done + rest[0], rest[1:]
    return done


def test_no_two_engines_share_the_name_of_a_policy() -> None:
    address = "0123456789ab"
    engines = ("gpu", "gpu-a", "gpu_a", "gpu.a", "gpu--a", "gpu_-a", "gpu-", "gpu_")
    found = [policy_name(f"{engine}.{address}", "pods") for engine in engines]
    assert len(set(found)) == len(engines)
    assert all(re.fullmatch("[a-z0-9]([a-z0-9-]*[a-z0-9])?", each) for each in found)
    assert found[:2] == [f"c2d-gpu-{address}-pods", f"c2d-gpu-a-{address}-pods"]


def test_names_are_looked_up_where_the_operator_says_alone() -> None:
    def rules(**dns: Any) -> list[dict[str, Any]]:
        return policies(KubernetesSettings.from_connection("k", {"dns": dns}))[2]["spec"]["egress"][:-1]  # type: ignore[no-any-return]

    there = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "openshift-dns"}}, "podSelector": {}}
    ports = [{"protocol": "UDP", "port": 5353}, {"protocol": "TCP", "port": 5353}]
    assert rules(namespace="openshift-dns", port=5353) == [{"to": [there], "ports": ports}]
    [rule] = rules(addresses=["10.0.0.2/32"])
    assert rule["to"] == [{"ipBlock": {"cidr": "10.0.0.2/32"}}]
    assert rules(port=53) == []  # nowhere: an empty `to` would mean anywhere


def test_policies_let_algorithms_reach_nothing_and_pods_what_they_need() -> None:
    given = {"podApiUrl": "http://10.96.0.7:8000", "nodePods": {"app": "node"}}
    settings = KubernetesSettings.from_connection("k_1.x", given, ["10.1.0.0/16"])
    algorithm, pods, network = policies(settings)
    assert algorithm == {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "c2d-k-1-x-624d2163-algorithm", "labels": {"c2d.engine": "k_1.x"}},
        "spec": {
            "podSelector": {"matchLabels": {"c2d.engine": "k_1.x", "c2d.network": "none"}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [],
            "egress": [],
        },
    }
    dns, public, private, node, address = pods["spec"]["egress"]
    kube_dns = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    assert dns == {
        "to": [{"ipBlock": {"cidr": "169.254.20.10/32"}}, kube_dns],
        "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
    }
    assert "169.254.0.0/16" in public["to"][0]["ipBlock"]["except"] and private == {
        "to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]
    }
    assert node == {"to": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "node"}}}]}
    assert address == {"to": [{"ipBlock": {"cidr": "10.96.0.7/32"}}], "ports": [{"protocol": "TCP", "port": 8000}]}
    assert network["spec"]["egress"] == [dns, public]
    assert network["spec"]["podSelector"]["matchExpressions"] == [
        {"key": "c2d.network", "operator": "NotIn", "values": ["none", "pod"]}
    ]


@pytest.mark.parametrize(("has_login", "policy"), [(False, "IfNotPresent"), (True, "Always")])
def test_a_login_is_tried_even_where_the_node_has_the_image(has_login: bool, policy: str) -> None:
    pod = probe_pod(JOB, SETTINGS, SETTINGS.placement, "r.example/i:1", has_login)
    assert pod["spec"]["containers"][0]["imagePullPolicy"] == policy
    assert bool(pod["spec"].get("imagePullSecrets")) == has_login
