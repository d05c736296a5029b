"""Own what a cluster's storage classes say of where a volume will be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engines.drivers.kubernetes_api import KubernetesApi

CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
LATE = "WaitForFirstConsumer"
IS_DEFAULT = "storageclass.kubernetes.io/is-default-class"


class StorageClasses:
    """Remember, for as long as a process lives, which classes choose a volume's place by the first pod that mounts it.

    A class's mode cannot be changed; where another class becomes the default, the next process sees it.
    """

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api
        self._known: dict[str | None, bool] = {}

    def is_bound_late(self, name: str | None) -> bool:
        """Whether the first pod decides where the volume is. Null: the cluster's default. Raises: Unavailable."""
        if name not in self._known:
            self._known[name] = is_late(self._api.items(CLASSES), name)
        return self._known[name]


def is_late(classes: list[Mapping[str, Any]], name: str | None) -> bool:
    """Judge the class of that name, or the default: the youngest of those that say they are it. Pure."""
    named = [each for each in classes if each["metadata"]["name"] == name]
    default = [each for each in classes if (each["metadata"].get("annotations") or {}).get(IS_DEFAULT) == "true"]
    chosen = max(default if name is None else named, key=made_at, default={})
    return chosen.get("volumeBindingMode") == LATE


def made_at(thing: Mapping[str, Any]) -> str:
    """When an object was made; texts of one format, which compare as times do."""
    return str(thing["metadata"].get("creationTimestamp") or "")
