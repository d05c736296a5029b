"""Download what jobs left, verify every file against its digest, and go on where an earlier download broke off."""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.c2d.download import Local, Remote, fetch
from infra.c2d.failures import Failure
from infra.c2d.history import resolve, submissions
from infra.c2d.jobs import JobView
from infra.c2d.node_client import SERVICES, NodeClient
from infra.c2d.options import add_key, add_node, client_of, screen_of
from infra.c2d.progress import Bar
from infra.c2d.terminal import Screen, size

HEADS = ("job", "file", "size", "sha-256", "")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare what the word takes."""
    parser.add_argument("id", metavar="ID", nargs="?", help="a job's or workflow's id, or its beginning; else the last")
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, required=True, help="where the files go")
    parser.add_argument("--unpack", action="store_true", help="unpack archives of outputs beside them")
    add_key(parser)
    add_node(parser)


def run(arguments: argparse.Namespace) -> int:
    """Fetch every result of the job or workflow, a folder for each job."""
    screen = screen_of(arguments)
    client = client_of(arguments, screen)
    target = resolve(arguments.id, submissions(client.url))
    jobs = [
        JobView.from_record(record) for record in client.get(f"{SERVICES}/compute", target.query(), "getComputeStatus")
    ]
    if not jobs:
        raise Failure(f"the node knows no job or workflow {target.id}")
    found = [(job, remote) for job in jobs for remote in remotes(job)]
    fetched = fetch_all(client, found, arguments.output, screen)
    unpacked = [unpack(local.path) for _, _, local in fetched if arguments.unpack and is_archive(local.path)]
    screen.document([document(job, remote, local) for job, remote, local in fetched])
    screen.table(HEADS, [row(job, remote, local) for job, remote, local in fetched])
    waiting = [str(job.index) for job in jobs if not job.is_finished]
    if waiting:
        screen.say(f"not finished yet: job {', '.join(waiting)}; type the same again later")
    screen.say(f"{len(fetched)} files in {arguments.output}" + (f", {len(unpacked)} unpacked" if unpacked else ""))
    return 0


def remotes(job: JobView) -> list[Remote]:
    """What the job's record lists."""
    return [remote_of(job.job_id, entry) for entry in job.results]


def remote_of(job_id: str, entry: Mapping[str, Any]) -> Remote:
    """One entry of the list."""
    return Remote(job_id, int(entry["index"]), str(entry["filename"]), int(entry["filesize"]), str(entry["type"]))


def fetch_all(
    client: NodeClient, found: list[tuple[JobView, Remote]], folder: Path, screen: Screen
) -> list[tuple[JobView, Remote, Local]]:
    """Fetch one after the other, with a bar where a person looks on."""
    total = sum(remote.size_bytes for _, remote in found)
    with Bar(total, screen.is_live) as bar:
        return [
            (job, remote, fetch(client, remote, folder / f"job-{job.index}-{job.job_id[:8]}", bar.advance))
            for job, remote in found
        ]


def is_archive(path: Path) -> bool:
    """Whether it is the zip of a job's outputs."""
    return path.name == "outputs.zip" and zipfile.is_zipfile(path)


def unpack(path: Path) -> Path:
    """Unpack an archive into a folder of its name; names that lead elsewhere stay inside."""
    folder = path.with_suffix("")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    return folder


def document(job: JobView, remote: Remote, local: Local) -> dict[str, Any]:
    """What `--json` shows of one file."""
    return {
        "jobId": job.job_id, "index": job.index, "type": remote.type, "path": str(local.path),
        "filesize": local.size_bytes, "sha256": local.sha256,
    }  # fmt: skip


def row(job: JobView, remote: Remote, local: Local) -> list[str]:
    """What a person sees of one file."""
    state = "was here" if local.was_here else "ok"
    return [str(job.index), str(local.path), size(local.size_bytes), local.sha256[:16], state]
