"""Own the pods' calls to the node: signed with the job's key, tried again while that can help."""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from pods.body import Body
from pods.console import say
from shared.errors import JobError
from shared.pod_calls import sign_pod

PROVISION, REPORT, PUBLISH = "c2dJobProvision", "c2dJobStatusUpdate", "c2dJobPublishResult"
_READS = 5
_ELSEWHERE = (404, 405, 421)
"""What a stranger answers: where a node's process has gone, its address may be another's before all proxies have heard
of it. The node itself says with a code that there is no such thing."""


class NodeClient(NamedTuple):
    """One job's way to its node."""

    api: str
    job_id: str
    node_address: str
    private_key: bytes
    retry_s: float = 300.0
    "How long to go on after the first failure of a call."
    silence_s: float = 120.0
    "The longest wait for an answer: to an upload it comes only when storage has it all."

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> NodeClient:
        """Read what the engine set. Raises: JobError."""
        try:
            key = bytes.fromhex(environment["privateKey"].removeprefix("0x"))
            return cls(environment["nodeHttpApi"].rstrip("/"), environment["jobId"], environment["nodeAddress"], key)
        except KeyError as error:
            raise JobError(f"the pod was started without {error.args[0]}") from error
        except ValueError:
            raise JobError("the pod was started with a privateKey that is not hex") from None

    def call(self, command: str, body: Body, query: str = "") -> Any:
        """Call a command and give its JSON. Raises: JobError when the node refuses or cannot be reached."""
        for _ in range(_READS):
            response = self.open(command, body, query)
            try:
                return json.loads(response.read())
            except ValueError as error:
                raise JobError(f"{command}: the node's answer is not JSON") from error
            except (OSError, http.client.HTTPException) as error:
                say(f"{command}: the node's answer broke off ({type(error).__name__}); asking again")
            finally:
                response.close()
        raise JobError(f"{command}: the node's answer broke off")

    def open(self, command: str, body: Body, query: str = "", extra: Mapping[str, str] | None = None) -> Any:
        """Call a command and give the answer, body unread, to be closed by the caller. Raises: JobError."""
        gives_up_at, pause_s, asked_s = 0.0, 0.2, 0.0
        while True:
            try:
                response = self._send(command, body, query, extra or {})
                if response.status in (200, 206):
                    return response
                trouble, asked_s = _refusal(response)
            except (OSError, http.client.HTTPException) as error:
                trouble = f"the node cannot be reached ({type(error).__name__})"
            gives_up_at = gives_up_at or time.monotonic() + self.retry_s
            wait_s = max(asked_s, pause_s)
            if time.monotonic() + wait_s > gives_up_at:
                raise JobError(f"{command}: {trouble}")
            say(f"{command}: {trouble}; trying again")
            time.sleep(wait_s)
            pause_s = min(pause_s * 2, 10.0)

    def _send(self, command: str, body: Body, query: str, extra: Mapping[str, str]) -> http.client.HTTPResponse:
        parts = urlsplit(self.api)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.netloc, timeout=self.silence_s)
        target = f"{parts.path}/api/services/{command}{query}"
        try:
            connection.request("POST", target, body.chunks(), {**self._signed(command, body), **extra})
        except (BrokenPipeError, ConnectionResetError):
            """Refused before it was read whole: the answer says why."""
        except (OSError, http.client.HTTPException):
            connection.close()
            raise
        return connection.getresponse()

    def _signed(self, command: str, body: Body) -> dict[str, str]:
        nonce = os.urandom(16).hex()
        return {
            "Content-Type": body.content_type,
            "Content-Length": str(body.size_bytes),
            "Connection": "close",
            "X-C2D-Job": self.job_id,
            "X-C2D-Nonce": nonce,
            "X-C2D-Digest": body.sha256,
            "X-C2D-Signature": sign_pod(self.private_key, command, self.job_id, self.node_address, nonce, body.sha256),
        }


def published_as(filename: str, size_bytes: int) -> str:
    """Give the query that names a result."""
    return f"?filename={quote(filename, safe='')}&size={size_bytes}"


def _refusal(response: http.client.HTTPResponse) -> tuple[str, float]:
    """Say what the node answered and how long it asks to wait. Raises: JobError where trying again cannot help."""
    text, asked = response.read(4096).decode("utf-8", "replace"), response.headers.get("Retry-After", "")
    response.close()
    code = None
    try:
        said = json.loads(text)
        text, code = str(said["error"]), said.get("code")
    except (ValueError, KeyError, TypeError):
        text = text[:200]
    is_strangers = response.status in _ELSEWHERE and code != "not_found"
    if response.status < 500 and response.status not in (408, 425, 429) and not is_strangers:
        raise JobError(f"the node answered {response.status}: {text}")
    return f"the node answered {response.status}: {text}", float(asked) if asked.isdigit() else 0.0
