"""Print what a job's algorithm prints, from the beginning; -f stays until it ends."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import urllib3

from infra.c2d.download import Remote, fetch
from infra.c2d.failures import Failure, Refused, Unreachable
from infra.c2d.history import Target, resolve, submissions
from infra.c2d.jobs import JobView, exit_code_of
from infra.c2d.node_client import SERVICES, NodeClient
from infra.c2d.options import add_key, add_node, client_of, screen_of
from infra.c2d.results import remotes
from infra.c2d.terminal import Screen

ORDER = ("algorithmLog", "configurationLog", "imageLog", "publishLog")
"Which log of a finished job is meant: the first that has something in it."


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare what the word takes."""
    parser.add_argument("id", metavar="JOB", help="a job's id, or its beginning")
    parser.add_argument("-f", "--follow", action="store_true", help="stay until the job ends")
    parser.add_argument("--type", choices=ORDER, help="which log of a finished job (default the first with content)")
    add_key(parser)
    add_node(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the log; of a finished job that failed the exit code is 1."""
    screen = screen_of(arguments)
    client = client_of(arguments, screen)
    target = resolve(arguments.id, submissions(client.url))
    job = one_job(client, target)
    if job.is_finished or (arguments.type and not arguments.follow):
        print_kept(client, job, arguments.type, screen)
    elif arguments.follow:
        stream(client, job.job_id, screen)
        job = one_job(client, Target(job_id=job.job_id))
    else:
        raise Failure(f"job {job.index} is not finished: {job.outcome()}", f"c2d logs -f {job.job_id[:12]}")
    return exit_code_of([job])


def one_job(client: NodeClient, target: Target) -> JobView:
    """The job that is meant; a workflow will do if it has only one."""
    jobs = [
        JobView.from_record(record) for record in client.get(f"{SERVICES}/compute", target.query(), "getComputeStatus")
    ]
    if len(jobs) == 1:
        return jobs[0]
    if not jobs:
        raise Failure(f"the node knows no job {target.id}")
    choices = ", ".join(f"{job.job_id[:12]} (job {job.index})" for job in jobs)
    raise Failure("that is a workflow of several jobs", f"name one: {choices}")


def stream(client: NodeClient, job_id: str, screen: Screen) -> None:
    """Copy the log to standard output as it grows."""
    try:
        response = client.stream(f"{SERVICES}/computeStreamableLogs", {"jobId": job_id}, "getComputeStreamableLogs", {})
        for chunk in response.stream(8192):
            emit(chunk, screen)
    except Refused as refused:
        if refused.status != 404:
            raise
        raise Failure(refused.sentence, f"c2d status {job_id[:12]} --follow") from refused
    except urllib3.exceptions.HTTPError as error:
        raise Unreachable("the node's stream broke off", f"c2d logs -f {job_id[:12]}") from error


def print_kept(client: NodeClient, job: JobView, wanted: str | None, screen: Screen) -> None:
    """Print a log that the job left."""
    kept = {remote.type: remote for remote in remotes(job) if remote.size_bytes}
    chosen = next((kept[kind] for kind in ([wanted] if wanted else ORDER) if kind in kept), None)
    if chosen is None:
        raise Failure(f"job {job.index} left no {wanted or 'log'}", f"c2d status {job.job_id[:12]}")
    if not wanted and chosen.type != ORDER[0]:
        screen.note(f"(the algorithm printed nothing; this is {chosen.filename})")
    copy_out(client, chosen, screen)


def copy_out(client: NodeClient, remote: Remote, screen: Screen) -> None:
    """Fetch and verify a log, then copy it to standard output."""
    with tempfile.TemporaryDirectory(prefix="c2d-") as folder:
        local = fetch(client, remote, Path(folder), lambda _count: None)
        emit(local.path.read_bytes(), screen)


def emit(chunk: bytes, screen: Screen) -> None:
    """Write what a program printed as it is; with `--json` as text, a document for each piece."""
    if screen.wants_json:
        screen.json_line({"text": chunk.decode(errors="replace")})
        return
    sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
