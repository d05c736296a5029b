"""Own what a pod's call sends: its length and digest are known before its first byte."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import NamedTuple


class Body(NamedTuple):
    """What a call sends; `chunks` gives the same bytes for every try."""

    size_bytes: int
    sha256: str
    chunks: Callable[[], Iterator[bytes]]
    content_type: str = "application/json"

    @classmethod
    def of_json(cls, value: object) -> Body:
        """Send a JSON value."""
        data = json.dumps(value, ensure_ascii=False).encode()
        return cls(len(data), hashlib.sha256(data).hexdigest(), lambda: iter((data,)))
