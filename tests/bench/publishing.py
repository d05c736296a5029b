"""Bench: a real publishing pod against the real publish handler, and the slowest stage nobody can avoid.

Unavoidable: to read what the algorithm left and take its SHA-256, and to write it to the disk and flush it. A pod must
know the digest before it sends the first byte (the signature covers it), so these two follow one another: what is left
is compared with the slower of the two for the sending alone, and with both together for the whole pod.
`python -m tests.bench.publishing`
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from shared.addresses import address_of
from shared.db.connection import session
from shared.lifecycle import JobStatus
from tests.bench.measuring import Figure, Size, per_size, seconds, table, took
from tests.bench.served import ROOT, Served, served
from tests.factories import NODE_KEY, job_key, put_environment, put_status, workflow_job
from tests.services.node import Consumer

SHARE = 0.8
GROWTH_MIB = 64
MIB = 1 << 20
DISK = [{"id": "disk", "amount": 100}]


def measure(size: Size) -> list[Figure]:
    """One large file, then many small ones."""
    whole = per_size(size, 1, 256, 1024, 10 * 1024)
    many = per_size(size, 100, 10_000, 20_000, 100_000)
    figures = []
    for name, fill in ((f"{whole} MiB", one_file(whole)), (f"{many:,} files of 1 kB", small_files(many))):
        with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as node:
            figures += publish(name, node, fill, size)
    return figures


def one_file(mebibytes: int) -> Callable[[Path], None]:
    """A file that does not compress."""

    def fill(outputs: Path) -> None:
        block = os.urandom(MIB)
        with (outputs / "data.bin").open("wb") as file:
            for _ in range(mebibytes):
                file.write(block)

    return fill


def small_files(number: int) -> Callable[[Path], None]:
    """A thousand bytes each, a thousand in a folder."""

    def fill(outputs: Path) -> None:
        for place in range(number):
            folder = outputs / f"{place // 1000:03}"
            folder.mkdir(exist_ok=True)
            (folder / f"{place % 1000:03}.txt").write_bytes(b"x" * 1000)

    return fill


def publish(name: str, node: Served, fill: Callable[[Path], None], size: Size) -> list[Figure]:
    """Fill a volume, let the pod publish it, and do by hand what cannot be avoided."""
    data = node.folder / "data"
    for folder in ("outputs", "logs"):
        (data / folder).mkdir(parents=True)
    fill(data / "outputs")
    job_id, variables = a_publishing_job(node)
    left_bytes = sum(path.stat().st_size for path in (data / "outputs").rglob("*") if path.is_file())
    before_s = took(lambda: write(left_bytes, node.folder / "copy"))
    peak = Peak(node)
    pod_s = took(lambda: run_pod({**node.settings, **variables, "C2D_DATA": str(data)}))
    growth = peak.growth_mib()
    [stored] = [path for path in (node.folder / "results" / job_id).iterdir() if path.suffix != ".log"]
    read_s, after_s = (
        took(lambda: read(data / "outputs")),
        took(lambda: write(stored.stat().st_size, node.folder / "copy")),
    )
    write_s = (before_s + after_s) / 2  # memory that a virtual machine touches first is slow, whoever is first
    share = (read_s + write_s) / pod_s
    is_ok = None if size < Size.USUAL else share >= SHARE
    text = f"{seconds(read_s)} + {seconds(write_s)}"
    return [
        Figure(f"publish {name}", seconds(pod_s), text, share, f"≥ {SHARE}", is_ok, 1),
        Figure(
            f"publish {name}, handler grows",
            f"{growth:.0f} MiB",
            "-",
            None,
            f"≤ {GROWTH_MIB} MiB",
            growth <= GROWTH_MIB,
            1,
        ),
    ]


def a_publishing_job(node: Served) -> tuple[str, dict[str, str]]:
    """A job that stands where its outputs are published, and what its pod is told."""
    put_environment(seen_at_ms=time.time_ns() // 1_000_000)
    started = Consumer(node.url).submit([workflow_job()])
    job_id = started[0]["jobId"].rpartition("-")[2]
    put_status(job_id, JobStatus.PUBLISHING, resources=DISK)
    with session():
        key = job_key(job_id)
    return job_id, {
        "nodeHttpApi": node.url, "jobId": job_id, "privateKey": "0x" + key.hex(), "nodeAddress": address_of(NODE_KEY)
    }  # fmt: skip


def run_pod(variables: dict[str, str]) -> None:
    """The pod as it runs in its container."""
    subprocess.run(
        [sys.executable, "-m", "pods.publishing"], env=variables, cwd=ROOT, check=True, stdout=subprocess.DEVNULL
    )  # fmt: skip


def read(outputs: Path) -> None:
    """Read and hash every file."""
    for path in outputs.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                hashlib.file_digest(file, "sha256")


def write(size_bytes: int, copy: Path) -> None:
    """Write as many bytes, flush them, and take them away again."""
    block = os.urandom(MIB)
    with copy.open("wb") as file:
        left = size_bytes
        while left > 0:
            left -= file.write(block[: min(left, MIB)])
        file.flush()
        os.fsync(file.fileno())
    copy.unlink()


class Peak:
    """How much more memory the handlers take than before, looked at while they work."""

    def __init__(self, node: Served) -> None:
        self._pids = node.workers()
        self._before = self._peak = self._now()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def growth_mib(self) -> float:
        """Stop looking; mebibytes."""
        self._ended.set()
        self._thread.join()
        return (self._peak - self._before) / 1024

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            self._peak = max(self._peak, self._now())

    def _now(self) -> int:
        texts = (Path(f"/proc/{pid}/status").read_text() for pid in self._pids)
        return sum(int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) for text in texts)


if __name__ == "__main__":
    print(table(measure(Size.USUAL)))
