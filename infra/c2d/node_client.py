"""Own the talk with a node over HTTP: signed calls, streams, and errors turned into sentences."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import urllib3

from infra.c2d.failures import Failure, Refused, Unreachable
from shared.digests import body_digest, query_digest
from shared.signatures import address_of, sign_bound

SERVICES = "/api/services"
PATIENCE_S = 30
"The longest this command waits on its own when a node says `Retry-After`."

ERRNO = re.compile(r"\[Errno -?\d+\] ")
Response = urllib3.BaseHTTPResponse


class NodeClient:
    """One node, and the key that signs calls to it; it is asked for when the first call is signed."""

    def __init__(self, url: str, key: Callable[[], bytes] | None = None) -> None:
        self.url = url.rstrip("/")
        self._ask_key = key
        self._key: bytes | None = None
        self._node_address: str | None = None
        self._pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=5, read=60))

    @property
    def address(self) -> str:
        """Whose calls these are."""
        return address_of(self._signing_key())

    @property
    def key(self) -> bytes:
        """The key that signs, for what is signed for others than the node."""
        return self._signing_key()

    def get(self, path: str, query: Mapping[str, str] | None = None, command: str = "") -> Any:
        """Ask for JSON; signed where a command is named."""
        return self._json("GET", path, query or {}, command)

    def put(self, path: str, query: Mapping[str, str], command: str) -> Any:
        """Send a signed call that has no body."""
        return self._json("PUT", path, query, command)

    def post(self, path: str, body: Mapping[str, Any], command: str = "") -> Any:
        """Send a body; signed where a command is named. A refused signature is tried once more with a new nonce."""
        for attempt in (1, 2):
            signed = self.signed_body(body, command) if command else body
            raw = json.dumps(signed, ensure_ascii=False, allow_nan=False).encode()
            response = self.open("POST", path, body=raw, headers={"Content-Type": "application/json"})
            if not (command and attempt == 1 and response.status == 401):
                break
        return self._read_json(response)

    def stream(self, path: str, query: Mapping[str, str], command: str, headers: Mapping[str, str]) -> Response:
        """Open a signed GET whose body is read piece by piece. Raises: Refused, Unreachable."""
        response = self._open_query("GET", path, query, command, headers)
        if response.status >= 400:
            self._read_json(response)
        return response

    def signed_query(self, query: Mapping[str, str], command: str) -> dict[str, str]:
        """Add who calls, a fresh nonce and the signature that binds the query to this node."""
        signed = {**query, "consumerAddress": self.address, "nonce": str(self._fresh_nonce())}
        return {**signed, "signature": self._sign(signed["nonce"], command, query_digest(signed))}

    def signed_body(self, body: Mapping[str, Any], command: str) -> dict[str, Any]:
        """Add who calls, a fresh nonce and the signature that binds the body to this node."""
        signed = {**body, "consumerAddress": self.address, "nonce": str(self._fresh_nonce())}
        return {**signed, "signature": self._sign(signed["nonce"], command, body_digest(signed))}

    def open(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Send one request; wait and repeat where the node asks for patience. Raises: Unreachable."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                response = self._pool.request(
                    method, self.url + path, body=body, headers=dict(headers or {}), preload_content=False
                )
            except (urllib3.exceptions.HTTPError, ValueError) as error:
                raise Unreachable(
                    f"no node answers at {self.url} ({short_cause(error)})",
                    "start one with `c2d up`, or name another with --node URL",
                ) from error
            wait_s = retry_after_s(response)
            if wait_s is None or time.monotonic() + wait_s > deadline:
                return response
            response.drain_conn()
            time.sleep(wait_s)

    def _json(self, method: str, path: str, query: Mapping[str, str], command: str) -> Any:
        return self._read_json(self._open_query(method, path, query, command, {}))

    def _open_query(
        self, method: str, path: str, query: Mapping[str, str], command: str, headers: Mapping[str, str]
    ) -> Response:
        for attempt in (1, 2):
            asked = self.signed_query(query, command) if command else query
            response = self.open(method, f"{path}?{urlencode(asked)}" if asked else path, headers=headers)
            if not (command and attempt == 1 and response.status == 401):
                break
            response.drain_conn()
        return response

    def _read_json(self, response: Response) -> Any:
        try:
            text = response.read()
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(f"the node's answer broke off ({short_cause(error)})", "try again") from error
        try:
            document = json.loads(text)
        except ValueError as error:
            raise Failure(f"{self.url} does not answer as a node does", "is --node right?") from error
        if response.status < 400:
            return document
        body = document if isinstance(document, dict) else {"error": str(document)}
        if response.status == 503:
            raise Unreachable(str(body.get("error") or "the node is not available now"), "try again in a moment")
        raise Refused(response.status, body)

    def _fresh_nonce(self) -> int:
        """Above the last one used; the time keeps two commands that run at once apart."""
        stored = self.get(f"{SERVICES}/nonce", {"userAddress": self.address})["nonce"]
        return max(int(stored or 0) + 1, time.time_ns() // 1_000_000)

    def _sign(self, nonce: str, command: str, digest: str) -> str:
        if self._node_address is None:
            self._node_address = str(self.get("/")["providerAddress"])
        return sign_bound(self._signing_key(), nonce, command, self._node_address, digest)

    def _signing_key(self) -> bytes:
        if self._key is None and self._ask_key is not None:
            self._key = self._ask_key()
        if self._key is None:
            raise Failure("this call is signed, and there is no key", "name one with --key FILE")
        return self._key


def retry_after_s(response: Response) -> float | None:
    """How long a busy node asks us to wait; null where it does not."""
    after = response.headers.get("Retry-After", "")
    return float(after) if response.status in (421, 429, 503) and after.isdigit() else None


def short_cause(error: Exception) -> str:
    """The last words of a connection error, without the library's wrapping."""
    reason = getattr(error, "reason", None) or error
    return ERRNO.sub("", str(reason).rsplit(": ", 1)[-1]).rstrip(")>") or type(reason).__name__
