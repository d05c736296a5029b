"""Own which permissions the engine needs on a cluster, and asking the cluster whether it has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engines.drivers.kubernetes_api import KubernetesApi

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@dataclass(frozen=True)
class Permission:
    """What one rule of RBAC grants."""

    group: str
    "Empty for the core group."
    resource: str
    "With its subresource: `pods/log`."
    verbs: tuple[str, ...]
    name: str | None = None
    "Null for every object."
    is_namespaced: bool = True

    def rule(self, verbs: tuple[str, ...]) -> str:
        """The rule that grants these verbs, as a manifest has it."""
        named = f", resourceNames: [{self.name}]" if self.name else ""
        group = self.group or '""'
        return f"- {{apiGroups: [{group}], resources: [{self.resource}]{named}, verbs: [{', '.join(verbs)}]}}"


NEEDED = (
    Permission("", "pods", ("create", "get", "list", "watch", "patch", "delete")),
    Permission("", "pods/log", ("get",)),
    Permission("", "persistentvolumeclaims", ("create", "get", "list", "patch", "delete")),
    Permission("", "secrets", ("create", "list", "deletecollection")),
    Permission("networking.k8s.io", "networkpolicies", ("create", "patch")),
    Permission("", "nodes", ("list",), is_namespaced=False),
    Permission("storage.k8s.io", "storageclasses", ("list",), is_namespaced=False),
    Permission("", "namespaces", ("get",), is_namespaced=False),
)
"All that the driver asks of a cluster where each job has a volume claim."
NEEDED_FOR_ONE_POD = (Permission("", "configmaps", ("create", "get", "list", "patch", "delete")),)
"What it asks for besides where jobs are one pod each."


def missing(
    api: KubernetesApi, namespace: str, *, has_one_pod: bool = False
) -> Iterator[tuple[Permission, tuple[str, ...]]]:
    """Yield each permission that is not whole, with the verbs it lacks. Raises: Unavailable."""
    for permission in (*NEEDED, *(NEEDED_FOR_ONE_POD if has_one_pod else ())):
        lacking = tuple(verb for verb in permission.verbs if not is_allowed(api, permission, verb, namespace))
        if lacking:
            yield permission, lacking


def is_allowed(api: KubernetesApi, permission: Permission, verb: str, namespace: str) -> bool:
    """What the cluster answers to a SelfSubjectAccessReview."""
    resource, _, subresource = permission.resource.partition("/")
    asked = {"group": permission.group, "resource": resource, "subresource": subresource, "verb": verb}
    asked |= {"name": permission.name} if permission.name else {}
    asked |= {"namespace": namespace} if permission.is_namespaced else {}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    answer = api.call("POST", REVIEWS, body=body).body
    return bool(answer["status"].get("allowed"))
