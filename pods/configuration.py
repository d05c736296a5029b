"""The configuration pod: fetch what the job needs into its volume, lay it out, report.

python -m pods.configuration
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from pods.body import Body
from pods.console import say
from pods.downloads import Failure, Fetching, disk_trouble, fetch_all
from pods.earlier import bring_all
from pods.ending import end_when_told
from pods.inventory import inventory
from pods.layout import plan
from pods.node_client import PROVISION, NodeClient
from pods.reporting import Reporter
from pods.work import ALGORITHM_FAILED, DATA_FAILED, Work
from shared.errors import C2DError
from shared.files.base import FetchRules

OPEN_FOLDERS = ("inputs", "outputs", "logs")
CLOSED_FOLDERS = ("ddos", "transformations")
_USER = 1000


def main(environment: Mapping[str, str]) -> int:
    """Provision one job; 0 only after the node took the report."""
    os.umask(0)
    try:
        client = NodeClient.from_environment(environment)
        reporter = Reporter(client, "provision")
        document = client.call(PROVISION, Body.of_json({}))
        brought = provision(client, reporter, document, environment.get("C2D_DATA", "/data"))
        if isinstance(brought, Failure):
            reporter.failed(brought.code, brought.reason)
        else:
            reporter.done({"bytes": reporter.bytes_done, "files": brought})
    except C2DError as error:
        say(error.detail)
        return 1
    say("the failure is reported" if isinstance(brought, Failure) else "ready")
    return 0


def provision(
    client: NodeClient, reporter: Reporter, document: Mapping[str, Any], data: str
) -> list[dict[str, Any]] | Failure:
    """Bring everything in; gives the list of it, or what went wrong. May be repeated over what an earlier try left."""
    try:
        work = plan(document)
        rules = FetchRules.allowing(document.get("fetchAllow") or [], document.get("maxBytes"))
        _make_folders(work, data)
        say(f"{len(work.downloads)} files to fetch, {len(work.earlier)} earlier outputs to unpack")
        _write_texts(work, data)
    except C2DError as error:
        return Failure(DATA_FAILED, error.detail)
    except OSError as error:
        return Failure(DATA_FAILED, disk_trouble(error))
    fetching = Fetching(data, rules, reporter)
    digests = fetch_all(work.downloads, fetching)
    if isinstance(digests, Failure):
        return digests
    return bring_all(client, work.earlier, fetching) or _checked(work, digests) or inventory(work, digests, data)


def _make_folders(work: Work, data: str) -> None:
    """Make the tree: what the algorithm may write is open to everybody and belongs to its usual user."""
    for folder in OPEN_FOLDERS + work.folders:
        _make(f"{data}/{folder}", 0o777, _USER)
    for folder in CLOSED_FOLDERS:
        _make(f"{data}/{folder}", 0o755, None)


def _make(path: str, mode: int, owner: int | None) -> None:
    os.makedirs(path, exist_ok=True)
    if os.geteuid() != os.stat(path).st_uid:
        return
    os.chmod(path, mode)
    if owner is not None and os.geteuid() == 0:
        try:
            os.chown(path, owner, owner)
        except PermissionError:
            """Without the capability for it the open mode must do."""


def _write_texts(work: Work, data: str) -> None:
    for text in work.texts:
        with open(os.open(f"{data}/{text.path}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, text.mode), "wb") as file:
            file.write(text.content.encode("utf-8", "replace"))
        say(f"{text.path}: {len(text.content):,} characters")


def _checked(work: Work, digests: Mapping[str, str]) -> Failure | None:
    """Compare the algorithm's files, together, with the checksum its dataset trusts."""
    found = "".join(digests[download.path] for download in work.downloads if download.code == ALGORITHM_FAILED)
    if work.algorithm_checksum and found and found != work.algorithm_checksum.lower():
        return Failure(ALGORITHM_FAILED, "the algorithm's files do not match their checksum")
    return None


if __name__ == "__main__":
    end_when_told()
    sys.exit(main(os.environ))
