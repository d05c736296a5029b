"""Check what a node needs on this machine, and say what to do where something is missing."""

from __future__ import annotations

import argparse

from infra.c2d import chain_checks, checks, engine_checks
from infra.c2d.checks import Check
from infra.c2d.failures import JOB_FAILED, SUCCEEDED, Failure
from infra.c2d.options import DEFAULT_HOST, DEFAULT_PORT, add_data_dir, add_json, screen_of, settings_environment
from shared.errors import SettingsError
from shared.secrets import NodeKeys
from shared.settings import NodeSettings

IN_A_CLUSTER = "KUBERNETES_SERVICE_HOST"
"What every pod's environment has: there the node is up, or not this command's to start."
HEADS = ("", "what", "found", "what to do")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare what the word takes."""
    add_data_dir(parser)
    parser.add_argument("--host", default=DEFAULT_HOST, help="address the node listens on (default %(default)s)")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port it listens on (default %(default)s)")
    parser.add_argument(
        "--secrets-key",
        action="store_true",
        help="print C2D_SECRETS_KEY, derived from the node's key, and nothing else",
    )
    parser.add_argument(
        "--probe",
        action="store_true",
        help="let short pods try what a cluster's network lets through; they are removed again",
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the table; the exit code is 1 if anything fails."""
    screen = screen_of(arguments)
    environment = settings_environment(arguments)
    if arguments.secrets_key:
        print(secrets_key(NodeSettings.from_environment(environment)))
        return SUCCEEDED
    found = examine(environment, arguments.host, arguments.port, is_probed=arguments.probe)
    screen.document([check.document() for check in found])
    screen.table(HEADS, [check.row() for check in found])
    failed = [check for check in found if check.state == "fail"]
    screen.say()
    screen.say(f"{len(failed)} to mend" if failed else "nothing in the way")
    go_on = "c2d environments" if IN_A_CLUSTER in environment else "c2d up"
    screen.next("c2d doctor" if failed else go_on)
    return JOB_FAILED if failed else SUCCEEDED


def secrets_key(settings: NodeSettings) -> str:
    """What handlers may be given instead of the wallet's key. Raises: Failure."""
    if settings.private_key is None:
        raise Failure("there is no node key yet", "c2d up makes one, or set C2D_PRIVATE_KEY")
    return NodeKeys.from_private_key(settings.private_key).secrets_key


def examine(environment: dict[str, str], host: str, port: int, *, is_probed: bool = False) -> list[Check]:
    """Everything that can be looked at; without settings that parse, that is little."""
    found = [checks.python()]
    try:
        settings = NodeSettings.from_environment(environment)
    except SettingsError as error:
        return [*found, Check("settings", "fail", error.detail, "mend it in the environment or in .env")]
    found += [
        Check("settings", "ok", f"data in {settings.data_dir}"),
        checks.key(settings),
        checks.database(settings),
        checks.storage(settings),
    ]
    if IN_A_CLUSTER not in environment:
        found.append(checks.port(host, port))
    for engine in settings.engines:
        found += engine_checks.examine(engine, settings, is_probed=is_probed)
    return [*found, *chain_checks.examine(settings)]
