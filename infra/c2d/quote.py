"""Ask what a workflow can cost at most. Nothing is signed, and nothing is kept."""

from __future__ import annotations

import argparse

from infra.c2d.environments import full_id
from infra.c2d.options import add_key, add_node, client_of, screen_of
from infra.c2d.paying import ask, chosen, tell_quote
from infra.c2d.submit import add_payment, assignments
from infra.c2d.workflow_file import read_workflow


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare what the word takes."""
    parser.add_argument("file", metavar="FILE", help="the workflow; - is standard input")
    parser.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], help="fill in ${NAME}")
    parser.add_argument("--environment", metavar="ID", help="where to run, or the beginning of it")
    add_payment(parser)
    add_key(parser)
    add_node(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the node's quote, job by job."""
    screen = screen_of(arguments)
    body = read_workflow(arguments.file, assignments(arguments.set))
    client = client_of(arguments, screen)
    if arguments.environment:
        body["environment"] = full_id(client, arguments.environment)
    quoted = ask(client, body, chosen(client, arguments.chain, arguments.token))
    screen.document(dict(quoted.document))
    tell_quote(quoted, screen)
    screen.next(f"c2d submit {arguments.file} --pay", "c2d escrow show --rpc URL")
    return 0
