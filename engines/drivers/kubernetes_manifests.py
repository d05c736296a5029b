"""Own the documents handed to Kubernetes: a job's volume, Secrets and Pods, an engine's NetworkPolicies; pure.

Without an environment's `allowRoot` everything passes Pod Security "restricted".
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from engines.drivers import registries
from engines.drivers.base import PhaseSpec
from engines.drivers.kubernetes_settings import KubernetesSettings, Placement
from engines.drivers.kubernetes_words import number
from engines.drivers.manifests import DATA_DIR, WRITABLE_HOME
from shared import names
from shared.names import JobId, Phase

MAIN = "main"
"The name of the one container."
KEEP = "c2d.node/keep"
"A finalizer: whoever deletes a pod, its end can be read until the job's things are removed."
LABEL_NETWORK = "c2d.network"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
GRACE_S = 10
UNREACHABLE_S = 120
"How long a pod stays on a node that does not answer."
GATE = "gate"
"The name of the container that holds an algorithm back until the network keeps it in."
GATE_S = 45
METER, PROBE, PULL = "meter", "image", "pull"
"What a job has beside its phases: the pod that measures its volume, the one that tries its image, a registry login."
POD_REQUESTS = {"cpu": "100m", "memory": "128Mi"}
SMALL = {"cpu": "10m", "memory": "64Mi"}
SCRATCH_BYTES = 64 << 20
USER = "1000:1000"


def labels(job_id: JobId, engine: str) -> dict[str, str]:
    """What marks everything made for a job; a label's value is shorter than an id, which is in the annotation whole."""
    return {names.LABEL_JOB: job_id[:63], names.LABEL_ENGINE: engine}


def metadata(name: str, job_id: JobId, engine: str, phase: str | None = None) -> dict[str, Any]:
    """An object's name and marks."""
    marks = labels(job_id, engine) | ({names.LABEL_PHASE: phase} if phase else {})
    return {"name": name, "labels": marks, "annotations": {names.LABEL_JOB: job_id}}


def thing_name(job_id: JobId, what: str) -> str:
    """The name of what a job has beside its phases."""
    return f"c2d-{job_id[:40]}-{what}"


def owned(document: dict[str, Any], claim: Mapping[str, Any]) -> dict[str, Any]:
    """The same as a dependant of the job's volume: it goes when that goes."""
    owner = {
        "apiVersion": "v1",
        "kind": claim.get("kind", "PersistentVolumeClaim"),
        "name": claim["metadata"]["name"],
        "uid": claim["metadata"]["uid"],
    }
    return {**document, "metadata": {**document["metadata"], "ownerReferences": [owner]}}


def claim(job_id: JobId, engine: str, size_bytes: int, placement: Placement) -> dict[str, Any]:
    """The job's volume, which its three pods mount one after the other."""
    spec: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": str(size_bytes)}},
    }
    if placement.storage_class:
        spec["storageClassName"] = placement.storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata(names.volume_name(job_id), job_id, engine),
        "spec": spec,
    }


def key_secret(spec: PhaseSpec) -> dict[str, Any]:
    """What a phase is told in secret; named as its pod."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(names.container_name(spec.job_id, spec.phase), spec.job_id, spec.engine, spec.phase.value),
        "type": "Opaque",
        "immutable": True,
        "data": {name: base64.b64encode(value.encode()).decode() for name, value in spec.secret_environment.items()},
    }


def pull_secret(job_id: JobId, engine: str, reference: str, login: Mapping[str, str]) -> dict[str, Any]:
    """A job's login at its own registry, and at no other."""
    host = registries.host_of(registries.split_reference(reference)[0])
    where = "https://index.docker.io/v1/" if host == registries.PUBLIC_HUB else host
    content = json.dumps({"auths": {where: {key: login[key] for key in sorted(login)}}})
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(thing_name(job_id, PULL), job_id, engine, PULL),
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64.b64encode(content.encode()).decode()},
    }


