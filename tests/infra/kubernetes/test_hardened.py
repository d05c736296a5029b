"""What the shipped overlays keep from whom: secrets, the network, machines that are emptied, an end in mid-work."""

from __future__ import annotations

from typing import Any

import pytest

from engines.drivers.kubernetes_manifests import LABEL_NETWORK
from engines.drivers.manifests import POD_NETWORK
from infra.cluster import KUBERNETES, name_of
from infra.routing import SIGNING, STORING
from tests.infra.kubernetes.built import OVERLAYS, Document, overlay, pod_specs
from tests.needs import needs

pytestmark = [pytest.mark.full, needs("kustomize"), pytest.mark.timeout(900)]
LARGE = tuple(name for name in OVERLAYS if name != "minimal")
PASSES = {"passes", "settlement"}
SCALER = "HorizontalPodAutoscaler"


@pytest.mark.parametrize("name", LARGE)
def test_a_secret_is_given_to_those_alone_who_use_it(name: str) -> None:
    given: dict[str, set[str]] = {}
    for owner, spec in pod_specs(overlay(name)).items():
        for container in spec["containers"]:
            for source in container.get("envFrom", ()):
                given.setdefault(source.get("secretRef", {}).get("name", ""), set()).add(owner)
    assert given["c2d-wallet"] == PASSES | {name_of(module) for module in SIGNING}
    assert given["c2d-storage"] == PASSES | {"pods"} | {name_of(module) for module in STORING}
    assert set(given) == {"", "c2d-wallet", "c2d-storage", "c2d-secrets"}
    assert "nginx" not in given["c2d-secrets"]


@pytest.mark.parametrize("name", LARGE)
def test_every_pod_of_the_node_is_kept_in_and_who_calls_it_is_named(name: str) -> None:
    documents = overlay(name)
    policies = {each["metadata"]["name"]: each["spec"] for each in documents if each["kind"] == "NetworkPolicy"}
    for owner, labels in pod_labels(documents).items():
        chosen = {what for what, spec in policies.items() if selects(spec["podSelector"], labels)}
        assert {"nothing", "names"} <= chosen, owner
        callers = [rule for what in chosen for rule in policies[what].get("ingress", ())]
        assert len(callers) == (0 if owner in PASSES else 1), owner
        assert all("from" in rule for rule in callers) or owner == "nginx", owner  # which is the way in
        assert ("cluster" in chosen) == (owner == "passes"), owner
    rules = [rule for spec in policies.values() for rule in spec.get("egress", ())]
    assert all(rule["to"] for rule in rules)
    wide = [
        block for rule in rules for peer in rule["to"] if (block := peer.get("ipBlock", {})).get("cidr") == "0.0.0.0/0"
    ]
    assert wide and all(block["except"] == ["169.254.0.0/16"] for block in wide)
    assert not any(port["port"] == 53 for rule in rules for port in rule["ports"] if is_wide(rule))


@pytest.mark.parametrize("name", LARGE)
def test_the_jobs_own_door_knows_jobs_pods_by_what_engine_and_namespace_call_them(name: str) -> None:
    documents = overlay(name)
    [policy] = [each for each in documents if (each["kind"], each["metadata"]["name"]) == ("NetworkPolicy", "pods")]
    [peer] = policy["spec"]["ingress"][0]["from"]
    assert peer["podSelector"] == {"matchLabels": {LABEL_NETWORK: POD_NETWORK}}
    [jobs] = [each for each in documents if (each["kind"], each["metadata"]["name"]) == ("Namespace", "c2d-jobs")]
    assert selects(peer["namespaceSelector"], jobs["metadata"]["labels"])


@pytest.mark.parametrize("name", LARGE)
def test_a_budget_never_keeps_a_machine_from_being_emptied(name: str) -> None:
    labels = pod_labels(overlay(name))
    budgets = [each["spec"] for each in overlay(name) if each["kind"] == "PodDisruptionBudget"]
    for spec in budgets:
        assert spec["maxUnavailable"] == 1 and spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow", spec
    for owner, own in labels.items():
        count = sum(selects(spec["selector"], own) for spec in budgets)
        assert count == (0 if owner in cron_names(name) else 1), owner  # with two, nothing may be evicted


