"""Bring the database to this version's tables. It may be repeated, and run by several at once."""

from __future__ import annotations

import argparse

from infra.c2d.options import add_data_dir, add_json, screen_of, settings_environment
from shared.db.connection import migrate, open_database
from shared.settings import NodeSettings


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare what the word takes."""
    add_data_dir(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Apply what is missing, and say what that was."""
    screen = screen_of(arguments)
    settings = NodeSettings.from_environment(settings_environment(arguments))
    open_database(settings.database_url)
    applied = migrate()
    screen.document({"applied": applied})
    screen.say(f"applied: {', '.join(applied)}" if applied else "nothing to do: the database is up to date")
    return 0
