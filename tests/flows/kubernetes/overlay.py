"""Own the overlay that a test deploys: what is shipped, with the test's images and settings, and small."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from infra.cluster import KUBERNETES

SMALL = {"requests": {"cpu": "5m", "memory": "32Mi"}}


@dataclass(frozen=True)
class Wish:
    """What of the shipped manifests is ours."""

    namespace: str
    jobs: str
    "The namespace of the jobs."
    settings: Mapping[str, str]
    engine: Mapping[str, Any]
    tag: str
    proxy_image: str
    addresses: Mapping[str, str] = field(default_factory=dict)
    "Service → ClusterIP, for the proxy: this cluster has no DNS."
    ports: tuple[int, ...] = ()
    "Where database and store listen, which the policy `outside` has to be told."
    parts: tuple[str, ...] = ("parts/nginx", "parts/passes")
    "Beside the base."
    awake: tuple[str, ...] = ()
    "The only handlers that have a pod; nothing: all have."
    twice: tuple[str, ...] = ()
    "Handlers that have two."


def write(folder: Path, wish: Wish) -> None:
    """Write the overlay, of two: what is the node's, and the namespace of jobs."""
    node, jobs = folder / "node", folder / "jobs"
    for each in (node, jobs):
        each.mkdir(parents=True, exist_ok=True)
    (jobs / "kustomization.yaml").write_text(yaml.safe_dump(jobs_part(jobs, wish)))
    (node / "settings.env").write_text("".join(f"{name}={value}\n" for name, value in wish.settings.items()))
    (node / "engines.yaml").write_text(json.dumps([wish.engine]))
    (node / "kustomization.yaml").write_text(yaml.safe_dump(node_part(node, wish)))


def jobs_part(here: Path, wish: Wish) -> dict[str, Any]:
    """The shipped roles, bound to this test's accounts; nobody else's are touched."""
    subject = [{"kind": "ServiceAccount", "name": "c2d-passes", "namespace": wish.namespace}]
    replaced = json.dumps([{"op": "replace", "path": "/subjects", "value": subject}])
    shipped = yaml.safe_load((KUBERNETES / "jobs/kustomization.yaml").read_text())
    return {
        **shipped,
        "namespace": wish.jobs,
        "resources": [at(here, f"jobs/{each}") for each in shipped["resources"]],
        "patches": [{"target": {"kind": kind}, "patch": replaced} for kind in ("RoleBinding", "ClusterRoleBinding")]
        + [renamed("Namespace", wish.jobs)],
    }


def renamed(kind: str, name: str) -> dict[str, Any]:
    """A cluster's object under a name of ours."""
    change = json.dumps([{"op": "replace", "path": "/metadata/name", "value": name}])
    return {"target": {"kind": kind}, "patch": change, "options": {"allowNameChange": True}}


def node_part(here: Path, wish: Wish) -> dict[str, Any]:
    """The base and its parts, under this test's names."""
    return {
        "namespace": wish.namespace,
        "resources": [at(here, part) for part in ("base", *wish.parts)],
        "configMapGenerator": [
            {"name": "c2d-settings", "envs": ["settings.env"]},
            {"name": "c2d-engines", "files": ["engines.yaml"]},
        ],
        "images": [{"name": "c2d/node", "newName": "c2d/node", "newTag": wish.tag}],
        "patches": [*fitted(wish), renamed("Namespace", wish.namespace)],
    }


def fitted(wish: Wish) -> list[dict[str, Any]]:
    """One replica each but those that have two; small, since the machine is."""
    handlers = {"kind": "Deployment", "labelSelector": "c2d.node/handler"}
    twice = {"kind": "Deployment", "name": f"^({'|'.join(wish.twice)})$"}
    every = {"kind": "Deployment"}
    small = [{"op": "replace", "path": "/spec/template/spec/containers/0/resources", "value": SMALL}]
    begun = [{"op": "replace", "path": "/spec/template/spec/initContainers/0/resources", "value": SMALL}]
    own_image = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": wish.proxy_image}]
    aliases = [{"ip": ip, "hostnames": [name]} for name, ip in wish.addresses.items()]
    named = [{"op": "add", "path": "/spec/template/spec/hostAliases", "value": aliases}]
    one = [{"op": "add", "path": "/spec/replicas", "value": 1}]
    two = [{"op": "add", "path": "/spec/replicas", "value": 2}]
    listed = [{"protocol": "TCP", "port": port} for port in wish.ports]
    opened = [{"op": "add", "path": "/spec/egress/0/ports/-", "value": each} for each in listed]
    none = [{"op": "add", "path": "/spec/replicas", "value": 0}]
    awake = {"kind": "Deployment", "name": f"^({'|'.join(wish.awake)})$"}
    patches: list[tuple[dict[str, str], list[dict[str, Any]]]] = [
        (every, small),
        (handlers, begun),
        ({"kind": "Deployment", "name": "^(passes|settlement)$"}, begun),
        *([(handlers, none), (awake, one)] if wish.awake else [(handlers, one)]),
        (twice, two),
        ({"kind": "NetworkPolicy", "name": "outside"}, opened),
        ({"kind": "Deployment", "name": "nginx"}, [*own_image, *named, *one]),
    ]
    return [{"target": target, "patch": json.dumps(changes)} for target, changes in patches]


def at(here: Path, part: str) -> str:
    """A shipped folder, as kustomize wants it: relative."""
    return os.path.relpath(KUBERNETES / part, here)
