"""The client at a node: the words its checks are told in. All that is asked goes through the real SDK."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.clients.sdk import WALLET, Sdk
from tests.flows.docker.harness import Place, until
from tests.needs import busybox_image
from tests.services.node import FINALS, Consumer

Json = dict[str, Any]
SMALL = [{"id": "cpu", "amount": 0.1}, {"id": "ram", "amount": 0.1}, {"id": "disk", "amount": 1}]


def algorithm(script: str = "", **more: Any) -> Json:
    """A shell script as ocean.js has it."""
    image, _, tag = busybox_image().rpartition(":")
    container = {"entrypoint": "sh $ALGO", "image": image, "tag": tag, "checksum": ""}
    return {"meta": {"rawcode": script, "container": container}, **more}


@dataclass(frozen=True)
class Station:
    """One version of the client, its wallet, and the node."""

    sdk: Sdk
    place: Place

    @property
    def url(self) -> str:
        """What a user changes, and nothing else."""
        return self.place.node.url

    @functools.cached_property
    def environment(self) -> Json:
        """The first environment."""
        found: list[Json] = self.sdk.call("getComputeEnvironments", self.url)
        return found[0]

    @property
    def consumer(self) -> Consumer:
        """The same wallet without the SDK, to look behind it."""
        return Consumer(self.url, self.sdk.key)

    def start(self, script: str | Json, *datasets: Json, **more: Any) -> Json:
        """Start one free job; `more` by the SDK's parameter names."""
        asked = algorithm(script) if isinstance(script, str) else script
        arguments = [
            self.url, more.get("signer", WALLET), self.environment["id"], list(datasets), asked,
            more.get("resources", SMALL), more.get("metadata"), more.get("additionalViewers"), more.get("output"),
            None, None, more.get("queueMaxWaitTime", 600), more.get("dockerRegistryAuth"),
        ]  # fmt: skip
        (job,) = self.sdk.call("freeComputeStart", *arguments)
        return dict(job)

    def status(self, job: Json) -> Json:
        """The job as the SDK shows it now."""
        (found,) = self.sdk.call("computeStatus", self.url, WALLET, job["jobId"])
        return dict(found)

    def finished(self, job: Json) -> Json:
        """The job once it is final."""
        return self.until(job, lambda found: found["status"] in FINALS)

    def until(self, job: Json, is_so: Callable[[Json], bool]) -> Json:
        """The job once something is so."""

        def look() -> Json | None:
            found = self.status(job)
            return found if is_so(found) else None

        return dict(until(look, lambda: self.status(job)))

    def result(self, job: Json, kind: str, offset: int = 0) -> bytes:
        """A result by its type, as the SDK streams it."""
        (index,) = [each["index"] for each in self.status(job)["results"] if each["type"] == kind]
        return bytes(self.sdk.call("getComputeResult", self.url, WALLET, job["jobId"], index, offset))

    def fetch(self, path: str, method: str = "GET", body: Any = None, **headers: str) -> Json:
        """A request of Node's own fetch, beside the SDK."""
        options = {"method": method, "headers": headers, **({} if body is None else {"body": json.dumps(body)})}
        return dict(self.sdk.call("fetchText", self.url + path, options))
