"""Own the words for what the configuration pod has to do."""

from __future__ import annotations

from typing import NamedTuple

from shared.files.base import FileObject

DATA_FAILED, ALGORITHM_FAILED = "data_failed", "algorithm_failed"


class Download(NamedTuple):
    """A file to fetch."""

    path: str
    "Relative to /data."
    label: str
    "What the log calls it."
    file: FileObject
    code: str
    "The failure it would be: of the data or of the algorithm."
    mode: int = 0o644


class Earlier(NamedTuple):
    """An earlier job's outputs to unpack."""

    folder: str
    label: str
    input_index: int
    filename: str
    size_bytes: int
    sha256: str
    archive: str


class Text(NamedTuple):
    """A small file to write."""

    path: str
    content: str
    mode: int = 0o644


class Work(NamedTuple):
    """Everything there is to do."""

    downloads: tuple[Download, ...]
    earlier: tuple[Earlier, ...]
    texts: tuple[Text, ...]
    folders: tuple[str, ...]
    "Folders that are there even if nothing lies in them."
    algorithm_checksum: str | None
    "The SHA-256 of each algorithm file, one after the other."
