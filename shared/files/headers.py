"""Own the reading of an answer's headers (names in lower case); pure."""

from __future__ import annotations

import re
from collections.abc import Mapping


def length_of(headers: Mapping[str, str]) -> int | None:
    """Read Content-Length."""
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def validator_of(headers: Mapping[str, str]) -> str | None:
    """Give what proves to the server that we mean the same file: a strong ETag, else the date."""
    etag = headers.get("etag", "")
    return etag if etag.startswith('"') else headers.get("last-modified")


def content_range(text: str) -> tuple[int, int | None]:
    """Read where a part starts and how long the whole is; -1 where it does not say."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", text.strip())
    if match is None:
        return -1, None
    return int(match[1]), None if match[2] == "*" else int(match[2])


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Read how long to wait, in seconds."""
    text = headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0
