"""Let an engine take no new work; what it has goes on to its end. --off lets it work again."""

from __future__ import annotations

import argparse

from infra.c2d.failures import Failure
from infra.c2d.options import add_data_dir, add_json, screen_of, settings_environment
from infra.c2d.terminal import Screen
from shared.db import engines
from shared.db.connection import check_migrated, open_database, session
from shared.db.watch import DatabaseWatch
from shared.settings import NodeSettings

LOOK_AGAIN_S = 5.0
"The safety net below being told."


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare what the word takes."""
    parser.add_argument("--engine", metavar="NAME", help="one engine; else all")
    parser.add_argument("--off", action="store_true", help="take new work again")
    parser.add_argument("--wait", action="store_true", help="stay until its last job has ended")
    add_data_dir(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Mark the engines, and wait where that is asked for."""
    screen = screen_of(arguments)
    open_database(NodeSettings.from_environment(settings_environment(arguments)).database_url)
    check_migrated()
    names = marked(arguments.engine, is_draining=not arguments.off)
    left = unfinished(names)
    if arguments.wait and not arguments.off:
        left = wait_until_idle(names, screen)
    screen.document({"engines": names, "draining": not arguments.off, "unfinished": left})
    if arguments.off:
        screen.say(f"{', '.join(names)}: takes new work again")
        return 0
    screen.say(f"{', '.join(names)}: takes no new work; {left or 'no'} jobs of it are not finished")
    screen.next("c2d drain --wait" if left else "stop the node, then: c2d drain --off when it is back")
    return 0


def marked(engine: str | None, *, is_draining: bool) -> list[str]:
    """Set the mark on one engine, or on all. Raises: Failure where there is none."""
    with session():
        known = engines.engine_names()
        chosen = [name for name in known if engine in (None, name)]
        if not chosen:
            raise Failure(
                f"there is no engine {engine}; there are: {', '.join(known)}"
                if known
                else "no engine has reported yet",
                "an engine is known once a pass of it has run",
            )
        for name in chosen:
            engines.set_draining(name, is_draining)
    return chosen


def unfinished(names: list[str]) -> int:
    """How many jobs the engines still have in hand."""
    with session():
        return sum(engines.count_unfinished(name) for name in names)


def wait_until_idle(names: list[str], screen: Screen) -> int:
    """Wait until the last job has ended; says how many are left whenever that changes."""
    said = -1
    with DatabaseWatch() as watch:
        while left := unfinished(names):
            if left != said:
                screen.note(f"waiting for {left} jobs")
                said = left
            watch.wait(LOOK_AGAIN_S)
    return 0
