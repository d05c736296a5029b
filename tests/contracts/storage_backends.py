"""The storages the contract runs on, with what a test needs to look behind them; and the programs it kills or measures.

As a program: `hang URL KEY BYTES` writes that much and then waits in the middle of the write; `pump URL KEY BYTES`
writes and reads back, and prints by how much its memory grew.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from shared.storage import Storage, open_storage
from shared.storage.checks import digest_of
from tests.services.moto_server import MotoServer

MIB = 1 << 20


@dataclass(frozen=True)
class Backend:
    """One storage under test."""

    url: str
    rests: Callable[[], list[str]]
    "What unfinished writes have left, seen from outside."
    broken_url: str
    "The same kind of storage where nobody answers."

    @cached_property
    def storage(self) -> Storage:
        """The opened storage."""
        return open_storage(self.url)


def local_backend(folder: Path) -> Backend:
    """Storage in a folder."""
    root = folder / "results of all jobs"
    root.mkdir()
    url = root.as_uri()
    return Backend(url, lambda: [path.name for path in root.glob(".tmp/*")], f"{url}-elsewhere")


def s3_backend(server: MotoServer, bucket: str) -> Backend:
    """Storage below a prefix of a bucket."""
    client = server.client()

    def rests() -> list[str]:
        uploads = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        copies = client.list_objects_v2(Bucket=bucket, Prefix="results/.tmp/").get("Contents", [])
        return [entry["Key"] for entry in (*uploads, *copies)]

    nobody = "s3://some-bucket/results?endpoint=http://127.0.0.1:9&region=eu-west-1"
    return Backend(server.storage_url(bucket), rests, nobody)


def content(size_bytes: int) -> Iterator[bytes]:
    """Bytes that never repeat, in chunks whose size divides nothing."""
    block = hashlib.shake_128(b"content").digest(MIB + 13)
    sent = 0
    while sent < size_bytes:
        chunk = (sent.to_bytes(8, "big") + block[8:])[: size_bytes - sent]
        sent += len(chunk)
        yield chunk


def hang(url: str, key: str, size_bytes: int) -> None:
    """Write, and wait in the middle."""

    def chunks() -> Iterator[bytes]:
        yield from content(size_bytes)
        print("in the middle", flush=True)
        yield sys.stdin.buffer.read()

    open_storage(url).write(key, chunks())


def pump(url: str, key: str, size_bytes: int) -> None:
    """Write and read back; print what came back and the growth of this process's memory at its peak."""
    storage = open_storage(url)
    storage.write("warm-up", content(MIB))
    before = peak_bytes()
    stored = storage.write(key, content(size_bytes))
    written = peak_bytes()
    same = digest_of(storage.read(key)) == stored.sha256
    print(json.dumps({"same": same, "write_growth": written - before, "growth": peak_bytes() - before}))


def peak_bytes() -> int:
    """The most memory this program has held; unlike ru_maxrss it does not count what its parent held."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM"))


if __name__ == "__main__":
    {"hang": hang, "pump": pump}[sys.argv[1]](sys.argv[2], sys.argv[3], int(sys.argv[4]))