def phase_pod(spec: PhaseSpec, settings: KubernetesSettings, *, places_volume: bool = False) -> dict[str, Any]:
    """The pod of one phase of a job. `places_volume`: where it runs, the algorithm has to run after it."""
    placement = settings.place(spec.placement)
    user = spec.acts_for or spec.user or USER
    body = pod_body(placement, user)
    if spec.has_registry_login:
        body["imagePullSecrets"] = [*body.get("imagePullSecrets", ()), {"name": thing_name(spec.job_id, PULL)}]
    if spec.max_seconds is not None:
        body["activeDeadlineSeconds"] = spec.max_seconds + settings.slack_s
    body["volumes"] = [data_volume(spec.job_id)]
    body["containers"] = [container(spec, user)]
    if places_volume and not placement.queue:  # a queue alone says when an algorithm's share is had
        body["containers"][0]["resources"] = room_for_all(spec)
    if settings.has_gate and spec.phase is Phase.RUN and spec.network is None:
        body["initContainers"] = [gate(settings)]
    about = metadata(names.container_name(spec.job_id, spec.phase), spec.job_id, spec.engine, spec.phase.value)
    about["labels"][LABEL_NETWORK] = network_label(spec.network)
    if placement.queue and spec.phase is Phase.RUN:
        about["labels"][QUEUE_LABEL] = placement.queue
    about["finalizers"] = [KEEP]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": body}


def pod_body(placement: Placement, user: str) -> dict[str, Any]:
    """What all pods have in common: no account, no root, no network names, placed as the operator says."""
    uid, _, gid = user.partition(":")
    body: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_S,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "shareProcessNamespace": True,  # the pause program is process 1: SIGTERM ends what has no handler for it
        "securityContext": {
            "runAsNonRoot": int(uid) != 0,
            "runAsUser": int(uid),
            "runAsGroup": int(gid or uid),
            "fsGroup": int(gid or uid),
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "tolerations": [*placement.tolerations, *(leaves_after(each) for each in ("not-ready", "unreachable"))],
    }
    if placement.node_selector:
        body["nodeSelector"] = dict(placement.node_selector)
    if placement.runtime_class:
        body["runtimeClassName"] = placement.runtime_class
    if placement.pull_secrets:
        body["imagePullSecrets"] = [{"name": name} for name in placement.pull_secrets]
    return body


def leaves_after(trouble: str) -> dict[str, Any]:
    """How long a pod stays on a node in trouble."""
    key = f"node.kubernetes.io/{trouble}"
    return {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": UNREACHABLE_S}


def container(spec: PhaseSpec, user: str) -> dict[str, Any]:
    """The phase's container."""
    found: dict[str, Any] = {
        "name": MAIN,
        "image": spec.image,
        "imagePullPolicy": "IfNotPresent",
        "env": environment(spec),
        "resources": resources(spec),
        "securityContext": hardening(spec.capabilities if user.startswith("0:") else ()),
        "volumeMounts": [{"name": "data", "mountPath": DATA_DIR}],
    }
    if spec.command is not None:
        found |= {"command": [literal(word) for word in spec.command], "args": []}
    return found


def environment(spec: PhaseSpec) -> list[dict[str, Any]]:
    """Plain values, and references to the phase's Secret. What the image itself sets cannot be seen from here."""
    plain = (WRITABLE_HOME if spec.home_defaults else {}) | dict(spec.environment)
    secret = names.container_name(spec.job_id, spec.phase)
    return [
        *({"name": name, "value": literal(value)} for name, value in plain.items()),
        *(
            {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name}}}
            for name in spec.secret_environment
        ),
    ]


def literal(text: str) -> str:
    """A text that stays as it is: Kubernetes would put variables in the place of `$(NAME)`."""
    return re.sub(r"\$(?=[$(])", "$$", text)


def resources(spec: PhaseSpec) -> dict[str, Any]:
    """An algorithm is promised what it may use, but for the disk outside its volume; our own pods seldom use theirs."""
    limits = {"cpu": f"{round(spec.cpu_cores * 1000)}m", "memory": str(spec.memory_bytes)}
    if spec.phase is not Phase.RUN:
        return {"limits": limits, "requests": POD_REQUESTS}
    limits |= {name: str(count) for name, count in spec.gpu.extended.items()}
    disk, promised = {"ephemeral-storage": str(spec.disk_bytes)}, str(min(SCRATCH_BYTES, spec.disk_bytes))
    return {"limits": limits | disk, "requests": limits | {"ephemeral-storage": promised}}


