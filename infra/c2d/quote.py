"""Ask what a workflow can cost at most."""

from __future__ import annotations

import argparse

from infra.c2d.node_client import SERVICES, NodeClient
from infra.c2d.options import add_node, screen_of
from infra.c2d.submit import assignments
from infra.c2d.workflow_file import read_workflow


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare what the word takes."""
    parser.add_argument("file", metavar="FILE", help="the workflow; - is standard input")
    parser.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], help="fill in ${NAME}")
    add_node(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the node's quote; a node without payments says so itself."""
    screen = screen_of(arguments)
    body = read_workflow(arguments.file, assignments(arguments.set))
    quoted = NodeClient(arguments.node).post(f"{SERVICES}/initializeCompute", body)
    screen.document(quoted)
    payment = quoted.get("payment") or {}
    screen.say(f"at most {payment.get('amount', '0')} wei of {payment.get('token', '-')}")
    screen.next(f"c2d submit {arguments.file} --follow")
    return 0
