"""Own what becomes of an algorithm's outputs: nothing, one file as it is, a zip, or a tar for ocean-node's clients.

Packing is deterministic and keeps no copy: one pass over the bytes to hash them, a second to send them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Literal, NamedTuple

from pods.scanning import Entry, chunks_of, walk
from pods.tar_format import tar_chunks
from pods.zip_format import zip_chunks

Door = Literal["workflow", "command"]
Kind = Literal["none", "file", "zip", "tar"]
_LOG = "algorithm.log"
_OUTPUTS, _LOGS = "/data/outputs/", "/data/logs/"


class Packing(NamedTuple):
    """What will be published; `chunks` gives the same bytes each time it is called."""

    kind: Kind
    filename: str
    "Of the result; a single file's own name."
    notes: tuple[str, ...]
    "What was left out, and why."
    chunks: Callable[[], Iterator[bytes]]


def pack(outputs_dir: str, logs_dir: str, door: Door, most_bytes: int | None = None) -> Packing:
    """Decide what a job's folders become (container contract §8.2). Reads names, no content.

    `most_bytes`: what does not fit is left out, whole file by whole file.
    """

    def entries(note: Callable[[str], None] = _ignore) -> Iterator[Entry]:
        found = _all_entries(outputs_dir, logs_dir, door, note)
        return found if most_bytes is None else _fitting(found, most_bytes, note)

    notes, first = _Notes(), list(islice(entries(), 2))
    for _ in entries(notes.add):
        """Walk once, so that what is left out is known."""
    if len(first) == (1 if door == "command" else 0):
        return Packing("none", "", notes.lines(), lambda: iter(()))
    if door == "command":
        return Packing("tar", "outputs.tar", notes.lines(), lambda: tar_chunks(entries()))
    if len(first) == 1 and first[0].size_bytes is not None and "/" not in first[0].name:
        return Packing("file", first[0].name, notes.lines(), lambda: _only_file(entries()))
    return Packing("zip", "outputs.zip", notes.lines(), lambda: zip_chunks(entries()))


def _fitting(entries: Iterator[Entry], most_bytes: int, note: Callable[[str], None]) -> Iterator[Entry]:
    """Yield what there is room for, with what an archive writes around each."""
    left = most_bytes
    for entry in entries:
        size = entry.size_bytes or 0
        needed = size + size // 4096 + 2048 + 4 * len(entry.name.encode())
        if needed > left:
            note(f"{entry.name}: {size:,} bytes are more than there is room for, left out")
            continue
        left -= needed
        yield entry


def _all_entries(outputs_dir: str, logs_dir: str, door: Door, note: Callable[[str], None]) -> Iterator[Entry]:
    """Yield everything under its name in the archive: outputs first, then logs below a folder of their own."""
    prefix = "outputs/" if door == "command" else ""
    if prefix:
        yield Entry("outputs", None, lambda: -1)
    taken = set()
    for entry in walk(outputs_dir, _OUTPUTS, note):
        if "/" not in entry.name:
            taken.add(entry.name)
        yield entry._replace(name=prefix + entry.name)
    logs = "logs"
    while not prefix and logs in taken:
        logs += "-1"
    yield from _log_entries(logs_dir, logs, note)


def _log_entries(logs_dir: str, prefix: str, note: Callable[[str], None]) -> Iterator[Entry]:
    """Yield what else than its log the algorithm left in the logs folder."""
    for entry in walk(logs_dir, _LOGS, note):
        if entry.name != _LOG:
            yield entry._replace(name=f"{prefix}/{entry.name}")


def _only_file(entries: Iterator[Entry]) -> Iterator[bytes]:
    for entry in entries:
        yield from chunks_of(entry)


class _Notes:
    """Keeps the first hundred notes and counts the rest."""

    _MOST = 100

    def __init__(self) -> None:
        self._kept: list[str] = []
        self._count = 0

    def add(self, line: str) -> None:
        self._count += 1
        if self._count <= self._MOST:
            self._kept.append(line)

    def lines(self) -> tuple[str, ...]:
        more = self._count - len(self._kept)
        return (*self._kept, f"and {more:,} more") if more else tuple(self._kept)


def _ignore(line: str) -> None:
    """The first walk noted it."""


def coalesced(chunks: Iterator[bytes], size_bytes: int = 256 * 1024) -> Iterator[bytes]:
    """Yield the same bytes in fewer, larger pieces: many small files make many small ones."""
    held: list[bytes] = []
    length = 0
    for chunk in chunks:
        held.append(chunk)
        length += len(chunk)
        if length >= size_bytes:
            yield b"".join(held)
            held, length = [], 0
    if held:
        yield b"".join(held)
