"""Own which files the jobs of a view have: results in storage, and logs that still grow."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from peewee import fn

from shared.db.among import among, names_of
from shared.db.results import ORDER, TYPES
from shared.db.statements import Statement
from shared.db.tables import LogChunk, Result


@dataclass(frozen=True)
class ResultFile:
    """One file a job left, or a log that still grows."""

    filename: str
    type: str
    size_bytes: int
    sha256: str | None = None
    "Null while it grows."
    key: str | None = None
    "Where it lies in storage; null while it is in log chunks."
    phase: str | None = None
    "Whose chunks it is in."


GROWING = {"image": "image.log", "provision": "configuration.log", "run": "algorithm.log", "publish": "publish.log"}
"Whose log chunks become which result."


def results_of_jobs(ids: list[str], unfinished: list[str]) -> dict[str, list[ResultFile]]:
    """By job, in the wire's order; `unfinished` are those whose logs may still grow."""
    found: dict[str, list[ResultFile]] = {}
    for row in among(Result, "job_id", ids):
        file = ResultFile(row.filename, row.type, row.size_bytes, row.sha256, row.key)
        found.setdefault(row.job_id, []).append(file)
    for job_id, phase, size in _growing(unfinished):
        filename = GROWING.get(phase, f"{phase}.log")
        files = found.setdefault(job_id, [])
        if filename not in {file.filename for file in files}:
            files.append(ResultFile(filename, TYPES.get(filename, "publishLog"), size, phase=phase))
    for files in found.values():
        files.sort(key=lambda file: (_rank(file.type), file.filename))
    return found


def _growing(ids: list[str]) -> list[tuple[str, str, int]]:
    if not ids:
        return []
    values = dict(zip(names_of(len(ids)), ids, strict=True))
    return [(row[0], row[1], int(row[2])) for row in _sizes_among(len(ids)).tuples(**values)]


@functools.lru_cache(64)
def _sizes_among(count: int) -> Statement:
    size = fn.MAX(LogChunk.offset + fn.LENGTH(LogChunk.data))
    chunks = LogChunk.select(LogChunk.job_id, LogChunk.phase, size).group_by(LogChunk.job_id, LogChunk.phase)
    return Statement(lambda **values: chunks.where(LogChunk.job_id.in_(list(values.values()))), names_of(count))


def _rank(kind: str) -> int:
    return ORDER.index(kind) if kind in ORDER else len(ORDER)
