"""Own HTTP on behalf of others: checked addresses only, redirects checked again, no proxies."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from shared.errors import InvalidRequest, JobError
from shared.files.base import FetchRules
from shared.files.connection import Origin, Patience, PinnedConnection
from shared.files.reach import resolve
from shared.files.target import target_of

MAX_REDIRECTS = 5
_REDIRECTS = {301, 302, 303, 307, 308}
_OURS = {"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "range", "if-range"}


class Request(NamedTuple):
    """One call, before anything is known of the address."""

    method: str
    url: str
    headers: Mapping[str, str]


class Response(NamedTuple):
    """An answer whose body has not been read."""

    status: int
    headers: Mapping[str, str]
    "Names in lower case."
    body: http.client.HTTPResponse

    def close(self) -> None:
        """Let the connection go; may be repeated."""
        self.body.close()


def send(request: Request, rules: FetchRules, extra: Mapping[str, str], deadline: float | None) -> Response:
    """Send a request and follow redirects, at most five; `extra` are our own headers.

    Raises: InvalidRequest, Forbidden, JobError; OSError and HTTPException where a later try may succeed.
    """
    first = origin_of(request.url)
    for _ in range(MAX_REDIRECTS + 1):
        response = _send_once(request, rules, extra, deadline)
        location = response.headers.get("location")
        if response.status not in _REDIRECTS or not location:
            return response
        response.close()
        request = _redirected(request, response.status, location, first)
    raise JobError(f"the server redirects more than {MAX_REDIRECTS} times")


def send_body(request: Request, rules: FetchRules, chunks: Iterable[bytes], size_bytes: int) -> Response:
    """Send a request with a body, which can be read but once, so no redirect is followed.

    Raises: InvalidRequest, Forbidden, JobError; OSError and HTTPException where a later try may succeed.
    """
    deadline = time.monotonic() + rules.total_s if rules.total_s else None
    return _send_once(request, rules, {"Content-Length": str(size_bytes)}, deadline, chunks)


def origin_of(url: str) -> Origin:
    """Read a URL's scheme, host and port. Raises: InvalidRequest."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        host = (parts.hostname or "").encode("idna").decode() if parts.hostname else ""
    except (ValueError, UnicodeError) as error:
        raise InvalidRequest("the URL is not well-formed") from error
    if parts.scheme not in ("http", "https") or not host:
        raise InvalidRequest("URL looks like a file path" if not parts.scheme else "only http and https URLs are read")
    return Origin(parts.scheme, host, port)


def _send_once(
    request: Request, rules: FetchRules, extra: Mapping[str, str], deadline: float | None,
    chunks: Iterable[bytes] | None = None,
) -> Response:  # fmt: skip
    origin = origin_of(request.url)
    addresses = resolve(origin.host, origin.port, rules.allow)
    connection = PinnedConnection(origin, addresses, Patience(rules.connect_s, rules.silence_s, deadline))
    headers = {name: value for name, value in request.headers.items() if name.lower() not in _OURS}
    try:
        _write(connection, request, chunks, {**headers, **extra, **_IDENTITY})
        body = connection.getresponse()
    except ValueError as error:
        connection.close()
        raise InvalidRequest("a header of the file object cannot be sent") from error
    except BaseException:  # whatever ended it: a body that was half sent must not look whole
        connection.close()
        raise
    return Response(body.status, {name.lower(): value for name, value in body.getheaders()}, body)


def _write(
    connection: PinnedConnection, request: Request, chunks: Iterable[bytes] | None, headers: Mapping[str, str]
) -> None:
    """Send all of it; a server that refuses a body before it has come says why in its answer."""
    try:
        connection.request(request.method, target_of(request.url), chunks, headers)
    except (BrokenPipeError, ConnectionResetError):
        if chunks is None or connection.sock is None:
            raise


_IDENTITY = {"Accept-Encoding": "identity"}


def _redirected(request: Request, status: int, location: str, first: Origin) -> Request:
    """Say what to ask next; headers stay behind when the origin changes, POST becomes GET on 301 to 303."""
    url = urljoin(request.url, location)
    method = "GET" if request.method == "POST" and status in (301, 302, 303) else request.method
    return Request(method, url, request.headers if origin_of(url) == first else {})
