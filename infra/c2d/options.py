"""Own the options that many words share, and what they stand for."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from infra.c2d.keys import default_key_file, ensure_key
from infra.c2d.node_client import NodeClient
from infra.c2d.terminal import Screen
from shared.signatures import address_of

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8000


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    parser.add_argument(
        "--json", action="store_true", help="print one JSON document (or one a line, for what is followed)"
    )


def add_node(parser: argparse.ArgumentParser) -> None:
    """Add what every call to a node takes."""
    default = os.environ.get("C2D_NODE_URL") or f"http://{DEFAULT_HOST}:{DEFAULT_PORT}"
    parser.add_argument("--node", metavar="URL", default=default, help="the node (C2D_NODE_URL; default %(default)s)")
    add_json(parser)


def add_key(parser: argparse.ArgumentParser) -> None:
    """Add the consumer's key."""
    parser.add_argument(
        "--key", metavar="FILE", type=Path, default=default_key_file(),
        help="the key that signs; made where there is none (default %(default)s)",
    )  # fmt: skip


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Add where a node on this machine keeps what it keeps."""
    parser.add_argument(
        "--data-dir", metavar="D", type=Path, help="folder of database, results and key (C2D_DATA_DIR)"
    )  # fmt: skip


def settings_environment(arguments: argparse.Namespace) -> dict[str, str]:
    """The environment that the settings are read from: ours, with what was given on the command line."""
    given = {"C2D_DATA_DIR": str(arguments.data_dir.absolute())} if arguments.data_dir else {}
    return {**os.environ, **given}


def screen_of(arguments: argparse.Namespace) -> Screen:
    """Where this command prints."""
    return Screen(wants_json=arguments.json)


def client_of(arguments: argparse.Namespace, screen: Screen) -> NodeClient:
    """The node, with the consumer's key if the word takes one; says so when it makes it."""

    def key() -> bytes:
        found, is_made = ensure_key(arguments.key)
        if is_made:
            screen.note(
                f"made a key for you: {arguments.key} (address {address_of(found)}); keep it, it owns your jobs"
            )
        return found

    return NodeClient(arguments.node, key if hasattr(arguments, "key") else None)