@pytest.mark.parametrize("name", OVERLAYS)
def test_no_pod_is_ended_for_what_it_only_talks_to(name: str) -> None:
    """A database, a store or a chain that is away is no reason to start a process anew."""
    for owner, spec in pod_specs(overlay(name)).items():
        for container in spec["containers"]:
            probe = container.get("livenessProbe", {})
            path = probe.get("httpGet", {}).get("path", "/healthz")
            assert path == "/healthz", owner
            assert probe or owner in cron_names(name), owner
            assert "/tmp" in {each["mountPath"] for each in container["volumeMounts"]}, owner
        assert all(volume["emptyDir"]["sizeLimit"] for volume in spec["volumes"] if "emptyDir" in volume), owner


@pytest.mark.parametrize("name", LARGE)
def test_jobs_neither_outrank_the_node_nor_are_ended_for_it(name: str) -> None:
    [priority] = [each for each in overlay(name) if each["kind"] == "PriorityClass"]
    assert priority["preemptionPolicy"] == "Never" and priority["value"] > 0
    specs = pod_specs(overlay(name)).values()
    assert {spec["priorityClassName"] for spec in specs} == {priority["metadata"]["name"]}


def test_what_the_cluster_scales_has_no_number_of_its_own() -> None:
    documents = overlay("production")
    scaled = {each["spec"]["scaleTargetRef"]["name"] for each in documents if each["kind"] == "HorizontalPodAutoscaler"}
    fixed = {
        each["metadata"]["name"] for each in documents if each["kind"] == "Deployment" and "replicas" in each["spec"]
    }
    every = {each["metadata"]["name"] for each in documents if each["kind"] == "Deployment"}
    assert scaled and not scaled & fixed and scaled | fixed == every


@pytest.mark.parametrize("name", LARGE)
def test_an_operator_is_told_how_many_connections_the_database_must_take(name: str) -> None:
    documents = overlay(name)
    most = {each["metadata"]["name"]: each["spec"]["maxReplicas"] for each in documents if each["kind"] == SCALER}
    [settings] = [each["data"] for each in documents if each["metadata"]["name"].startswith("c2d-settings-")]
    total = 0
    for each in documents:
        if each["kind"] == "Deployment" and each["metadata"]["name"] != "nginx":
            [container] = each["spec"]["template"]["spec"]["containers"]
            own = {entry["name"]: entry["value"] for entry in container.get("env", ())}
            count = int((settings | own)["C2D_DATABASE_CONNECTIONS"])
            replicas = most.get(each["metadata"]["name"]) or each["spec"]["replicas"]
            total += replicas * (min(count, int(own.get("C2D_THREADS", count))) + 1)  # and one that listens
    assert f"{name}: {total}" in (KUBERNETES / "README.md").read_text()


def test_no_minute_is_without_a_pass_from_cron() -> None:
    for each in overlay("production-nginx"):
        if each["kind"] == "CronJob":
            spec, job = each["spec"], each["spec"]["jobTemplate"]["spec"]
            [container] = job["template"]["spec"]["containers"]
            lasts_s = int(container["command"][-1])
            assert (spec["schedule"], spec["concurrencyPolicy"], job["backoffLimit"]) == ("* * * * *", "Allow", 0)
            assert 60 < lasts_s < job["activeDeadlineSeconds"] and spec["startingDeadlineSeconds"] < 60


def pod_labels(documents: tuple[Document, ...]) -> dict[str, dict[str, str]]:
    """The labels of every Deployment's and CronJob's pods, by the object's name."""
    found = {}
    for each in documents:
        spec = each.get("spec", {})
        template = spec.get("template") or spec.get("jobTemplate", {}).get("spec", {}).get("template")
        if template:
            found[each["metadata"]["name"]] = template["metadata"]["labels"]
    return found


def cron_names(name: str) -> set[str]:
    """The CronJobs of an overlay."""
    return {each["metadata"]["name"] for each in overlay(name) if each["kind"] == "CronJob"}


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a selector means what has these labels."""
    means = {
        "Exists": lambda each: each["key"] in labels,
        "In": lambda each: labels.get(each["key"]) in each["values"],
        "NotIn": lambda each: labels.get(each["key"]) not in each["values"],
    }
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    return bool(wanted) and all(means[each["operator"]](each) for each in selector.get("matchExpressions", ()))


def is_wide(rule: dict[str, Any]) -> bool:
    """Whether a rule leads to any address at all."""
    return any("cidr" in peer.get("ipBlock", {}) and peer["ipBlock"]["cidr"].endswith("/0") for peer in rule["to"])
