"""Own the command's table of words and its one way out: sentences and exit codes, never a traceback."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys

from infra.c2d.failures import INTERRUPTED, WRONG, Failure
from shared.errors import C2DError

WORDS = {
    "up": "run a node on this machine, in the foreground",
    "doctor": "check what a node needs, and say what to do where something is missing",
    "migrate": "bring the database to this version's tables",
    "drain": "let an engine take no new work, and wait until it is idle",
    "payments": "show what was locked, paid and given back",
    "environments": "show where jobs can run, and at what price",
    "escrow": "show, deposit, authorize and withdraw what paid workflows are paid from",
    "quote": "ask what a workflow can cost at most",
    "submit": "sign a workflow and hand it in",
    "status": "show how jobs stand",
    "logs": "print what a job's algorithm printed",
    "results": "download what jobs left, and verify it",
    "stop": "stop a job, or all of a workflow",
    "verify-receipt": "check what a paid workflow's receipt says, without asking the node",
}
"Each is one module of this package, loaded only when it is called."
FIRST_OF_A_USER = "environments"
"Words before it are for who runs a node."


def main(arguments: list[str] | None = None) -> int:
    """Run one word of the command; the console script's entry."""
    given = sys.argv[1:] if arguments is None else arguments
    if not given or given[0] in ("-h", "--help", "help"):
        print(overview())
        return 0 if given else WRONG
    word = given[0]
    if word not in WORDS:
        print(f"c2d: there is no word {word!r}; there are: {', '.join(WORDS)}", file=sys.stderr)
        return WRONG
    return run(word, given[1:])


def run(word: str, given: list[str]) -> int:
    """Parse and carry out one word; every failure that was foreseen becomes a sentence."""
    wants_json = "--json" in given
    try:
        module = importlib.import_module(f"infra.c2d.{word.replace('-', '_')}")
        parser = argparse.ArgumentParser(prog=f"c2d {word}", description=module.__doc__)
        module.configure(parser)
        code = int(module.run(parser.parse_args(given)))
        sys.stdout.flush()
        return code
    except Failure as failure:
        complain(failure, wants_json)
        return failure.exit_code
    except C2DError as error:
        complain(Failure(error.for_operators), wants_json)
        return WRONG
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `c2d status | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def complain(failure: Failure, wants_json: bool) -> None:
    """Say what went wrong, on standard error; with `--json` as a document on standard output."""
    if wants_json:
        print(json.dumps(failure.document(), indent=2))
        return
    print(f"c2d: {failure.sentence}", file=sys.stderr)
    if failure.hint:
        print(f"     {failure.hint}", file=sys.stderr)


def overview() -> str:
    """The words in two groups, as `c2d --help` shows them."""
    lines = ["usage: c2d WORD …    (c2d WORD --help says more)", "", "run a node:"]
    for word, meaning in WORDS.items():
        if word == FIRST_OF_A_USER:
            lines += ["", "use a node:"]
        lines.append(f"  {word:<16}{meaning}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
