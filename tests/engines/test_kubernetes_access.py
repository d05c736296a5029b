"""What the engine may do: the shipped roles grant what it needs, and the doctor tells a real account what it lacks."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml

from engines.drivers.kubernetes_access import NEEDED, NEEDED_FOR_ONE_POD, Permission, missing
from engines.drivers.kubernetes_connect import connect
from infra.c2d.kubernetes_checks import kubernetes_checks
from infra.cluster import KUBERNETES
from shared.engine_config import EngineConfig
from shared.settings import NodeSettings
from tests.infra.kubernetes.built import built
from tests.needs import needs
from tests.services import kubernetes
from tests.services.kubernetes_account import account, shipped


@pytest.mark.parametrize("file", ["role.yaml", "cluster-role.yaml"])
def test_the_shipped_roles_grant_what_the_engine_needs_and_nothing_else(file: str) -> None:
    granted = [
        (group, resource, name, verb)
        for rule in shipped(file)
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [None])
        for verb in rule["verbs"]
    ]
    needed = [
        (each.group, each.resource, each.name, verb)
        for each in NEEDED + NEEDED_FOR_ONE_POD
        if each.is_namespaced == (file == "role.yaml")
        for verb in each.verbs
    ]
    assert len(granted) == len(set(granted)) and set(granted) == set(needed)


@needs("kustomize")
@pytest.mark.full
@pytest.mark.parametrize("folder", ["jobs", "overlays/minimal"])
def test_what_the_whole_cluster_sees_is_named_after_the_installs_namespace(folder: str) -> None:
    wide = {each["kind"]: each for each in built(KUBERNETES / folder) if each["kind"].startswith("ClusterRole")}
    [home] = {each["metadata"]["namespace"] for each in built(KUBERNETES / folder) if each["kind"] == "Role"}
    assert {each["metadata"]["name"] for each in wide.values()} == {f"c2d-engine:{home}"}
    assert wide["ClusterRoleBinding"]["roleRef"]["name"] == f"c2d-engine:{home}"


def test_a_missing_rule_reads_as_a_manifest_has_it() -> None:
    rule = Permission("", "namespaces", ("get",), name="kube-system").rule(("get",))
    assert yaml.safe_load(rule) == [
        {"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["kube-system"], "verbs": ["get"]}
    ]


@needs("kube")
@pytest.mark.full
@pytest.mark.xdist_group("kubernetes-contract")
def test_the_doctor_names_the_rule_that_is_missing(tmp_path: Path) -> None:
    rules = [{"apiGroups": [each.group], "resources": [each.resource], "verbs": list(each.verbs)} for each in NEEDED]
    del rules[0]["verbs"][-1]
    with kubernetes.namespace() as namespace:
        connection = {"kubeconfig": account(namespace, tmp_path, rules), "namespace": namespace}
        wanted = {("pods", ("delete",)), ("nodes", ("list",)), ("storageclasses", ("list",)), ("namespaces", ("get",))}
        until = time.monotonic() + 20  # a grant is seen a moment later
        while (found := lacks(connection, namespace)) != wanted and time.monotonic() < until:
            time.sleep(0.2)
        assert found == wanted
        settings = NodeSettings.from_environment({"C2D_DATA_DIR": str(tmp_path)})
        checks = kubernetes_checks(EngineConfig("k", "kubernetes", connection), settings)
        assert {check.state for check in checks} == {"fail"} and len(checks) == len(wanted)
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
