"""Show how the jobs of a workflow, one job, or (without an ID) the workflow handed in last stand."""

from __future__ import annotations

import argparse
import time

from infra.c2d.failures import Failure
from infra.c2d.follow import conclude, follow
from infra.c2d.history import resolve, submissions
from infra.c2d.jobs import HEADS, JobView, exit_code_of, rows
from infra.c2d.money import payment_lines
from infra.c2d.node_client import SERVICES, NodeClient
from infra.c2d.options import add_key, add_node, client_of, screen_of
from infra.c2d.terminal import Screen


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare what the word takes."""
    parser.add_argument("id", metavar="ID", nargs="?", help="a job's or workflow's id, or its beginning")
    parser.add_argument("--all", action="store_true", help="every job of this key's address")
    parser.add_argument("--follow", "-f", action="store_true", help="stay until it is finished")
    add_key(parser)
    add_node(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the table; the exit code is 1 once a job has failed."""
    screen = screen_of(arguments)
    client = client_of(arguments, screen)
    if arguments.all:
        return show_all(client, screen)
    target = resolve(arguments.id, submissions(client.url))
    if arguments.follow:
        return conclude(follow(client, target, screen), target.id, screen)
    records = client.get(f"{SERVICES}/compute", target.query(), "getComputeStatus")
    if not records:
        raise Failure(f"the node knows no job or workflow {target.id}")
    screen.document(records)
    jobs = [JobView.from_record(record) for record in records]
    show(jobs, screen)
    hint(jobs, target.id[:12], screen)
    return exit_code_of(jobs)


def show_all(client: NodeClient, screen: Screen) -> int:
    """Print every job of the address."""
    records = client.get(f"{SERVICES}/compute", {"consumerAddress": client.address}, "getComputeStatus")
    screen.document(records)
    screen.table(HEADS, rows([JobView.from_record(record) for record in records]))
    screen.next("c2d status ID")
    return 0


def show(jobs: list[JobView], screen: Screen) -> None:
    """Print the table, and under it what failed jobs said."""
    screen.table(HEADS, rows(jobs))
    for job in jobs:
        if job.detail:
            screen.say(f"job {job.index}: {job.detail}")
    for line in payment_lines([job.record for job in jobs], time.time()):
        screen.say(line)


def hint(jobs: list[JobView], short: str, screen: Screen) -> None:
    """Tell what to type next."""
    failed = [job for job in jobs if job.is_finished and not job.has_succeeded]
    if failed:
        screen.next(f"c2d logs {failed[0].job_id[:12]}", f"c2d results {short} -o results")
    elif all(job.is_finished for job in jobs):
        screen.next(f"c2d results {short} -o results")
    else:
        screen.next(f"c2d status {short} --follow", f"c2d stop {short}")
