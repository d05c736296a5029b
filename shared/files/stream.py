"""Own a file's bytes on their way: bounded in size and time, and taken up again where a connection broke."""

from __future__ import annotations

import hashlib
import http.client
from collections.abc import Iterator, Mapping

from shared.errors import JobError
from shared.files.base import FetchRules, too_large
from shared.files.headers import content_range, length_of, retry_after_s, validator_of
from shared.files.http import Request, Response, send
from shared.files.tries import Tries

CHUNK_BYTES = 256 * 1024
_AGAIN = {408, 425, 429, 500, 502, 503, 504}


class HttpStream:
    """The bytes behind a request, each yielded once, in order, whatever breaks between."""

    def __init__(self, request: Request, rules: FetchRules) -> None:
        """Open it: the answer's head is known afterwards. Raises: InvalidRequest, Forbidden, JobError."""
        self._request, self._rules = request, rules
        self._tries = Tries(rules)
        self._received, self._hash = 0, hashlib.sha256()
        self._validator: str | None = None
        self._response = self._opened()
        self.size_bytes = length_of(self._response.headers)
        self.content_type = self._response.headers.get("content-type")
        self._validator = validator_of(self._response.headers)
        self._refuse_if_too_large(self.size_bytes or 0)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the file's bytes. Raises: JobError."""
        is_broken = False
        while True:
            try:
                if is_broken:
                    self._response = self._resumed()
                yield from self._chunks()
                return
            except (OSError, http.client.HTTPException) as error:
                self.close()
                self._tries.failed("the connection broke", error)
                is_broken = True

    def sha256(self) -> str:
        """The digest of what was yielded so far, in hex."""
        return self._hash.hexdigest()

    def close(self) -> None:
        """Let the connection go; may be repeated."""
        self._response.close()

    def _chunks(self) -> Iterator[bytes]:
        while chunk := self._response.body.read1(CHUNK_BYTES):
            self._received += len(chunk)
            self._tries.progressed()
            self._refuse_if_too_large(self._received)
            self._hash.update(chunk)
            yield chunk
        if self.size_bytes is not None and self._received < self.size_bytes:
            raise http.client.IncompleteRead(b"", self.size_bytes - self._received)

    def _opened(self, extra: Mapping[str, str] | None = None) -> Response:
        """Send the request until it is answered with bytes. Raises: JobError after so many tries."""
        while True:
            try:
                response = send(self._request, self._rules, extra or {}, self._tries.deadline)
            except (OSError, http.client.HTTPException) as error:
                self._tries.failed("the server cannot be reached", error)
                continue
            if response.status in (200, 206 if extra else 200):
                return response
            response.close()
            if response.status not in _AGAIN:
                raise JobError(f"the server answered {response.status}")
            self._tries.failed(f"the server answered {response.status}", None, retry_after_s(response.headers))

    def _resumed(self) -> Response:
        """Ask for the rest; where the server sends everything again, read up to where we were and compare."""
        if not self._received or self._request.method != "GET":
            return self._skipped(self._opened())
        extra = {"Range": f"bytes={self._received}-"}
        if self._validator:
            extra["If-Range"] = self._validator
        response = self._opened(extra)
        if response.status == 200:
            return self._skipped(response)
        start, size = content_range(response.headers.get("content-range", ""))
        if start != self._received or (self.size_bytes is not None and size not in (None, self.size_bytes)):
            response.close()
            raise JobError("the file changed while it was read")
        return response

    def _skipped(self, response: Response) -> Response:
        """Read again what was already yielded. Raises: JobError if it is not the same."""
        seen, left = hashlib.sha256(), self._received
        while left:
            chunk = response.body.read1(min(left, CHUNK_BYTES))
            if not chunk:
                raise http.client.IncompleteRead(b"", left)
            seen.update(chunk)
            left -= len(chunk)
        if seen.digest() != self._hash.digest():
            response.close()
            raise JobError("the file changed while it was read")
        return response

    def _refuse_if_too_large(self, size_bytes: int) -> None:
        if self._rules.max_bytes is not None and size_bytes > self._rules.max_bytes:
            self.close()
            raise too_large(self._rules.max_bytes)
