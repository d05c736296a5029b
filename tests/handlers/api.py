"""Ask a node under test: plain, signed as a consumer, or signed as a pod."""

from __future__ import annotations

import itertools
import json
from typing import Any
from urllib.parse import urlencode

from falcon.testing import Result, TestClient

from handlers import all_in_one
from shared.services import Services
from tests.factories import ALICE, job_key, pod_headers, signed, workflow_job

SERVICES = "/api/services"


class Api:
    """A node and its callers; each call of a key has the next nonce."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.client = TestClient(all_in_one.create_app(services))
        self._nonces = itertools.count(1)

    def next_nonce(self) -> int:
        """A nonce nobody has used."""
        return next(self._nonces)

    def get(self, path: str, headers: dict[str, str] | None = None, **query: Any) -> Result:
        """Ask unsigned."""
        return self.client.simulate_get(f"{SERVICES}/{path}", query_string=urlencode(query), headers=headers)

    def signed(self, method: str, path: str, command: str, key: bytes = ALICE, **fields: Any) -> Result:
        """Ask with a signed query."""
        headers = fields.pop("headers", None)
        query = urlencode(signed(fields, command, self.next_nonce(), key))
        return self.client.simulate_request(method, f"{SERVICES}/{path}", query_string=query, headers=headers)

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> Result:
        """Send JSON."""
        raw = json.dumps(body).encode()
        all_headers = {"Content-Type": "application/json", **(headers or {})}
        return self.client.simulate_post(f"{SERVICES}/{path}", body=raw, headers=all_headers)

    def start(self, body: dict[str, Any], key: bytes = ALICE) -> Result:
        """Sign and start, by whichever door the body is for."""
        return self.post("freeCompute", signed(body, "freeStartCompute", self.next_nonce(), key))

    def start_jobs(self, *jobs: dict[str, Any], key: bytes = ALICE, **fields: Any) -> list[dict[str, Any]]:
        """Start a workflow that must be taken in; the records of its jobs."""
        result = self.start({"workflow": list(jobs or [workflow_job()]), **fields}, key)
        assert result.status_code == 200, result.text
        return list(result.json)

    def direct(self, command: str, **fields: Any) -> Result:
        """Send a directCommand."""
        return self.client.simulate_post("/directCommand", json={"command": command, **fields})

    def pod(self, command: str, job_id: str, body: Any = None, *, query: str = "", **options: Any) -> Result:
        """Call as the job's pod; `raw`, `key`, `headers` and `command_signed` replace what a good one sends."""
        raw: bytes = options.get("raw", json.dumps(body if body is not None else {}).encode())
        key = options.get("key") or job_key(job_id)
        headers = pod_headers(options.get("command_signed", command), job_id, raw, key)
        headers |= options.get("headers", {})
        return self.client.simulate_post(f"{SERVICES}/{command}", body=raw, headers=headers, query_string=query)
