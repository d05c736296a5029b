"""What kustomize makes of the shipped overlays is what a current cluster takes, by its schemas and by a real server."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.infra.kubernetes.built import HERE, OVERLAYS, Document, as_older, installed, overlay, pod_specs
from tests.needs import needs

pytestmark = [pytest.mark.full, needs("kustomize"), pytest.mark.timeout(900)]

NEWER = ("gateway.networking.k8s.io", "monitoring.coreos.com")
"Groups a bare cluster does not have; where somebody has given it their definitions, their objects are tried too."


@needs("node")
@pytest.mark.parametrize("name", OVERLAYS)
def test_every_object_is_as_its_current_schema_says(name: str) -> None:
    assert faults(overlay(name)) == []


@needs("node")
def test_the_schemas_tell_of_what_is_wrong() -> None:
    wrong = json.loads(json.dumps(overlay("production")))
    by_kind = {each["kind"]: each for each in wrong}
    by_kind["HTTPRoute"]["spec"]["rules"][0]["matches"][0]["metod"] = "GET"
    by_kind["ServiceMonitor"]["spec"]["endpoints"][0]["interval"] = 30
    by_kind["Deployment"]["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    del by_kind["PodDisruptionBudget"]["metadata"]
    by_kind["PodDisruptionBudget"]["metadata"] = {"name": "x", "lables": {}}
    told = {fault.partition("/")[0] for fault in faults(wrong)}
    assert told == {"HTTPRoute", "ServiceMonitor", "Deployment", "PodDisruptionBudget"}


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_pod_passes_pod_security_restricted(name: str) -> None:
    for owner, spec in pod_specs(overlay(name)).items():
        assert spec["securityContext"]["runAsNonRoot"] is True, owner
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, owner
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), owner
        assert {key for volume in spec["volumes"] for key in volume} <= {
            "name", "emptyDir", "configMap", "persistentVolumeClaim", "projected",
        }, owner  # fmt: skip
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, owner
            assert context["capabilities"] == {"drop": ["ALL"]}, owner
            assert context["readOnlyRootFilesystem"] is True, owner
            assert container["resources"]["limits"]["memory"] and container["resources"]["requests"], owner


@pytest.mark.parametrize("name", OVERLAYS)
def test_only_the_engines_pass_has_a_token_of_the_cluster(name: str) -> None:
    documents = overlay(name)
    silent = {
        each["metadata"]["name"]
        for each in documents
        if each["kind"] == "ServiceAccount" and each.get("automountServiceAccountToken") is False
    }
    given = {
        owner
        for owner, spec in pod_specs(documents).items()
        if spec.get("automountServiceAccountToken", spec["serviceAccountName"] not in silent)
    }
    assert given == (set() if name == "minimal" else {"passes"})


@needs("kube")
@pytest.mark.parametrize("name", OVERLAYS)
def test_a_real_server_takes_every_object_whole_and_warns_of_none(name: str, server: Server) -> None:
    for each in overlay(name):
        if each["apiVersion"].split("/")[0] not in NEWER or server.has_kind(each):
            sent = each if server.has_kind(each) else as_older(each)
            taken = server.dry_run(json.loads(json.dumps(sent)))
            assert lost(sent, taken, each["kind"]) == []


class Server:
    """A namespace of a real API server, in which nothing is made: neither made nor applied."""

    def __init__(self, client: Any, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._known: dict[str, list[dict[str, Any]]] = {}

    def dry_run(self, document: Document) -> Document:
        """What the server would have made of it; its own word where it refuses."""
        api = self._client.ApiClient()
        version: str = document["apiVersion"]
        plural = self._plural(api, version, document["kind"])
        prefix = f"/api/{version}" if "/" not in version else f"/apis/{version}"
        if document["metadata"].get("namespace"):
            document["metadata"]["namespace"] = self._namespace
            prefix += f"/namespaces/{self._namespace}"
        document["metadata"]["name"] += f"-{secrets.token_hex(3)}"
        answer = self._ask(api, "POST", f"{prefix}/{plural}", document)
        self._ask(
            api, "PATCH", f"{prefix}/{plural}/{document['metadata']['name']}", document
        )  # as `apply --server-side`
        answer["metadata"]["name"] = answer["metadata"]["name"].rpartition("-")[0]
        return answer

    def has_kind(self, document: Document) -> bool:
        """Whether the server knows what this is."""
        kinds = self._resources(self._client.ApiClient(), document["apiVersion"])
        return any(each["kind"] == document["kind"] for each in kinds)

    def _plural(self, api: Any, version: str, kind: str) -> str:
        return next(
            str(each["name"])
            for each in self._resources(api, version)
            if each["kind"] == kind and "/" not in each["name"]
        )

    def _resources(self, api: Any, version: str) -> list[dict[str, Any]]:
        prefix = f"/api/{version}" if "/" not in version else f"/apis/{version}"
        if version not in self._known:
            self._known[version] = self._ask(api, "GET", prefix).get("resources", [])
        return self._known[version]

    def _ask(self, api: Any, method: str, path: str, body: Document | None = None) -> dict[str, Any]:
        query = [("dryRun", "All"), ("fieldValidation", "Strict")] if body else []
        kind: str = "application/json"
        given: Any = body
        if method == "PATCH":
            kind, given, query = "application/apply-patch+yaml", json.dumps(body), [*query, ("fieldManager", "test")]
        text = api.call_api(
            *api.param_serialize(
                method, path, query_params=query, body=given, auth_settings=["BearerToken"],
                header_params={"Accept": "application/json", "Content-Type": kind},
            )
        )  # fmt: skip
        text.read()
        assert text.status < 300 or (text.status == 404 and body is None), text.data.decode()
        assert "warning" not in {header.lower() for header in text.getheaders()}, text.getheaders()
        answer: dict[str, Any] = (
            {} if text.status == 404 else json.loads(text.data)
        )  # of an unknown group: a plain text
        return answer


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    import kubernetes

    kubernetes.config.load_config()
    core = kubernetes.client.CoreV1Api()
    name = f"dry-{secrets.token_hex(4)}"
    restricted = {"pod-security.kubernetes.io/warn": "restricted", "pod-security.kubernetes.io/enforce": "restricted"}
    core.create_namespace({"metadata": {"name": name, "labels": restricted}})
    yield Server(kubernetes.client, name)
    core.delete_namespace(name)


def lost(sent: Any, taken: Any, where: str) -> list[str]:
    """Fields that the server has dropped or changed: an old one does so without a word."""
    if isinstance(sent, dict) and isinstance(taken, dict):
        own = {"apiVersion", "namespace", "name"}
        return [
            fault
            for key, value in sent.items()
            if key not in own and value not in ({}, [])
            for fault in (lost(value, taken[key], f"{where}.{key}") if key in taken else [f"{where}.{key}"])
        ]
    if isinstance(sent, list) and isinstance(taken, list) and len(sent) == len(taken):
        pairs = zip(sent, taken, strict=True)
        return [fault for place, (a, b) in enumerate(pairs) for fault in lost(a, b, f"{where}[{place}]")]
    return [] if type(sent) is type(taken) and (sent == taken or isinstance(sent, str)) else [where]


def faults(documents: Any) -> list[str]:
    """What current schemas have against the documents."""
    command = ["node", str(HERE / "validate.mjs"), installed("schemas")]
    done = subprocess.run(command, input=json.dumps(list(documents)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found
