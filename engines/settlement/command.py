"""Own how settlement is run: once, for so many seconds (cron), or watching; and how an operator lets a key go on."""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Sequence

from engines.exit_codes import exit_code
from engines.pulse import Pulse, add_pulse
from engines.settlement.passes import settle_all
from engines.settlement.till import Till, rules_of
from engines.settlement.watching import keep_settling
from engines.signals import when_told_to_end
from shared import logs
from shared.addresses import address_of
from shared.db import slot_views
from shared.db.connection import check_migrated, open_database
from shared.errors import SettingsError, Unavailable
from shared.escrow import open_chains
from shared.names import Address
from shared.settings import EngineSettings
from shared.storage import open_storage


def run(arguments: Sequence[str] | None = None) -> int:
    """Settle as the command line says; the exit code."""
    options = _parse(arguments)
    stop = threading.Event()
    when_told_to_end(stop.set)

    def work() -> None:
        tills = compose(is_patient=options.watch, stop=stop)
        if options.trust_nonce:
            _trust(tills)
        elif options.watch or options.seconds:
            until = time.monotonic() + options.seconds if options.seconds else None
            keep_settling(tills, stop, until, Pulse(options.pulse))
        else:
            for till in tills:
                settle_all(till)

    return exit_code("settlement", work)


def compose(*, is_patient: bool, stop: threading.Event) -> list[Till]:
    """A till for each chain of the settings. Raises: SettingsError, Unavailable (unless patient)."""
    logs.configure()
    settings = EngineSettings.from_environment()
    if settings.private_key is None:
        raise SettingsError("C2D_PRIVATE_KEY is not set: claims are signed with it. Example: C2D_PRIVATE_KEY=0x…")
    key, payee = settings.private_key, Address(address_of(settings.private_key).lower())
    open_database(settings.database_url, connections=settings.database_connections)
    _wait_until_migrated(is_patient, stop)
    storage, chains = open_storage(settings.storage_url), open_chains(settings.chains)
    return [Till(chains[config.chain_id], payee, key, storage, _now_ms, rules_of(config)) for config in settings.chains]


def _wait_until_migrated(is_patient: bool, stop: threading.Event) -> None:
    while True:
        try:
            return check_migrated()
        except Unavailable:
            if not is_patient or stop.wait(2):
                raise


def _trust(tills: Sequence[Till]) -> None:
    """The operator has looked: keys go on where the chains are."""
    for till in tills:
        slot_views.accept(till.chain_id, till.payee, till.chain.nonce(till.payee))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m engines.run_settlement", description="Send locks, claim what is due, give back the rest."
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--for", dest="seconds", type=float, metavar="SECONDS", help="keep settling until the time is up")
    how.add_argument("--watch", action="store_true", help="keep settling, woken by the database")
    how.add_argument(
        "--trust-nonce",
        action="store_true",
        help="go on with a key that somebody else has used, from the chain's nonce on; after you have found out who",
    )
    add_pulse(parser)
    return parser.parse_args(arguments)
