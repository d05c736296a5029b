"""Own sending a job's outputs to where their owner wants them instead of this node (wire §19.5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from shared import outputs, sealing
from shared.db import inputs
from shared.db.job_views import JobRow
from shared.files import FetchRules
from shared.files.base import Network
from shared.names import JobId, WorkflowId
from shared.outputs import OutputTarget
from shared.secrets import SecretBox
from shared.upload import send_away
from shared.upload.body import Outgoing, encrypted, verified

PATIENCE_S, SLOWEST_BYTES_PER_S = 600, 64 << 10
"A target that takes longer, and less in that time, counts as out of reach."


class Handed(NamedTuple):
    """What a publishing pod hands in."""

    filename: str
    size_bytes: int
    sha256: str
    chunks: Iterator[bytes]


def target_of(row: JobRow, box: SecretBox) -> OutputTarget | None:
    """Say where this job's outputs go; null = they stay. What a later job reads stays, whatever was asked for."""
    if row.workflow.sealed is None or inputs.is_read(JobId(row.job.job_id)):
        return None
    context = sealing.workflow_context(WorkflowId(row.job.workflow_id))
    return OutputTarget.from_document(box.open_json(row.workflow.sealed, context))


def deliver(
    target: OutputTarget, row: JobRow, handed: Handed, public_key: str, allow: tuple[Network, ...]
) -> str:  # fmt: skip
    """Send the file on as it comes; gives its name there. Repeating it sends the same bytes to the same place.

    Raises: InvalidRequest, Forbidden, DigestMismatch where trying again cannot help; Unavailable where it can.
    """
    name = outputs.name_of(handed.filename, row.job.environment_id or "", row.job.job_id)
    whole = Outgoing(name, handed.size_bytes, verified(handed.chunks, handed.size_bytes, handed.sha256))
    rules = FetchRules(allow=allow, total_s=PATIENCE_S + handed.size_bytes / SLOWEST_BYTES_PER_S)
    send_away(target.storage, encrypted(target, public_key, whole), rules)
    return name
