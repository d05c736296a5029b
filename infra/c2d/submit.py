"""Sign a workflow and hand it in.

FILE is a list of jobs, or an object with `workflow` and what goes beside it (environment, metadata, …); JSON or YAML.
An algorithm's code may lie in a file of its own: "rawcodeFile": "analyse.py". --set NAME=VALUE fills in ${NAME}.

--pay asks for a quote, says what will be signed and spent, and asks before anything is; without a terminal that is all
it does, unless --yes is given too. With --rpc it also looks at your funds in the escrow, and offers what is missing.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from typing import Any

from infra.c2d.environments import full_id
from infra.c2d.failures import Failure
from infra.c2d.follow import conclude, follow
from infra.c2d.history import Submission, Target, remember
from infra.c2d.jobs import HEADS, JobView, rows
from infra.c2d.money import payment_lines
from infra.c2d.node_client import SERVICES, NodeClient
from infra.c2d.options import add_key, add_node, client_of, screen_of
from infra.c2d.paying import Quoted, ask, chosen, tell_quote
from infra.c2d.terminal import Screen
from infra.c2d.workflow_file import read_workflow


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare what the word takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", metavar="FILE", help="the workflow; - is standard input")
    parser.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], help="fill in ${NAME}")
    parser.add_argument(
        "--environment", metavar="ID", help="where to run, or the beginning of it; else the node chooses"
    )
    parser.add_argument("--follow", action="store_true", help="stay, and show how it goes until it is finished")
    parser.add_argument("--pay", action="store_true", help="buy it: a quote first, then your word")
    parser.add_argument("--dry-run", action="store_true", help="with --pay: sign and spend nothing")
    parser.add_argument("--yes", action="store_true", help="with --pay: do not ask")
    add_payment(parser)
    add_rpc(parser)
    add_key(parser)
    add_node(parser)


def add_payment(parser: argparse.ArgumentParser) -> None:
    """Add what is paid with."""
    parser.add_argument("--chain", metavar="ID", type=int, help="the chain to pay on, where the node takes several")
    parser.add_argument("--token", metavar="ADDRESS", help="the token to pay with, where the node takes several")


def add_rpc(parser: argparse.ArgumentParser) -> None:
    """Add how the consumer's own wallet is reached."""
    parser.add_argument(
        "--rpc", metavar="URL", default=os.environ.get("C2D_RPC_URL"), help="an RPC of that chain (C2D_RPC_URL)"
    )
    parser.add_argument(
        "--escrow", metavar="ADDRESS", help="trust this escrow contract, though it is none of the published ones"
    )


def run(arguments: argparse.Namespace) -> int:
    """Hand the workflow in; with --follow, the exit code tells how it ended."""
    screen = screen_of(arguments)
    body = read_workflow(arguments.file, assignments(arguments.set))
    client = client_of(arguments, screen)
    if arguments.environment:
        body["environment"] = full_id(client, arguments.environment)
    if arguments.pay:
        records = buy(client, body, arguments, screen)
        if records is None:
            return 0
    else:
        records = client.post(f"{SERVICES}/freeCompute", body, "freeStartCompute")
    submission = remembered(client, arguments.file, records)
    if arguments.follow:
        screen.say(f"workflow {submission.workflow_id} handed in: {len(records)} jobs")
        for line in payment_lines(records, time.time()):
            screen.say(line)
        board = follow(client, Target(workflow_id=submission.workflow_id), screen)
        return conclude(board, submission.workflow_id, screen)
    show(records, submission, screen)
    return 0


def buy(
    client: NodeClient, body: dict[str, Any], arguments: argparse.Namespace, screen: Screen
) -> list[dict[str, Any]] | None:
    """Quote, explain, ask, and start; null where nothing was to be signed. Raises: Failure."""
    payment = chosen(client, arguments.chain, arguments.token)
    quoted = ask(client, body, payment)
    tell_quote(quoted, screen)
    wallet = None
    if arguments.rpc and quoted.amount_wei:
        # the chain's library takes a second to load
        wallet = importlib.import_module("infra.c2d.funding").Funding.of(client, quoted, arguments)
        wallet.tell(screen)
    screen.say()
    screen.say(f"you would sign: the start of this workflow, which lets the node lock {quoted.price} of what you")
    screen.say("deposited and authorized" + (f"; before that: {wallet.words()}" if wallet and wallet.steps else ""))
    if not is_wanted(arguments, quoted, screen):
        return None
    if wallet:
        wallet.carry_out(screen)
    records: list[dict[str, Any]] = client.post(f"{SERVICES}/compute", {**body, "payment": payment}, "startCompute")
    return records


def is_wanted(arguments: argparse.Namespace, quoted: Quoted, screen: Screen) -> bool:
    """Whether to go on: by --yes, or by the person's word."""
    if arguments.dry_run or (not arguments.yes and (screen.wants_json or not sys.stdin.isatty())):
        screen.document({"quote": dict(quoted.document), "isDryRun": True})
        screen.say("nothing was signed; the same with --yes does it")
        return False
    if arguments.yes or input("type yes to go on: ").strip().lower() == "yes":
        return True
    screen.say("nothing was signed")
    return False


def assignments(given: list[str]) -> dict[str, str]:
    """Read the values of `--set`."""
    wrong = [text for text in given if "=" not in text]
    if wrong:
        raise Failure(f"--set takes NAME=VALUE, not {wrong[0]!r}")
    return {name: value for name, _, value in (text.partition("=") for text in given)}


def remembered(client: NodeClient, file: str, records: list[dict[str, Any]]) -> Submission:
    """Keep the ids, so that they can be shortened from now on."""
    jobs = tuple(str(record["jobId"]).rsplit("-", 1)[-1] for record in records)
    submission = Submission(client.url, str(records[0]["workflowId"]), jobs, file, int(time.time()))
    remember(submission)
    return submission


def show(records: list[dict[str, Any]], submission: Submission, screen: Screen) -> None:
    """Print the jobs and what to type next."""
    short = submission.workflow_id[:12]
    screen.document(records)
    screen.say(f"workflow {submission.workflow_id}")
    screen.table(HEADS, rows([JobView.from_record(record) for record in records]))
    for line in payment_lines(records, time.time()):
        screen.say(line)
    screen.next(f"c2d status {short} --follow", f"c2d results {short} -o results")
