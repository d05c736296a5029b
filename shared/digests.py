"""Own the digests that the stronger form of a signature binds: of a call's body, or of its query; pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from urllib.parse import quote, urlencode


def body_digest(body: Mapping[str, object]) -> str:
    """Hash a body without its signature: keys sorted, no blanks, UTF-8; hex."""
    signed = {key: value for key, value in body.items() if key != "signature"}
    text = json.dumps(signed, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def query_digest(parameters: Mapping[str, str]) -> str:
    """Hash the query of a call without a body: sorted by name, percent-encoded, without its signature; hex."""
    signed = sorted((key, value) for key, value in parameters.items() if key != "signature")
    return hashlib.sha256(urlencode(signed, quote_via=quote, safe="").encode()).hexdigest()
