"""Own how passes are run: once, for so many seconds (cron), or watching; signals; exit codes.

Exit code 0: done. 1: the engine or the database was out of reach. 2: a wrong setting or argument.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from engines.compose import DriverOf, wait_for_engine
from engines.context import Context
from engines.crew import Crew
from engines.exit_codes import exit_code
from engines.housekeeping import keep_house
from engines.pulse import Pulse, add_pulse
from engines.reconcile import reconcile_once
from engines.signals import when_told_to_end
from engines.watching import Bell, watch


def run(kind: str, driver_of: DriverOf, arguments: Sequence[str] | None = None) -> int:
    """Run an engine's passes as the command line says; the exit code."""
    options = _parse(kind, arguments)
    bell = Bell()
    when_told_to_end(bell.stop)

    def work() -> None:
        context = wait_for_engine(options.engine, kind, driver_of, is_patient=options.watch, has_ended=bell.has_ended)
        if context is None:
            return
        if options.watch or options.seconds:
            until = time.monotonic() + options.seconds if options.seconds else None
            watch(context, bell, until, Pulse(options.pulse))
        else:
            _once(context)

    return exit_code(options.engine, work)


def _parse(kind: str, arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m engines.run_{kind}", description=f"Passes of a {kind} engine.")
    parser.add_argument("--engine", default="local", help="its name in C2D_ENGINES (default: local)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--for", dest="seconds", type=float, metavar="SECONDS", help="keep passing until the time is up")
    how.add_argument("--watch", action="store_true", help="keep passing, woken by engine and database")
    add_pulse(parser)
    return parser.parse_args(arguments)


def _once(context: Context) -> None:
    """One pass, which ends when all it took is carried as far as it goes now."""
    crew = Crew()
    keep_house(context)
    reconcile_once(context, crew)
    crew.close()
