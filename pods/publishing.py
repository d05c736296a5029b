"""The publishing pod: pack what the algorithm left behind, hash it, stream it to the node, report.

python -m pods.publishing
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping

from pods.archive import Door, Packing, coalesced, pack
from pods.body import Body
from pods.console import say
from pods.ending import end_when_told
from pods.names import DOOR_FILE
from pods.node_client import PUBLISH, NodeClient, published_as
from pods.reporting import Reporter
from shared.errors import C2DError, JobError


def main(environment: Mapping[str, str]) -> int:
    """Publish one job's outputs; 0 only after the node took the report."""
    try:
        client = NodeClient.from_environment(environment)
        reporter = Reporter(client, "publish")
        try:
            detail = publish(client, reporter, environment)
        except (C2DError, OSError) as error:
            reporter.failed(
                "upload_failed",
                error.detail if isinstance(error, C2DError) else f"the outputs cannot be read: {error.strerror}",
            )
            return 0
        reporter.done(detail)
    except C2DError as error:
        say(error.detail)
        return 1
    return 0


def publish(client: NodeClient, reporter: Reporter, environment: Mapping[str, str]) -> dict[str, object]:
    """Pack and send; gives what the report says of it. Raises: JobError, OSError."""
    data = environment.get("C2D_DATA", "/data")
    most_bytes = int(environment["maxBytes"]) if environment.get("maxBytes") else None
    packing = pack(f"{data}/outputs", f"{data}/logs", _door(data), most_bytes)
    for note in packing.notes:
        say(note)
    if packing.kind == "none":
        say("the algorithm left no outputs: nothing to publish")
        return {"archive": "none", "files": 0}
    body = _hashed(packing)
    reporter.bytes_total = body.size_bytes
    say(f"{packing.filename}: {body.size_bytes:,} bytes, SHA-256 {body.sha256}")
    sent = body._replace(chunks=lambda: _counted(packing, reporter))
    client.call(PUBLISH, sent, published_as(packing.filename, body.size_bytes))
    say("published")
    return {"archive": "none" if packing.kind == "file" else packing.kind, "notes": list(packing.notes)}


def _hashed(packing: Packing) -> Body:
    """Read everything once, for its length and digest."""
    digest, size_bytes = hashlib.sha256(), 0
    for chunk in coalesced(packing.chunks()):
        digest.update(chunk)
        size_bytes += len(chunk)
    return Body(size_bytes, digest.hexdigest(), packing.chunks, "application/octet-stream")


def _counted(packing: Packing, reporter: Reporter) -> Iterator[bytes]:
    """Yield everything for one try, telling the node how far it is. Raises: JobError where reading fails."""
    reporter.bytes_done = 0
    chunks = coalesced(packing.chunks())
    while True:
        try:
            chunk = next(chunks, None)
        except OSError as error:  # not to be taken for trouble with the connection
            raise JobError(f"the outputs cannot be read: {error.strerror}") from error
        if chunk is None:
            return
        yield chunk
        reporter.add(len(chunk))
        reporter.progress_if_due()


def _door(data: str) -> Door:
    """Read what the configuration pod left; a job that never got that far has nothing to pack."""
    try:
        with open(f"{data}/{DOOR_FILE}", encoding="ascii") as file:
            return "command" if file.read() == "command" else "workflow"
    except (OSError, ValueError):
        return "workflow"


if __name__ == "__main__":
    end_when_told()
    sys.exit(main(os.environ))
