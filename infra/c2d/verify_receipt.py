"""Check a receipt without asking the node: who signed it, does it add up, are the results those it names.

With --rpc the chain is asked as well, for the claim that carries the receipt's proof.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.c2d.failures import JOB_FAILED, SUCCEEDED, Failure
from infra.c2d.money import unit_of
from infra.c2d.options import add_json, screen_of
from infra.c2d.terminal import clean
from shared.errors import C2DError
from shared.receipt_checks import Finding, check
from shared.receipts import FILENAME, NO_DIGEST
from shared.strict_json import loads

HEADS = ("", "what", "found")
CHUNK = 1 << 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare what the word takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", metavar="FILE", type=Path, help=f"the receipt: {FILENAME} of any job of the workflow")
    parser.add_argument("--results", metavar="DIR", type=Path, help="the folder that `c2d results -o` filled")
    parser.add_argument("--rpc", metavar="URL", help="also look for the claim on the chain")
    parser.add_argument("--claim", metavar="TX", help="the claim's transaction, where searching for it takes too long")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print every check; the exit code is 1 if one of them fails."""
    screen = screen_of(arguments)
    document = read(arguments.file)
    try:
        found = check(document)
    except C2DError as error:
        raise Failure(f"{arguments.file}: {error.detail}", "the receipt is the file receipt.json") from error
    if arguments.results:
        found += results(document, arguments.results)
    if arguments.rpc:
        chain = importlib.import_module("infra.c2d.claim_check")  # the chain's library takes a second to load
        found.append(chain.claim(document, arguments.rpc, arguments.claim))
    screen.document([{"what": each.what, "isGood": each.is_good, "found": each.found} for each in found])
    screen.table(HEADS, [["ok" if each.is_good else "fail", each.what, each.found] for each in found])
    screen.say()
    for line in told(document):
        screen.say(line)
    bad = sum(not each.is_good for each in found)
    screen.say()
    screen.say(f"{bad} of {len(found)} checks failed: do not trust this receipt" if bad else "everything agrees")
    if not arguments.results:
        screen.next(f"c2d verify-receipt {arguments.file} --results DIR     (the files have not been looked at)")
    elif not arguments.rpc and not bad:
        screen.next(f"c2d verify-receipt {arguments.file} --results {arguments.results} --rpc URL")
    return JOB_FAILED if bad else SUCCEEDED


def read(path: Path) -> dict[str, Any]:
    """Read the file. Raises: Failure."""
    try:
        document = loads(path.read_bytes())
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}") from error
    except C2DError as error:
        raise Failure(f"{path}: {error.detail}") from error
    if not isinstance(document, dict):
        raise Failure(f"{path} is no receipt")
    return document


def results(document: Mapping[str, Any], folder: Path) -> Iterator[Finding]:
    """Hold the files of each job's folder against the list that was signed."""
    for beside, job in zip(document["evidence"], document["message"]["jobs"], strict=True):
        here = folder / f"job-{job['index']}-{str(job['jobId'])[:8]}"
        yield Finding(f"job {job['index']}: results", *compared(beside["outputs"], here))


def compared(outputs: list[Mapping[str, Any]], folder: Path) -> tuple[bool, str]:
    """Whether every file that was signed is there and the same, and nothing else is."""
    if not folder.is_dir():
        return not outputs, f"there is no folder {folder}" if outputs else "it left no files"
    known = {str(each["filename"]): each for each in outputs}
    there = {path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")}
    missing, extra = sorted(set(known) - there), sorted(there - set(known) - {FILENAME})
    others = [name for name in sorted(set(known) & there) if file_digest(folder / name) != known[name]["sha256"]]
    troubles = [
        f"{word}: {', '.join(names)}"
        for word, names in (("missing", missing), ("altered", others), ("not in the receipt", extra))
        if names
    ]
    return not troubles, "; ".join(troubles) or f"{len(known)} files, all as signed"


def file_digest(path: Path) -> str:
    """SHA-256 in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def told(document: Mapping[str, Any]) -> Iterator[str]:
    """What the receipt states, to be held against what was ordered."""
    message, unit = document["message"], unit_of(document["token"])
    amount, locked = int(message["amount"]), int(message["lockAmount"])
    yield f"workflow {message['workflowId']}, paid by {message['payer']} to {message['payee']}"
    yield f"{unit.text(amount)} of {unit.text(locked)} locked, on chain {document['domain']['chainId']}"
    for job, beside in zip(message["jobs"], document["evidence"], strict=True):
        image = job["image"] or "an image built for it"
        ran = "" if job["imageDigest"] == NO_DIGEST else f" ({job['imageDigest'][2:14]}…)"
        yield clean(
            f"job {job['index']}: {job['outcome']}, {job['billedSeconds']} s billed, {unit.text(int(job['amount']))}; "
            f"{image}{ran}; {len(beside['inputs']['files'])} input files; environment {short(job['environment'])}"
        )


def short(environment: str) -> str:
    """An environment's own id, shortened."""
    return (environment.partition("-")[2] or environment)[:12]
