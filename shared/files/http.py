"""Own HTTP on behalf of others: checked addresses only, redirects checked again, no proxies."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

from shared.errors import InvalidRequest, JobError
from shared.files.base import FetchRules
from shared.files.connection import Origin, Patience, PinnedConnection
from shared.files.reach import resolve

MAX_REDIRECTS = 5
_REDIRECTS = {301, 302, 303, 307, 308}
_OURS = {"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "range", "if-range"}
_AS_IT_IS = "%/:=&?~+!$,;'@()*[]"


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


def _send_once(request: Request, rules: FetchRules, extra: Mapping[str, str], deadline: float | None) -> Response:
    origin = origin_of(request.url)
    addresses = resolve(origin.host, origin.port, rules.allow)
    connection = PinnedConnection(origin, addresses, Patience(rules.connect_s, rules.silence_s, deadline))
    headers = {name: value for name, value in request.headers.items() if name.lower() not in _OURS}
    try:
        connection.request(request.method, _target(request.url), headers={**headers, **extra, **_IDENTITY})
        body = connection.getresponse()
    except ValueError as error:
        connection.close()
        raise InvalidRequest("a header of the file object cannot be sent") from error
    except (OSError, http.client.HTTPException):
        connection.close()
        raise
    return Response(body.status, {name.lower(): value for name, value in body.getheaders()}, body)


_IDENTITY = {"Accept-Encoding": "identity"}


def _target(url: str) -> str:
    """Give path and query, percent-encoded where they must be and nowhere else."""
    parts = urlsplit(url)
    query = f"?{quote(parts.query, safe=_AS_IT_IS)}" if parts.query else ""
    return quote(parts.path or "/", safe=_AS_IT_IS) + query


def _redirected(request: Request, status: int, location: str, first: Origin) -> Request:
    """Say what to ask next; headers stay behind when the origin changes, POST becomes GET on 301 to 303."""
    url = urljoin(request.url, location)
    method = "GET" if request.method == "POST" and status in (301, 302, 303) else request.method
    return Request(method, url, request.headers if origin_of(url) == first else {})
