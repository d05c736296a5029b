"""Own an engine's images: present, pulled or built for one job, and what their configuration says."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from engines.drivers import registries
from engines.drivers.base import ImageRef
from engines.drivers.docker_api import DockerApi, in_path, json_lines
from engines.drivers.dockerfile import base_images, context_archive, refuse_fetching
from engines.drivers.manifests import ImageConfig
from shared import names
from shared.errors import JobError
from shared.files.base import Network
from shared.names import JobId

SILENCE_S = 900
"A pull or a build that says nothing for so long is given up."
MOST_S = 3600
BUILD_MEMORY_BYTES = 2 << 30
BUILD_CPU_CORES = 1.0
NOTE_EVERY_S = 1.0
ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
KEPT_CONFIGS = 256

Note = Callable[[str], None]


class DockerImages:
    """Have images at hand. What is pulled comes from public addresses, or those the operator allows."""

    def __init__(self, api: DockerApi, engine: str, fetch_allow: tuple[Network, ...] = ()) -> None:
        self._api = api
        self._engine = engine
        self._fetch_allow = fetch_allow
        self.configs: dict[str, ImageConfig] = {}

    def ensure(self, job_id: JobId, image: ImageRef, note: Note) -> str:
        """Pull or build, and return the id to run: nobody can move a tag between here and the start."""
        if image.dockerfile is not None:
            return self._build(job_id, image, note)
        found = self._ensure_present(image.reference, image.login, note)
        self._check_platform(image.reference, found)
        return self._remember(found)

    def knows(self, reference: str) -> None:
        """Have the image's configuration at hand, where there is such an image."""
        if reference not in self.configs:
            found = self.inspect(reference)
            if found:
                self.configs[reference] = config_of(found)

    def inspect(self, reference: str) -> dict[str, Any] | None:
        """What the engine tells of an image it has."""
        found: dict[str, Any] | None = self._api.is_there(f"/images/{in_path(reference)}/json")
        return found

    def built(self, query: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Images built for jobs among those found by `query`; a label alone is no proof, any image may have it."""
        found: list[dict[str, Any]] = self._api.call("GET", "/images/json", query=query).body
        return [image for image in found if built_tag(image) in (image.get("RepoTags") or ())]

    def remove_built(self, job_id: JobId) -> None:
        """Remove the image built for a job, if any."""
        path = f"/images/{in_path(names.image_name(job_id))}"
        self._api.call("DELETE", path, query={"force": "true"}, accept=(404,))

    def _ensure_present(self, reference: str, login: Mapping[str, str] | None, note: Note) -> dict[str, Any]:
        found = self.inspect(reference)
        if found is None:
            self._pull(reference, login, note)
            found = self.inspect(reference)
        if found is None:
            raise JobError(f"The image {reference} was pulled but cannot be found.")
        note(f"image {reference} is present: {short_id(found)}, {found.get('Size', 0)} bytes")
        return found

    def _pull(self, reference: str, login: Mapping[str, str] | None, note: Note) -> None:
        name, tag = registries.split_reference(reference)
        registries.check_host(registries.host_of(name), self._fetch_allow)
        note(f"pulling {reference}")
        query = {"fromImage": name, "tag": tag}
        headers = {"X-Registry-Auth": registry_auth(login, registries.host_of(name))} if login else {}
        progress = PullProgress(reference, note)
        with self._api.stream("POST", "/images/create", query=query, headers=headers, timeout_s=SILENCE_S) as response:
            if response.status_code >= 400:
                raise pull_error(reference, response.status_code, message_of(response.content))
            for line in bounded(json_lines(response), f"The image {reference} cannot be pulled"):
                if "error" in line:
                    raise pull_error(reference, 0, str(line["error"]))
                progress.take(line)
        note(f"pulled {reference}")

    def _build(self, job_id: JobId, image: ImageRef, note: Note) -> str:
        dockerfile = image.dockerfile or ""
        context = context_archive(dockerfile, image.extra_files)
        for base in base_images(dockerfile):
            found = self._ensure_present(base, image.login, note)
            self._check_platform(base, found)
            refuse_fetching((found.get("Config") or {}).get("OnBuild") or ())
        tag = names.image_name(job_id)
        note("building from the request's Dockerfile, without network")
        query = build_query(tag, names.labels(job_id, self._engine))
        headers = {"Content-Type": "application/x-tar"}
        with self._api.stream(
            "POST", "/build", query=query, body=context, headers=headers, timeout_s=SILENCE_S
        ) as response:
            if response.status_code >= 400:
                raise JobError(f"The image cannot be built: {message_of(response.content)}")
            for line in bounded(json_lines(response), "The image cannot be built"):
                if "error" in line:
                    raise JobError(f"The image cannot be built: {one_line(str(line['error']))}")
                for text in str(line.get("stream", "")).splitlines():
                    note(text.rstrip())
        built = self.inspect(tag)
        if built is None:
            raise JobError("The image was built but cannot be found.")
        return self._remember(built)

    def _check_platform(self, reference: str, found: Mapping[str, Any]) -> None:
        version = self._api.version()
        theirs, ours = str(found.get("Architecture", "")), str(version.get("Arch", ""))
        if wire_architecture(theirs) != wire_architecture(ours) or found.get("Os") != version.get("Os"):
            raise JobError(
                f"The image {reference} is for {found.get('Os')} on {wire_architecture(theirs)}, "
                f"this engine is {version.get('Os')} on {wire_architecture(ours)}."
            )

    def _remember(self, found: Mapping[str, Any]) -> str:
        image_id = str(found["Id"])
        while len(self.configs) >= KEPT_CONFIGS:
            self.configs.pop(next(iter(self.configs)), None)
        self.configs[image_id] = config_of(found)
        return image_id


class PullProgress:
    """Tell how far a pull is, at most once a second."""

    def __init__(self, reference: str, note: Note) -> None:
        self._reference = reference
        self._note = note
        self._layers: dict[str, tuple[int, int]] = {}
        self._told_at = time.monotonic()

    def take(self, line: Mapping[str, Any]) -> None:
        """Record one line of the engine's progress."""
        detail = line.get("progressDetail") or {}
        if line.get("status") == "Downloading" and detail.get("total"):
            self._layers[str(line.get("id"))] = (int(detail.get("current", 0)), int(detail["total"]))
        now = time.monotonic()
        if self._layers and now - self._told_at >= NOTE_EVERY_S:
            self._told_at = now
            have, total = (sum(column) for column in zip(*self._layers.values(), strict=True))
            self._note(f"pulling {self._reference}: {have} of {total} bytes in {len(self._layers)} layers")


def bounded(lines: Any, what: str) -> Any:
    """Pass lines on until the time is up. Raises: JobError."""
    end = time.monotonic() + MOST_S
    for line in lines:
        if time.monotonic() > end:
            raise JobError(f"{what}: it takes longer than {MOST_S} s.")
        yield line


def build_query(tag: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """The query of `POST /build`: no network, bounded, nothing left behind."""
    return {
        "t": tag,
        "version": "1",
        "networkmode": "none",
        "rm": "true",
        "forcerm": "true",
        "memory": BUILD_MEMORY_BYTES,
        "memswap": BUILD_MEMORY_BYTES,
        "cpuperiod": 100_000,
        "cpuquota": int(BUILD_CPU_CORES * 100_000),
        "labels": json.dumps(dict(labels)),
    }


def registry_auth(login: Mapping[str, str], host: str) -> str:
    """The header that logs in at a registry; `auth` is `user:password` in base64."""
    facts = {key: login[key] for key in ("username", "password") if key in login}
    if "auth" in login and not facts:
        try:
            username, _, password = base64.b64decode(login["auth"]).decode().partition(":")
        except ValueError as error:
            raise JobError("The registry login's `auth` is not base64 of `user:password`.") from error
        facts = {"username": username, "password": password}
    return base64.urlsafe_b64encode(json.dumps({**facts, "serveraddress": host}).encode()).decode()


def pull_error(reference: str, status: int, message: str) -> JobError:
    """What a failed pull means for the job; a registry's refusal comes with a status, or in the stream without one."""
    hint = "Its name may be misspelt, or it is private."
    if status in (401, 403, 404):
        return JobError(f"The image was not found: {reference}. {hint}")
    return JobError(f"The image {reference} cannot be pulled: {one_line(message).rstrip('.')}. {hint}")


def message_of(content: bytes) -> str:
    """The engine's own words in the body of a failure."""
    try:
        return one_line(str(json.loads(content)["message"]))
    except (ValueError, KeyError, TypeError):
        return one_line(content.decode(errors="replace"))


def one_line(text: str) -> str:
    """At most 500 characters without line ends."""
    return " ".join(text.split())[:500]


def config_of(found: Mapping[str, Any]) -> ImageConfig:
    """The part of an inspected image that a container's spec depends on."""
    config = found.get("Config") or {}
    return ImageConfig(user=config.get("User") or "", environment=tuple(config.get("Env") or ()))


def built_tag(image: Mapping[str, Any]) -> str:
    """The name an image would have that was built for the job its label names."""
    return names.image_name(JobId((image.get("Labels") or {}).get(names.LABEL_JOB, "")))


def short_id(found: Mapping[str, Any]) -> str:
    """An image's id as people write it."""
    return str(found["Id"]).removeprefix("sha256:")[:12]


def wire_architecture(name: str) -> str:
    """An architecture as the wire names it."""
    return ARCHITECTURES.get(name, name)
