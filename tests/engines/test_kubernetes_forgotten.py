"""A server that has forgotten what a watch asks for: both ways to say so, which a real one takes when it is old."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3

from engines.drivers.kubernetes_api import KubernetesApi
from engines.drivers.kubernetes_watch import watch_pods
from shared.errors import Unavailable
from shared.names import LABEL_JOB, JobId

GONE: dict[str, Any] = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old: 1 (50)"}
TORN: dict[str, Any] = {"kind": "Status", "code": 500, "reason": "InternalError", "message": "etcd is away"}


class Old(BaseHTTPRequestHandler):
    """Holds what happened since version 50; asked for what came before, it answers with `says`."""

    says: tuple[int, dict[str, Any]]
    asked: list[str]

    def do_GET(self) -> None:
        """Answer a list or a watch of pods."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        version = query.get("resourceVersion", "") if "watch" in query else "list"
        self.asked.append(version)
        answers = {
            "list": (200, {"kind": "PodList", "metadata": {"resourceVersion": "50"}, "items": [pod("there", "40")]}),
            "1": self.says,
            "50": (200, {"type": "ADDED", "object": pod("later", "51")}),
        }
        status, body = answers.get(version, (200, {}))
        data = json.dumps(body).encode() + b"\n" if body else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def pod(job_id: str, version: str) -> dict[str, Any]:
    """A pod of a job's."""
    return {"metadata": {"name": job_id, "annotations": {LABEL_JOB: job_id}, "resourceVersion": version}}


@pytest.fixture
def server() -> Iterator[tuple[KubernetesApi, type[Old]]]:
    handler = type("Handler", (Old,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        api = KubernetesApi(urllib3.PoolManager(), f"http://127.0.0.1:{listening.server_port}", dict)
        yield api, handler
        listening.shutdown()
        thread.join()


def told(server: tuple[KubernetesApi, type[Old]], known: dict[str, str]) -> list[JobId]:
    """Who is woken until the last is."""
    woken: list[JobId] = []
    watch_pods(server[0], "main", "jobs", woken.append, lambda: "later" in woken, known)
    return woken


@pytest.mark.parametrize("says", [(410, GONE), (200, {"type": "ERROR", "object": GONE})], ids=["status", "event"])
def test_what_was_forgotten_is_made_good_by_one_look_at_everything(
    server: tuple[KubernetesApi, type[Old]], says: tuple[int, dict[str, Any]]
) -> None:
    server[1].says = says
    known = {"jobs": "1"}
    assert told(server, known) == ["there", "later"]
    assert server[1].asked == ["1", "list", "50"] and known == {"jobs": "51"}


@pytest.mark.parametrize("says", [(500, TORN), (200, {"type": "ERROR", "object": TORN})], ids=["status", "event"])
def test_a_watch_the_server_fails_is_taken_up_with_a_look_at_everything(
    server: tuple[KubernetesApi, type[Old]], says: tuple[int, dict[str, Any]]
) -> None:
    server[1].says = says
    known = {"jobs": "1"}
    with pytest.raises(Unavailable, match="etcd is away"):
        told(server, known)
    assert told(server, known) == ["there", "later"] and server[1].asked == ["1", "list", "50"]
