"""What the engine may do: the shipped roles grant what it needs, and the doctor tells a real account what it lacks."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from engines.drivers.kubernetes_access import NEEDED, Permission, missing
from engines.drivers.kubernetes_connect import connect
from infra.c2d.kubernetes_checks import kubernetes_checks
from shared.engine_config import EngineConfig
from shared.settings import NodeSettings
from tests.needs import needs
from tests.services import kubernetes

ROLES = Path(__file__).parents[2] / "infra/kubernetes/roles"


@pytest.mark.parametrize("needed", NEEDED, ids=lambda each: each.resource)
def test_the_shipped_roles_grant_it(needed: Permission) -> None:
    file = ROLES / ("role.yaml" if needed.is_namespaced else "cluster-role.yaml")
    rules = yaml.safe_load(file.read_text())["rules"]
    granted = {
        verb
        for rule in rules
        if needed.group in rule["apiGroups"] and needed.resource in rule["resources"]
        if not rule.get("resourceNames") or needed.name in rule["resourceNames"]
        for verb in rule["verbs"]
    }
    assert set(needed.verbs) <= granted


def test_a_missing_rule_reads_as_a_manifest_has_it() -> None:
    rule = Permission("", "namespaces", ("get",), name="kube-system").rule(("get",))
    assert yaml.safe_load(rule) == [
        {"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["kube-system"], "verbs": ["get"]}
    ]


def account(namespace: str, folder: Path, rules: list[dict[str, Any]]) -> str:
    """A kubeconfig of a service account that has these rules in its namespace alone."""
    api, about = connect({}), {"metadata": {"name": "weak"}}
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    api.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"kind": "ServiceAccount", **about})
    api.create(f"{rbac}/roles", {"kind": "Role", **about, "rules": rules})
    bound = {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "weak"},
        "subjects": [{"kind": "ServiceAccount", "name": "weak", "namespace": namespace}],
    }
    api.create(f"{rbac}/rolebindings", {"kind": "RoleBinding", **about, **bound})
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/weak/token"
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = api.call("POST", path, body=asked).body["status"]["token"]
    config = json.loads(kubernetes.nowhere(folder / "weak").read_text())
    config["clusters"][0]["cluster"] = {
        "server": kubernetes.server(),
        "certificate-authority-data": base64.b64encode(kubernetes.authority()).decode(),
    }
    config["users"][0]["user"] = {"token": token}
    (folder / "weak").write_text(json.dumps(config))
    return str(folder / "weak")


@needs("kube")
@pytest.mark.full
@pytest.mark.xdist_group("kubernetes-contract")
def test_the_doctor_names_the_rule_that_is_missing(tmp_path: Path) -> None:
    rules = [{"apiGroups": [each.group], "resources": [each.resource], "verbs": list(each.verbs)} for each in NEEDED]
    del rules[0]["verbs"][-1]
    with kubernetes.namespace() as namespace:
        connection = {"kubeconfig": account(namespace, tmp_path, rules), "namespace": namespace}
        wanted = {("pods", ("delete",)), ("nodes", ("list",)), ("namespaces", ("get",))}
        until = time.monotonic() + 20  # a grant is seen a moment later
        while (found := lacks(connection, namespace)) != wanted and time.monotonic() < until:
            time.sleep(0.2)
        assert found == wanted
        settings = NodeSettings.from_environment({"C2D_DATA_DIR": str(tmp_path)})
        checks = kubernetes_checks(EngineConfig("k", "kubernetes", connection), settings)
        assert {check.state for check in checks} == {"fail"} and len(checks) == 3
        assert 'add to a Role: - {apiGroups: [""], resources: [pods], verbs: [delete]}' in {
            each.to_do for each in checks
        }
        whole = kubernetes_checks(EngineConfig("k", "kubernetes", {"namespace": namespace}), settings)
        assert whole[0].state == "ok" and "Kubernetes v" in whole[1].found and whole[-1].state == "fail"


def lacks(connection: dict[str, str], namespace: str) -> set[tuple[str, tuple[str, ...]]]:
    """Resource and verbs of each permission that is not whole."""
    return {(each.resource, verbs) for each, verbs in missing(connect(connection), namespace)}


def test_a_cluster_out_of_reach_is_said_in_a_sentence(tmp_path: Path) -> None:
    connection = {"kubeconfig": str(kubernetes.nowhere(tmp_path / "nowhere"))}
    settings = NodeSettings.from_environment({"C2D_DATA_DIR": str(tmp_path)})
    [check] = kubernetes_checks(EngineConfig("k", "kubernetes", connection), settings)
    assert check.state == "fail" and "out of reach" in check.found
