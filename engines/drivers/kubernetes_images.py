"""Own having an algorithm's image: on a node already, or pulled there by a pod that has no other purpose."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from engines.drivers import registries
from engines.drivers.base import ImageRef
from engines.drivers.kubernetes_api import KubernetesApi
from engines.drivers.kubernetes_manifests import PROBE, probe_pod, pull_secret, thing_name
from engines.drivers.kubernetes_seen import container_state, container_status
from engines.drivers.kubernetes_settings import KubernetesSettings
from engines.drivers.kubernetes_words import no_node_words, one_line, waits_words
from shared.errors import JobError
from shared.files.base import Network
from shared.names import JobId

LOOK_S = 0.3
NOTE_EVERY_S = 2.0
DOUBT_S = 25.0
"A node may try a pull before it has seen the Secret with the login; it tries again after about ten seconds."
TRIES = 3
"How many pods are tried, should others delete them."
IS_THERE = frozenset({"CreateContainerError", "RunContainerError", "CreateContainerConfigError"})
"What goes wrong only once the image is there."

Note = Callable[[str], None]


class KubernetesImages:
    """Have images on the nodes. What is pulled comes from public addresses, or those the operator allows."""

    def __init__(self, api: KubernetesApi, settings: KubernetesSettings, fetch_allow: tuple[Network, ...]) -> None:
        self._api = api
        self._settings = settings
        self._fetch_allow = fetch_allow

    def ensure(self, job_id: JobId, image: ImageRef, note: Note) -> str:
        """Return what to run: pinned by its digest where the nodes know one. Raises: JobError."""
        if image.dockerfile is not None:
            raise JobError("A Kubernetes engine cannot build an image from a Dockerfile; name an image that is built.")
        found = None if image.login else self._on_a_node(image.reference, note)
        return found or self._pulled(job_id, image, note)

    def _on_a_node(self, reference: str, note: Note) -> str | None:
        wanted = full_name(reference)
        for node in self._api.items("/api/v1/nodes"):
            for each in node["status"].get("images") or ():
                if wanted in {full_name(name) for name in each.get("names") or ()}:
                    note(f"image {reference} is present on node {node['metadata']['name']}")
                    return pinned(reference, each.get("names") or ())
        return None

    def _pulled(self, job_id: JobId, image: ImageRef, note: Note) -> str:
        registries.check_host(registries.host_of(registries.split_reference(image.reference)[0]), self._fetch_allow)
        placement = self._settings.place(image.placement)
        pods = f"/api/v1/namespaces/{placement.namespace}/pods"
        path = f"{pods}/{thing_name(job_id, PROBE)}"
        if image.login:
            secret = pull_secret(job_id, self._settings.engine, image.reference, image.login)
            self._api.create(f"/api/v1/namespaces/{placement.namespace}/secrets", secret)
        note(f"pulling {image.reference}")
        body = probe_pod(job_id, self._settings, placement, image.reference, bool(image.login))
        for _ in range(TRIES):
            self._api.create(pods, body)
            try:
                found = self._watched(path, image.reference, note, DOUBT_S if image.login else 0.0)
            finally:
                self._api.delete(path, grace_s=0)
            if found is not None:
                note(f"pulled {image.reference}")
                return found
            note("the pod that was to pull it was deleted, by somebody or with its node")
        raise JobError(f"The pod that was to pull {image.reference} was deleted {TRIES} times.")

    def _watched(self, path: str, reference: str, note: Note, doubt_s: float) -> str | None:
        """Wait for the image, in trouble for `doubt_s`; `note` ends the wait when there is no point in it any more.

        Null where the pod is taken away.
        """
        told_at, doubted_at = time.monotonic(), None
        while True:
            pod = self._api.find(path)
            if pod is None:
                return None
            if has_image(pod):
                return digest_of(reference, pod) or reference
            if pod["metadata"].get("deletionTimestamp"):
                return None
            trouble = pull_trouble(pod)
            doubted_at = doubted_at or (time.monotonic() if trouble else None)
            if trouble is not None and doubted_at is not None and time.monotonic() - doubted_at >= doubt_s:
                raise JobError(f"The image {reference} cannot be had: {trouble}")
            if time.monotonic() - told_at > NOTE_EVERY_S:
                told_at = time.monotonic()
                note(no_node_words(pod) or f"pulling {reference} on node {pod['spec'].get('nodeName', '(none yet)')}")
            time.sleep(LOOK_S)


def has_image(pod: Mapping[str, Any]) -> bool:
    """Whether the pod's node has the image by now."""
    state = container_state(pod)
    return any(each in state for each in ("running", "terminated")) or (
        (state.get("waiting") or {}).get("reason") in IS_THERE
    )


def pull_trouble(pod: Mapping[str, Any]) -> str | None:
    """Why the image cannot be had; null while it may come."""
    if pod["status"].get("phase") == "Failed":
        return one_line(pod["status"].get("message") or pod["status"].get("reason"))
    return waits_words(container_state(pod).get("waiting") or {})


def digest_of(reference: str, pod: Mapping[str, Any]) -> str | None:
    """The reference by digest, as the node tells what it pulled; null for an image that no registry gave."""
    told = str(container_status(pod).get("imageID") or "").partition("://")[2]
    told = told or str(container_status(pod).get("imageID") or "")
    return pinned(reference, (told,)) if "@sha256:" in told else None


def pinned(reference: str, known_as: Any) -> str:
    """The reference by the digest among an image's names, where its own repository has one: nobody can move that."""
    name = registries.split_reference(reference)[0]
    own = full_name(reference).rpartition("@" if "@" in reference else ":")[0]
    digests = [each.rpartition("@")[2] for each in known_as if full_name(each).rpartition("@")[0] == own]
    return f"{name}@{digests[0]}" if digests else reference


def full_name(reference: str) -> str:
    """A reference with its registry and tag, as nodes list images."""
    name, tag = registries.split_reference(reference)
    host = registries.host_of(name)
    bare = name.removeprefix(f"{host}/")
    if host == registries.PUBLIC_HUB and "/" not in bare:
        bare = f"library/{bare}"
    return f"{host}/{bare}{'@' if '@' in reference else ':'}{tag}"
