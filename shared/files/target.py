"""Own how a URL's path and query are written on the wire; pure."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

_AS_IT_IS = "%/:=&?~+!$,;'@()*[]"


def target_of(url: str) -> str:
    """Give path and query, percent-encoded where they must be and nowhere else."""
    parts = urlsplit(url)
    query = f"?{quote(parts.query, safe=_AS_IT_IS)}" if parts.query else ""
    return quote(parts.path or "/", safe=_AS_IT_IS) + query
