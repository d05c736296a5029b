"""Own reading a request: its size before a byte of it, its fields wherever they are, its bytes as a stream."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl

import falcon

from shared.digests import body_digest, query_digest
from shared.errors import DigestMismatch, InvalidRequest, PayloadTooLarge, Unavailable
from shared.strict_json import check_text, loads

CHUNK_BYTES = 1 << 20
"At once: the server below keeps what it read ahead, and copies all of that again for every smaller piece."
DRAINED_BYTES = 1 << 20
"What is read of a refused body, so that the caller sees the answer and not a broken pipe."
SILENCE_S = 120.0
"How long a body may stop arriving: whoever is lost in mid-body must not hold a thread for ever."
MOST_FIELDS = 100
NOT_GIVEN = frozenset({"", "undefined", "null"})
"What clients send for nothing, in headers and queries."


class Takes(StrEnum):
    """Where a command's fields are."""

    QUERY = "query"
    JSON = "json"
    BYTES = "bytes"
    "Fields in the query, and a body of any kind."


class Incoming:
    """One request, read as far as it was asked for."""

    def __init__(self, req: falcon.Request, path: Mapping[str, str], takes: Takes, max_bytes: int) -> None:
        self._req = req
        self._path = path
        self._takes = takes
        self._max_bytes = max_bytes
        self._expected_sha256 = ""
        self._sha256 = ""
        self._sent: Mapping[str, Any] = {}
        self._given: Mapping[str, Any] | None = None
        self.is_direct = False
        self.silence_s = SILENCE_S

    @property
    def peer(self) -> str:
        """The caller's network address, as the guard found it."""
        return str(self._req.context.get("peer") or self._req.remote_addr)

    def is_gone(self) -> bool:
        """Whether the caller has hung up: asked by streams with nothing to say, which would not notice otherwise."""
        connection = self._req.env.get("gunicorn.socket")
        if connection is None:
            return False
        try:
            return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def header(self, name: str) -> str | None:
        """A header, or null where it is missing or says nothing."""
        value = self._req.get_header(name)
        return None if value is None or value.strip() in NOT_GIVEN else value

    def direct(self, takes: Takes, given: Mapping[str, Any]) -> Incoming:
        """The same request for the command that a directCommand names; what else would be its body is `blob`."""
        other = Incoming(self._req, {}, takes, self._max_bytes)
        other._sent, other._given, other._sha256, other.is_direct = self._sent, given, self._sha256, True
        return other

    def check_size(self) -> None:
        """Refuse a body that announces too much. Raises: PayloadTooLarge."""
        length = self._req.content_length
        if length is not None and length > self._max_bytes:
            self.drain()
            raise PayloadTooLarge(f"At most {self._max_bytes} bytes are taken here.", max_bytes=self._max_bytes)

    def drain(self) -> None:
        """Read a bounded amount of a body nobody wants."""
        left = DRAINED_BYTES
        for chunk in self._read():
            left -= len(chunk)
            if left <= 0:
                return

    def expect(self, sha256: str) -> None:
        """Hold the body against a digest. Raises (now or once the body is read): DigestMismatch."""
        self._expected_sha256 = sha256
        if self._given is not None:
            self._check_digest()

    def fields(self) -> dict[str, Any]:
        """The command's fields. Raises: InvalidRequest."""
        if self._given is not None:
            return _only_given(self._given)
        if self._takes is Takes.JSON:
            return _only_given(self._json())
        self._sent = self._query()
        return {**{name: value for name, value in self._sent.items() if value not in NOT_GIVEN}, **self._path}

    def digest(self) -> str:
        """What the stronger form of a signature binds."""
        if self._takes is Takes.JSON or self.is_direct:
            return body_digest(self._sent)
        return query_digest(self._sent)

    def chunks(self) -> Iterator[bytes]:
        """The body as bytes, counted: chunked uploads announce no length. Raises: PayloadTooLarge."""
        if self._given is not None:
            yield from _blob(self._given)
            return
        left = self._max_bytes
        for chunk in self._read():
            left -= len(chunk)
            if left < 0:
                raise PayloadTooLarge(f"At most {self._max_bytes} bytes are taken here.", max_bytes=self._max_bytes)
            yield chunk

    def _json(self) -> dict[str, Any]:
        raw = b"".join(self.chunks())
        self._sha256 = hashlib.sha256(raw).hexdigest()
        self._check_digest()
        sent = loads(raw) if raw.strip() else {}
        if not isinstance(sent, dict):
            raise InvalidRequest("The body must be a JSON object.", path="")
        self._sent = sent
        return sent

    def _check_digest(self) -> None:
        if self._expected_sha256 and self._sha256 != self._expected_sha256:
            raise DigestMismatch("The body does not have the digest that X-C2D-Digest announces.")

    def _query(self) -> dict[str, str]:
        try:
            pairs = parse_qsl(
                self._req.query_string, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS
            )
        except ValueError as error:
            raise InvalidRequest("The query cannot be read: UTF-8, at most 100 fields.") from error
        found = dict(pairs)
        if len(found) < len(pairs):
            raise InvalidRequest("The query gives a field twice.")
        for name, value in pairs:
            check_text(name + value)
        return found

    def _read(self) -> Iterator[bytes]:
        """Read what there is: to the announced length, or to the end of a chunked body. Raises: Unavailable."""
        stream = self._req.stream if self._req.content_length is None else self._req.bounded_stream
        while chunk := self._next(stream):
            yield chunk

    def _next(self, stream: Any) -> bytes:
        """One piece, awaited for so long and no longer; what is sent meanwhile is bounded by nobody."""
        connection = self._req.env.get("gunicorn.socket")
        if connection is None:
            return bytes(stream.read(CHUNK_BYTES))
        connection.settimeout(self.silence_s)
        try:
            return bytes(stream.read(CHUNK_BYTES))
        except TimeoutError as error:
            raise Unavailable(f"The body stopped arriving for {self.silence_s:.0f} s; send it again.") from error
        finally:
            connection.settimeout(None)


def _only_given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A field that is null was not given."""
    return {name: value for name, value in fields.items() if value is not None}


def _blob(given: Mapping[str, Any]) -> Iterator[bytes]:
    """The bytes that a directCommand carries in a field. Raises: InvalidRequest."""
    blob = given.get("blob")
    if not isinstance(blob, str):
        raise InvalidRequest("blob: through directCommand the bytes are a text in this field", path="blob")
    yield blob.encode()


def is_known(if_none_match: str | None, etag: str) -> bool:
    """Whether a caller has the very thing already."""
    if if_none_match is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or f'"{etag}"' in tags
