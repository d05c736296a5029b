"""Own the bringing in of files: four at a time, streamed to disk, checked against their digests and the job's size."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pods.console import say
from pods.reporting import Reporter
from pods.work import Download
from shared import files
from shared.errors import C2DError, JobError
from shared.files.base import FetchRules, too_large

AT_ONCE = 4


class Failure(NamedTuple):
    """The first thing that went wrong, and whose failure it is."""

    code: str
    reason: str


class Fetching(NamedTuple):
    """What all downloads of a job share."""

    data: str
    rules: FetchRules
    reporter: Reporter


def fetch_all(downloads: tuple[Download, ...], fetching: Fetching) -> dict[str, str] | Failure:
    """Fetch every file and give the SHA-256 of each path, or the first failure; the others then stop."""
    queue, lock, stop = iter(downloads), threading.Lock(), threading.Event()
    digests: dict[str, str] = {}
    failures: list[Failure] = []

    def work() -> None:
        while not stop.is_set():
            with lock:
                download = next(queue, None)
            if download is None:
                return
            failure = _fetched(download, fetching, stop, digests)
            if failure is not None:
                failures.append(failure)
                stop.set()

    workers = [threading.Thread(target=work, daemon=True) for _ in range(min(AT_ONCE, len(downloads)))]
    for worker in workers:
        worker.start()
    for worker in workers:
        while worker.is_alive():
            worker.join(1.0)
            fetching.reporter.progress_if_due()
    return failures[0] if failures else digests


def _fetched(download: Download, fetching: Fetching, stop: threading.Event, digests: dict[str, str]) -> Failure | None:
    started = time.monotonic()
    try:
        size_bytes, digests[download.path] = _fetch(download, fetching, stop)
    except C2DError as error:
        return Failure(download.code, f"{download.label}: {error.detail}")
    except OSError as error:
        return Failure(download.code, f"{download.label}: {disk_trouble(error)}")
    say(f"{download.label} → {download.path}: {size_bytes:,} bytes in {time.monotonic() - started:.2f} s")
    return None


def _fetch(download: Download, fetching: Fetching, stop: threading.Event) -> tuple[int, str]:
    path = f"{fetching.data}/{download.path}"
    os.makedirs(os.path.dirname(path), mode=0o777, exist_ok=True)
    fetched = files.open_file(download.file, fetching.rules)
    try:
        size_bytes, digest = write_stream(path, download.mode, iter(fetched.chunks), fetching, stop.is_set)
    finally:
        fetched.chunks.close()
    expected = download.file.get("checksum")
    if isinstance(expected, str) and expected and digest != expected.lower().removeprefix("0x"):
        raise JobError("the content does not match its checksum")
    return size_bytes, digest


def write_stream(
    path: str, mode: int, chunks: Iterator[bytes], fetching: Fetching, is_stopped: Callable[[], bool]
) -> tuple[int, str]:
    """Write a file and give its size and SHA-256. Raises: JobError beyond the job's size; OSError."""
    digest, size_bytes, most = hashlib.sha256(), 0, fetching.rules.max_bytes
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags, mode), "wb", buffering=0) as file:
        for chunk in chunks:
            fetching.reporter.add(len(chunk))
            if most is not None and fetching.reporter.bytes_done > most:
                raise too_large(most)
            if is_stopped():
                raise JobError("stopped, since another file failed")
            file.write(chunk)
            digest.update(chunk)
            size_bytes += len(chunk)
    return size_bytes, digest.hexdigest()


def disk_trouble(error: OSError) -> str:
    """Say what is wrong with the disk in words its owner can act on."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the job's disk is full; ask for more disc"
    return f"the job's volume cannot be written: {error.strerror}"
