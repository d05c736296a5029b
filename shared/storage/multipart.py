"""Own multipart uploads: parts of one size, one on its way while the next fills, nothing left of a failure."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from typing import Any, Protocol

from shared.errors import NotFound, Unavailable

PART_BYTES = 16 << 20
PARTS = 10_000  # S3's limit
IN_FLIGHT = 2  # the older is awaited before another part fills, so 32 MiB are held at most

log = logging.getLogger(__name__)


class Ask(Protocol):
    """Call one verb of the S3 client on the bucket; raises only our errors."""

    def __call__(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """Return the reply."""
        ...


def in_parts(chunks: Iterable[bytes]) -> Iterator[mmap]:
    """Cut chunks of any size into parts of PART_BYTES, each rewound; only the last is shorter, and none is empty.

    A part is a memory map of its own: growing byte strings would leave the heap in pieces, twice as large.
    """
    part = _empty_part()
    for chunk in chunks:
        rest = memoryview(chunk)
        while len(rest):
            taken = PART_BYTES - part.tell()
            part.write(rest[:taken])
            rest = rest[taken:]
            if part.tell() == PART_BYTES:
                part.seek(0)
                yield part
                part = _empty_part()
    if part.tell():
        part.resize(part.tell())
        part.seek(0)
        yield part


def put_back(first: list[mmap], parts: Iterator[mmap]) -> Iterator[mmap]:
    """Yield the one part taken for a look, then the rest; the list is emptied, so that nobody keeps the part."""
    yield first.pop()
    yield from parts


def upload(ask: Ask, key: str, parts: Iterable[mmap], metadata: dict[str, str]) -> None:
    """Send all parts; the object is visible, whole, at the end. Whatever fails, no part stays."""
    upload_id = ask("create_multipart_upload", Key=key, Metadata=metadata)["UploadId"]
    try:
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            sent = list(_sent(_Sender(ask, key, upload_id), parts, pool))
        ask("complete_multipart_upload", Key=key, UploadId=upload_id, MultipartUpload={"Parts": sent})
    except BaseException:
        abort(ask, key, upload_id)
        raise


def abort(ask: Ask, key: str, upload_id: str) -> bool:
    """Throw an upload's parts away; False where there are none or the server is out of reach: a sweep finds them."""
    try:
        ask("abort_multipart_upload", Key=key, UploadId=upload_id)
    except NotFound:
        return False
    except Unavailable as error:
        log.warning("an upload could not be aborted", extra={"key": key, "cause": error.detail})
        return False
    return True


def _empty_part() -> mmap:
    return mmap(-1, PART_BYTES, flags=MAP_PRIVATE | MAP_ANONYMOUS)


@dataclass(frozen=True)
class _Sender:
    ask: Ask
    key: str
    upload_id: str

    def send(self, number: int, part: mmap) -> dict[str, Any]:
        reply = self.ask("upload_part", Key=self.key, UploadId=self.upload_id, PartNumber=number, Body=part)
        return {"PartNumber": number, "ETag": reply["ETag"]}


def _sent(sender: _Sender, parts: Iterable[mmap], pool: ThreadPoolExecutor) -> Iterator[dict[str, Any]]:
    waiting: deque[Future[dict[str, Any]]] = deque()
    numbers = count(1)  # not enumerate, which holds on to the part it gave last
    for part in parts:
        waiting.append(pool.submit(sender.send, next(numbers), part))
        del part  # the thread that sends it is the last to hold it
        if len(waiting) == IN_FLIGHT:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
