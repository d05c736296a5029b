"""Own file objects of type `url`: http and https, GET or POST, with the headers and user data they name."""

from __future__ import annotations

import http.client
import time
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit, urlunsplit

from shared.errors import C2DError, InvalidRequest
from shared.files.base import Fetched, Fetcher, FetchRules, FileObject, FileProbe
from shared.files.headers import length_of
from shared.files.http import Request, Response, origin_of, send
from shared.files.stream import HttpStream


def open_url(file: FileObject, rules: FetchRules) -> Fetched:
    """Open a URL. Raises: InvalidRequest, Forbidden, JobError."""
    request = request_of(file)
    return Fetched(name_of(request.url), HttpStream(request, rules))


def probe_url(file: FileObject, rules: FetchRules, with_checksum: bool) -> FileProbe:
    """Say whether a URL can be read and what it holds. Raises: InvalidRequest for a malformed object."""
    request = request_of(file)
    try:
        known = _probed_whole(request, rules) if with_checksum else None
        return known or _probed_head(request, rules)
    except InvalidRequest:
        raise
    except C2DError as error:
        return FileProbe("url", name_of(request.url), False, reason=error.detail)
    except (OSError, http.client.HTTPException):
        return FileProbe("url", name_of(request.url), False, reason="the server cannot be reached")


def request_of(file: FileObject) -> Request:
    """Read a file object of this type. Raises: InvalidRequest."""
    url, method = file.get("url"), file.get("method", "get")
    if not isinstance(url, str) or not url or not isinstance(method, str) or not method:
        raise InvalidRequest("Error validating the URL file: URL or method are missing")
    if method.upper() not in ("GET", "POST"):
        raise InvalidRequest("Invalid method for URL")
    request = Request(method.upper(), _with_user_data(url, file.get("userdata")), _headers(file.get("headers")))
    origin_of(request.url)
    return request


def name_of(url: str) -> str:
    """Give the last part of a URL's path, percent-decoded; empty where there is none."""
    return unquote(urlsplit(url).path.rpartition("/")[2])


def _headers(headers: Any) -> dict[str, str]:
    """Read headers; a list of them counts as none, as older publishers wrote it when they had none."""
    if not headers or isinstance(headers, list):
        return {}
    if not isinstance(headers, dict):
        raise InvalidRequest("the headers of a URL file are an object of names and values")
    return {str(name): str(value) for name, value in headers.items()}


def _with_user_data(url: str, user_data: Any) -> str:
    """Add what the consumer gave for this dataset to the query."""
    if not user_data:
        return url
    if not isinstance(user_data, dict):
        raise InvalidRequest("the user data of a file is an object of names and values")
    added = urlencode({str(name): str(value) for name, value in user_data.items()}, quote_via=quote)
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=f"{parts.query}&{added}" if parts.query else added))


def _probed_head(request: Request, rules: FetchRules) -> FileProbe:
    """Ask for the headers alone; some servers (and signed links) answer only to the real request."""
    deadline = time.monotonic() + rules.total_s if rules.total_s else None
    response = send(request._replace(method="HEAD"), rules, {}, deadline)
    if response.status != 200 or length_of(response.headers) is None:
        response.close()
        response = send(request, rules, {}, deadline)
    response.close()
    return _described(request, response)


def _described(request: Request, response: Response) -> FileProbe:
    is_there = response.status == 200
    return FileProbe(
        "url",
        name_of(request.url),
        is_there,
        length_of(response.headers) if is_there else None,
        response.headers.get("content-type") if is_there else None,
        reason=None if is_there else f"the server answered {response.status}",
    )


def _probed_whole(request: Request, rules: FetchRules) -> FileProbe | None:
    """Read everything for its digest; null where that is beyond the limits or fails."""
    try:
        stream = HttpStream(request, rules)
        size_bytes = sum(len(chunk) for chunk in stream)
    except C2DError:
        return None
    return FileProbe("url", name_of(request.url), True, size_bytes, stream.content_type, stream.sha256())


FETCHER = Fetcher(open_url, probe_url, lambda file: name_of(request_of(file).url))
