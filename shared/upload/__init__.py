"""Own the table of target types: what sends a file to each. A module is loaded only when a target asks for it."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from shared.files import FetchRules, FileObject
from shared.upload.body import Outgoing

UPLOADERS = {"url": "shared.upload.url:upload", "s3": "shared.upload.s3:upload"}
Uploader = Callable[[FileObject, Outgoing, FetchRules], None]


def send_away(storage: FileObject, outgoing: Outgoing, rules: FetchRules) -> None:
    """Send a file to where a target lies. Raises: InvalidRequest, Forbidden, DigestMismatch, Unavailable."""
    module, _, name = UPLOADERS[storage["type"]].partition(":")
    uploader: Uploader = getattr(importlib.import_module(module), name)
    uploader(storage, outgoing, rules)
