"""Own figures that the node and the pods must agree on; pure."""

from __future__ import annotations

MARGIN_BYTES = 2 << 30


def publish_bytes(disk_bytes: int) -> int:
    """How much of its outputs a job may publish.

    More than its disk: an algorithm is ended some time after it passed the limit, and what it wrote meanwhile is kept.
    Not without end: a file with holes may claim far more than it takes.
    """
    return disk_bytes + max(disk_bytes, MARGIN_BYTES)
