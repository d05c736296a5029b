"""Own the bringing in of earlier jobs' outputs: streamed from the node, taken up again where it broke, checked."""

from __future__ import annotations

import hashlib
import http.client
import os
from collections.abc import Iterator
from typing import cast

from pods.body import Body
from pods.console import say
from pods.downloads import Failure, Fetching, disk_trouble
from pods.node_client import PROVISION, NodeClient
from pods.unpacking import Archive, Bounds, unpack
from pods.work import DATA_FAILED, Earlier
from shared.errors import C2DError, JobError
from shared.files.base import too_large

_CHUNK = 256 * 1024
_TRIES = 5


def bring_all(client: NodeClient, earlier: tuple[Earlier, ...], fetching: Fetching) -> Failure | None:
    """Unpack each below its own folder; gives the first failure."""
    for one in earlier:
        try:
            count = _bring(client, one, fetching)
        except C2DError as error:
            return Failure(DATA_FAILED, f"{one.label}: {error.detail}")
        except OSError as error:
            return Failure(DATA_FAILED, f"{one.label}: {disk_trouble(error)}")
        say(f"{one.label} → {one.folder}: {count:,} files from {one.size_bytes:,} bytes")
    return None


def _bring(client: NodeClient, one: Earlier, fetching: Fetching) -> int:
    if one.archive not in ("none", "zip", "tar"):
        raise JobError(f"an archive of kind {one.archive} cannot be unpacked")
    most = fetching.rules.max_bytes
    if most is not None and fetching.reporter.bytes_done + one.size_bytes > most:
        raise too_large(most)
    digest = hashlib.sha256()

    def progress(size_bytes: int) -> None:
        fetching.reporter.add(size_bytes)
        fetching.reporter.progress_if_due()

    def hashed() -> Iterator[bytes]:
        for chunk in _stream(client, one):
            digest.update(chunk)
            yield chunk

    bounds = Bounds() if most is None else Bounds(bytes=most)
    folder = os.path.join(fetching.data, one.folder)
    count = unpack(hashed(), cast(Archive, one.archive), one.filename, folder, bounds, progress)
    if digest.hexdigest() != one.sha256:
        raise JobError("what arrived does not match the digest of what was published")
    return count


def _stream(client: NodeClient, one: Earlier) -> Iterator[bytes]:
    """Yield the result's bytes. Raises: JobError when they cannot be had."""
    body, received, failures = Body.of_json({"input": one.input_index}), 0, 0
    while received < one.size_bytes:
        extra = {"Range": f"bytes={received}-"} if received else {}
        response = client.open(PROVISION, body, "", extra)
        try:
            if received and response.status != 206:
                raise JobError("the node sends the outputs from their start again")
            while chunk := response.read1(_CHUNK):
                received, failures = received + len(chunk), 0
                yield chunk
        except (OSError, http.client.HTTPException) as error:
            say(f"{one.label}: the connection broke after {received:,} bytes ({type(error).__name__})")
        finally:
            response.close()
        failures += received < one.size_bytes
        if failures >= _TRIES:
            raise JobError("the node does not send the outputs whole")
