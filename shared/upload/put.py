"""Own one request with a body to where a consumer's target lies: checked addresses, no redirects, no proxies."""

from __future__ import annotations

import http.client
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from shared.errors import InvalidRequest, JobError, Unavailable
from shared.files import FetchRules
from shared.files.http import Request, Response, send_body

MOST_ANSWER_BYTES = 1 << 20
_AGAIN = {408, 425, 429}


class Answer(NamedTuple):
    """What the target's server said."""

    headers: Mapping[str, str]
    "Names in lower case."
    body: bytes


def send(request: Request, chunks: Iterable[bytes], size_bytes: int, rules: FetchRules) -> Answer:
    """Send it and read the answer.

    Raises: InvalidRequest, Forbidden where trying again cannot help; Unavailable where it can.
    """
    try:
        response = send_body(request, rules, chunks, size_bytes)
    except JobError as error:
        raise Unavailable(f"output: {error.detail}") from error
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"output: the server cannot be reached ({type(error).__name__})") from error
    return _read(response)


def _read(response: Response) -> Answer:
    try:
        body = response.body.read(MOST_ANSWER_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable("output: the server's answer broke off") from error
    finally:
        response.close()
    if 200 <= response.status < 300:
        return Answer(response.headers, body)
    if response.status >= 500 or response.status in _AGAIN:
        raise Unavailable(f"output: the server answered {response.status}")
    raise InvalidRequest(f"output: the server answered {response.status}", path="output")
