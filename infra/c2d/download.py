"""Own bringing one result home: resumed where it broke off, verified, and in its place in one step."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import urllib3

from infra.c2d.failures import Failure, Unreachable
from infra.c2d.node_client import SERVICES, NodeClient, Response

ATTEMPTS = 5
CHUNK = 256 * 1024


@dataclass(frozen=True)
class Remote:
    """A result as its job's record lists it."""

    job_id: str
    index: int
    filename: str
    size_bytes: int
    type: str


@dataclass(frozen=True)
class Local:
    """A result that is here, and whole."""

    path: Path
    size_bytes: int
    sha256: str
    was_here: bool


def fetch(client: NodeClient, remote: Remote, folder: Path, moved: Callable[[int], None]) -> Local:
    """Bring a result into the folder; `moved` is told of bytes. Raises: Failure, Unreachable."""
    folder.mkdir(parents=True, exist_ok=True)
    path, part = folder / safe_name(remote.filename), folder / f".{safe_name(remote.filename)}.part"
    for attempt in range(1, ATTEMPTS + 1):
        try:
            digest = fetch_once(client, remote, part, path, moved)
            break
        except urllib3.exceptions.HTTPError as error:
            if attempt == ATTEMPTS:
                raise Unreachable(
                    f"{remote.filename} broke off {ATTEMPTS} times at {part.stat().st_size} bytes",
                    "type the same again: it goes on from there",
                ) from error
    return digest


def fetch_once(client: NodeClient, remote: Remote, part: Path, path: Path, moved: Callable[[int], None]) -> Local:
    """Ask for what is missing, append it, verify the whole."""
    start = part.stat().st_size if part.exists() else 0
    response = open_result(client, remote, start)
    expected = announced_digest(response)
    if expected and path.is_file() and file_digest(path) == expected:
        response.close()
        part.unlink(missing_ok=True)
        return Local(path, path.stat().st_size, expected, was_here=True)
    with open(part, "ab" if response.status == 206 else "wb") as file:
        for chunk in chunks_of(response):
            file.write(chunk)
            moved(len(chunk))
        file.flush()
        os.fsync(file.fileno())
    digest = file_digest(part)
    if expected and digest != expected:
        part.unlink()
        raise Failure(f"{remote.filename} did not arrive as the node announced it", "type the same again")
    os.replace(part, path)
    return Local(path, path.stat().st_size, digest, was_here=False)


def open_result(client: NodeClient, remote: Remote, start: int) -> Response:
    """Open the download; a part that cannot be gone on with is fetched anew."""
    query = {"jobId": remote.job_id, "index": str(remote.index)}
    if 0 < start < remote.size_bytes:
        return client.stream(f"{SERVICES}/computeResult", query, "getComputeResult", {"Range": f"bytes={start}-"})
    return client.stream(f"{SERVICES}/computeResult", query, "getComputeResult", {})


def chunks_of(response: Response) -> Iterator[bytes]:
    """Yield the body; the connection goes back when it is read."""
    try:
        yield from response.stream(CHUNK, decode_content=False)
    finally:
        response.release_conn()


def announced_digest(response: Response) -> str:
    """The SHA-256 the node gives as the entity's tag, where it is one."""
    tag = response.headers.get("ETag", "").removeprefix("W/").strip('"').lower()
    return tag if len(tag) == 64 and all(letter in "0123456789abcdef" for letter in tag) else ""


def file_digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def safe_name(filename: str) -> str:
    """The name as a file of this folder and nowhere else."""
    name = filename.replace("\\", "/").rsplit("/", 1)[-1].replace("\0", "").lstrip(".")
    return name or "result"
