"""Own reading the log of one container: from an offset, and not for ever where its node does not answer."""

from __future__ import annotations

from collections.abc import Iterator

from engines.drivers.docker_api import from_offset, gathered
from engines.drivers.kubernetes_api import Answer, KubernetesApi, failure
from engines.drivers.kubernetes_nodes import has_lost_its_log
from shared.errors import Unavailable

LOG_CHUNK_BYTES = 1 << 16
LOG_S = 20
"Between two pieces of a log. The API server asks the node, and waits for one that hangs."
NOTHING = (204, 400, 404)
"No pod, or one whose container never ran."


def log_of(api: KubernetesApi, path: str, container: str, offset: int) -> Iterator[bytes]:
    """Yield what there is from an offset: the API keeps none, so it is read and skipped.

    Nothing where there is nothing to be had any more. Raises: Unavailable where it may be had later.
    """
    try:
        yield from _read(api, path, container, offset)
    except Unavailable:
        if not has_lost_its_log(api, path, container):
            raise


def _read(api: KubernetesApi, path: str, container: str, offset: int) -> Iterator[bytes]:
    with api.stream(f"{path}/log", query={"container": container}, timeout_s=LOG_S) as response:
        if response.status == 200:
            yield from gathered(from_offset(response.stream(LOG_CHUNK_BYTES), offset), LOG_CHUNK_BYTES)
            return
        told = Answer(response.status, response.read(4096).decode(errors="replace"))
    if told.status not in NOTHING:
        raise failure("GET", f"{path}/log", told)
