"""Own the list of what was laid out for the algorithm, for the receipt: what it read, and what it was; pure."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from pods.work import Work

FOLDERS = ("inputs", "transformations")
MOST_LISTED = 100
"Beyond so many in one folder, one entry stands for the folder: a report has its bounds."


def inventory(work: Work, digests: Mapping[str, str], data: str) -> list[dict[str, Any]]:
    """List {path, size in bytes, sha256} of fetched and written files, by path; earlier jobs' outputs are not listed.

    A folder's entry ends with `/`; its SHA-256 is that of the JSON list (keys sorted, no blanks) it stands for.
    """
    texts = {text.path: text.content.encode("utf-8", "replace") for text in work.texts}
    found = {path: (os.path.getsize(f"{data}/{path}"), digest) for path, digest in digests.items()}
    found |= {path: (len(raw), hashlib.sha256(raw).hexdigest()) for path, raw in texts.items()}
    entries = [{"path": path, "size": size, "sha256": digest} for path, (size, digest) in sorted(found.items())]
    return [entry for folder in FOLDERS for entry in _within(folder, entries)]


def _within(folder: str, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    here = [entry for entry in entries if entry["path"].startswith(f"{folder}/")]
    if len(here) <= MOST_LISTED:
        return here
    text = json.dumps(here, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    return [{"path": f"{folder}/", "size": sum(entry["size"] for entry in here), "sha256": digest, "count": len(here)}]
