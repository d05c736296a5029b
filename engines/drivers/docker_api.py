"""Own the talk with one Docker Engine: requests, streams, time limits, and what a failure means.

The session comes from the `docker` package (its unix-socket and TLS transport), made in `docker_driver`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from engines.drivers.api_answer import Answer
from shared.errors import JobError, Unavailable

CONNECT_S = 10
QUICK_S = 60
SLOW_S = 300
NEWEST_API = (1, 47)
"The newest version of the Engine API this code was written for; an older engine is spoken to in its own."


class DockerApi:
    """Talk to one engine; threads share it. Nothing is sent before the first call."""

    def __init__(self, session: Any, base_url: str) -> None:
        self._session = session
        self._base_url = base_url
        self._version: dict[str, Any] | None = None
        self._lock = threading.Lock()

    def drop_connections(self) -> None:
        """Close those kept open, and forget what was said on them."""
        self._session.close()
        with self._lock:
            self._version = None

    def version(self) -> dict[str, Any]:
        """What the engine says of itself (`/version`), asked once."""
        with self._lock:
            if self._version is None:
                answer = self._answer(self._send("GET", "/version", {}, None, {}, QUICK_S, False))
                if answer.status != 200 or not isinstance(answer.body, dict):
                    raise Unavailable(f"The Docker Engine does not tell its version: {answer.message}")
                self._version = answer.body
            return self._version

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        accept: tuple[int, ...] = (),
        timeout_s: float = QUICK_S,
    ) -> Answer:
        """Send one request and return the answer. Raises: Unavailable for a status of 400 and more not in `accept`."""
        answer = self._answer(self._send(method, self._versioned(path), query or {}, body, {}, timeout_s, False))
        if answer.status >= 400 and answer.status not in accept:
            raise Unavailable(f"The Docker Engine failed at {method} {path}: {answer.message}", status=answer.status)
        return answer

    def attempt(self, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None) -> Answer:
        """Post what a job needs and return the answer, whatever it is; the engine's own failures get a second try.

        An engine that is going away fails requests too: it is given the time to be found gone.
        """
        everything = tuple(range(400, 600))
        answer = self.call("POST", path, query=query, body=body, accept=everything, timeout_s=SLOW_S)
        if answer.status < 500:
            return answer
        threading.Event().wait(0.5)
        return self.call("POST", path, query=query, body=body, accept=everything, timeout_s=SLOW_S)

    @contextmanager
    def stream(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = SLOW_S,
    ) -> Iterator[Any]:
        """Give the open response; it is closed at the end. Whatever breaks it off inside is `Unavailable`."""
        response = self._send(method, self._versioned(path), query or {}, body, headers or {}, timeout_s, True)
        try:
            yield response
        except OSError as error:  # what requests raises is one
            raise Unavailable(f"The Docker Engine broke off: {error}") from error
        finally:
            response.close()

    def is_there(self, path: str) -> Any | None:
        """The JSON at a path, or null where there is no such thing."""
        answer = self.call("GET", path, accept=(404,))
        return None if answer.status == 404 else answer.body

    def _versioned(self, path: str) -> str:
        theirs = str(self.version().get("ApiVersion", "1.41")).split(".")
        major, minor = min((int(theirs[0]), int(theirs[1])), NEWEST_API)
        return f"/v{major}.{minor}{path}"

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        body: Any,
        headers: Mapping[str, str],
        timeout_s: float,
        is_stream: bool,
    ) -> Any:
        content = {"data": body} if isinstance(body, bytes) else {"json": body}
        try:
            return self._session.request(
                method,
                self._base_url + path,
                params=query,
                headers=dict(headers),
                timeout=(CONNECT_S, timeout_s),
                stream=is_stream,
                **content,
            )
        except OSError as error:
            raise Unavailable(f"The Docker Engine is out of reach: {error}") from error

    @staticmethod
    def _answer(response: Any) -> Answer:
        if not response.content:
            return Answer(response.status_code, None)
        try:
            return Answer(response.status_code, response.json())
        except ValueError:
            return Answer(response.status_code, response.text)


def label_filter(**wanted: list[str]) -> str:
    """The engine's `filters` parameter."""
    return json.dumps(wanted)


def in_path(name: str) -> str:
    """A name as one piece of a path; an image's keeps its slashes, as the engine wants it."""
    return quote(name, safe="/:@")


def json_lines(response: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects of a stream of JSON lines as they come."""
    for line in response.iter_lines(chunk_size=None):
        if line.strip():
            yield json.loads(line)


def demultiplexed(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Take the engine's frames (8 bytes of header: stream, length) off a log; memory stays that of one chunk."""
    header, left = b"", 0
    for chunk in chunks:
        parts, at = [], 0
        while at < len(chunk):
            if left:
                part = chunk[at : at + left]
                parts.append(part)
                left -= len(part)
                at += len(part)
            else:
                missing = 8 - len(header)
                header += chunk[at : at + missing]
                at += missing
            if len(header) == 8:
                header, left = b"", int.from_bytes(header[4:], "big")
        if parts:
            yield b"".join(parts)


def from_offset(parts: Iterator[bytes], offset: int) -> Iterator[bytes]:
    """Skip so many bytes of what comes."""
    for part in parts:
        if offset >= len(part):
            offset -= len(part)
            continue
        yield part[offset:]
        offset = 0


def gathered(parts: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Join small parts into larger ones: the engine sends a log line by line."""
    buffer = bytearray()
    for part in parts:
        buffer += part
        if len(buffer) >= size:
            yield bytes(buffer)
            buffer.clear()
    if buffer:
        yield bytes(buffer)


def refused(what: str, answer: Answer) -> JobError:
    """The sentence for the owner when the engine will not do something."""
    return JobError(f"{what}: {clear_line(answer.message)}", engine_status=answer.status)


def clear_line(message: str) -> str:
    """Shorten an engine's message to its core: the layers it went through tell the owner nothing."""
    core = message.rsplit("unable to start container process: ", 1)[-1]
    return core.removesuffix(": unknown").strip()[:500]