def room_for_all(spec: PhaseSpec) -> dict[str, Any]:
    """What the job's hungriest phase is promised: only a machine that has it may be given the volume."""
    most: dict[str, dict[str, str]] = {kind: dict(shares) for kind, shares in resources(spec).items()}
    for other in spec.others:
        for kind, shares in resources(other).items():
            for name, amount in shares.items():
                most[kind][name] = max(most[kind].get(name, "0"), amount, key=number)
    return most


def hardening(capabilities: tuple[str, ...] = ()) -> dict[str, Any]:
    """No privilege to be had; only who runs as root may be given capabilities back."""
    held: dict[str, Any] = {"drop": ["ALL"]} | ({"add": list(capabilities)} if capabilities else {})
    return {"allowPrivilegeEscalation": False, "capabilities": held}


def data_volume(job_id: JobId, *, is_read_only: bool = False) -> dict[str, Any]:
    """The job's volume in a pod."""
    source: dict[str, Any] = {"claimName": names.volume_name(job_id)}
    return {"name": "data", "persistentVolumeClaim": source | ({"readOnly": True} if is_read_only else {})}


def network_label(network: str | None) -> str:
    """What the policies go by."""
    return network or "none"


def small_container(image: str, command: list[str], **more: Any) -> dict[str, Any]:
    """A container that needs next to nothing."""
    limits = {"limits": {"cpu": "200m", "memory": "64Mi"}, "requests": SMALL}
    held = {"resources": limits, "securityContext": hardening(), "imagePullPolicy": "IfNotPresent"}
    return {"name": MAIN, "image": image, "command": command, **held, **more}


def gate(settings: KubernetesSettings) -> dict[str, Any]:
    """What runs before an algorithm that may reach nothing."""
    urls = [settings.pod_api_url] if settings.pod_api_url else []
    return small_container(settings.pod_image, ["python3", "-m", "pods.gate", str(GATE_S), *urls], name=GATE)


def meter_pod(job_id: JobId, settings: KubernetesSettings, run: Mapping[str, Any]) -> dict[str, Any]:
    """The pod that prints how full the volume is, beside the algorithm's own and out of its reach."""
    body = pod_body(replace(settings.placement, node_selector={}), run_user(run))
    body |= {
        "restartPolicy": "Always",
        "nodeName": run["spec"]["nodeName"],  # the volume is there; no scheduler need be asked
        "tolerations": run["spec"].get("tolerations") or [],
        "terminationGracePeriodSeconds": 1,
        "volumes": [data_volume(job_id, is_read_only=True)],
        "containers": [
            small_container(
                settings.pod_image,
                ["python3", "-m", "pods.meter", DATA_DIR],
                volumeMounts=[{"name": "data", "mountPath": DATA_DIR, "readOnly": True}],
            )
        ],
    }
    about = metadata(thing_name(job_id, METER), job_id, settings.engine, METER)
    about["labels"][LABEL_NETWORK] = network_label(None)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": body}


def run_user(run: Mapping[str, Any]) -> str:
    """As whom a pod runs."""
    context = run["spec"]["securityContext"]
    return f"{context['runAsUser']}:{context['runAsGroup']}"


def probe_pod(
    job_id: JobId, settings: KubernetesSettings, placement: Placement, image: str, has_login: bool
) -> dict[str, Any]:
    """A pod that has an image pulled; what it runs, and whether that runs, is of no interest."""
    body = pod_body(placement, USER)
    body |= {"terminationGracePeriodSeconds": 0, "containers": [small_container(image, ["true"])]}
    if has_login:
        body["imagePullSecrets"] = [*body.get("imagePullSecrets", ()), {"name": thing_name(job_id, PULL)}]
        body["containers"][0]["imagePullPolicy"] = "Always"  # a login is tried even where the node has the image
    about = metadata(thing_name(job_id, PROBE), job_id, settings.engine, PROBE)
    about["labels"][LABEL_NETWORK] = network_label(None)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": body}
