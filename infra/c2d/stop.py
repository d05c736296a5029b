"""Stop a job, or all jobs of a workflow; what they have written so far is still published."""

from __future__ import annotations

import argparse

from infra.c2d.failures import Failure
from infra.c2d.history import resolve, submissions
from infra.c2d.jobs import HEADS, JobView, rows
from infra.c2d.node_client import SERVICES
from infra.c2d.options import add_key, add_node, client_of, screen_of


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare what the word takes."""
    parser.add_argument("id", metavar="ID", help="a job's or workflow's id, or its beginning")
    add_key(parser)
    add_node(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask the node to stop them."""
    screen = screen_of(arguments)
    client = client_of(arguments, screen)
    target = resolve(arguments.id, submissions(client.url))
    records = client.put(f"{SERVICES}/compute", target.query(), "stopCompute")
    if not records:
        raise Failure(f"the node knows no job or workflow {target.id} of yours")
    screen.document(records)
    screen.table(HEADS, rows([JobView.from_record(record) for record in records]))
    screen.next(f"c2d status {target.id[:12]} --follow")
    return 0
