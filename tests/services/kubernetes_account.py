"""Accounts of the cluster that may do little: what the shipped roles grant and no more, or rules of a test's own."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from engines.drivers.kubernetes_access import missing
from engines.drivers.kubernetes_connect import connect
from infra.cluster import KUBERNETES
from tests.services import kubernetes

GROUP = "rbac.authorization.k8s.io"
RBAC = f"/apis/{GROUP}/v1"
SEEN_WITHIN_S = 30
"A grant is seen a moment later."

Rules = Sequence[Mapping[str, Any]]


def shipped(file: str) -> list[dict[str, Any]]:
    """The rules of one of the shipped roles."""
    rules: list[dict[str, Any]] = yaml.safe_load((KUBERNETES / "roles" / file).read_text())["rules"]
    return rules


def account(namespace: str, folder: Path, rules: Rules, name: str = "weak") -> str:
    """A kubeconfig of a new account that has these rules in its namespace alone."""
    api = connect({})
    api.create(
        f"/api/v1/namespaces/{namespace}/serviceaccounts", {"kind": "ServiceAccount", "metadata": {"name": name}}
    )
    grant(namespace, namespace, name, rules)
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = api.call("POST", path, body=asked).body["status"]["token"]
    file = kubernetes.nowhere(folder / f"{namespace}-{name}")
    config = json.loads(file.read_text())
    config["clusters"][0]["cluster"] = {
        "server": kubernetes.server(),
        "certificate-authority-data": base64.b64encode(kubernetes.authority()).decode(),
    }
    config["users"][0]["user"] = {"token": token}
    file.write_text(json.dumps(config))
    return str(file)


def grant(where: str | None, home: str, name: str, rules: Rules) -> None:
    """Give an account of namespace `home` these rules in the namespace `where`; null: in the whole cluster."""
    api, prefix = connect({}), "" if where else "Cluster"
    below = f"{RBAC}/namespaces/{where}" if where else RBAC
    about = {"metadata": {"name": name if where else f"{home}-{name}"}}
    api.create(f"{below}/{prefix.lower()}roles", {"kind": f"{prefix}Role", **about, "rules": list(rules)})
    bound = {
        "roleRef": {"apiGroup": GROUP, "kind": f"{prefix}Role", "name": about["metadata"]["name"]},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": home}],
    }
    api.create(f"{below}/{prefix.lower()}rolebindings", {"kind": f"{prefix}RoleBinding", **about, **bound})


@contextlib.contextmanager
def least_rights(namespace: str, folder: Path, *others: str) -> Iterator[str]:
    """A kubeconfig of an account that has the shipped roles, in these namespaces, and no other right."""
    path = account(namespace, folder, shipped("role.yaml"), "engine")
    for other in others:
        grant(other, namespace, "engine", shipped("role.yaml"))
    try:
        grant(None, namespace, "engine", shipped("cluster-role.yaml"))
        wait_for_rights(path, namespace, *others)
        yield path
    finally:
        for kind in ("clusterrolebindings", "clusterroles"):
            connect({}).delete(f"{RBAC}/{kind}/{namespace}-engine")


def wait_for_rights(path: str, *namespaces: str) -> None:
    """Until the server has seen them all."""
    until = time.monotonic() + SEEN_WITHIN_S
    api = connect({"kubeconfig": path})
    while lacking := [each for name in namespaces for each in missing(api, name, has_one_pod=True)]:
        assert time.monotonic() < until, lacking
        time.sleep(0.1)
