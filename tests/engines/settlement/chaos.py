"""Processes that settle, one of which is killed every few seconds: forked from one that has opened nothing.

`python -m tests.engines.settlement.chaos '{"database": …, "rpc": …, …}'` runs until its standard input ends. Each child
loses so many of its sends: the request, or the reply.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

from engines.settlement.passes import settle_once
from engines.settlement.till import Till
from engines.settlement.views import Rules
from shared.addresses import address_of
from shared.db.connection import open_database
from shared.errors import Unavailable
from shared.escrow.rpc import Rpc
from shared.escrow.words import ChainConfig
from shared.names import Address
from shared.storage.local import LocalStorage

PROCESSES = 4
KILL_EVERY_S = 3.0
RULES = Rules(confirmations=2, claim_window_s=600, resend_ms=2_000, bump_ms=15_000, gather_ms=8_000, retry_ms=2_000)


class Lossy:
    """A chain of which so many sends lose the request or the reply."""

    def __init__(self, inner: Rpc, share: float, rng: random.Random) -> None:
        self._inner, self._share, self._rng = inner, share, rng

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def send(self, raw: bytes) -> str | None:
        """Lost on the way there, on the way back, or neither."""
        drawn = self._rng.random()
        if drawn < self._share / 2:
            raise Unavailable("The request was lost.")
        said = self._inner.send(raw)
        if drawn < self._share:
            raise Unavailable("The reply was lost.")
        return said


def settle_for_ever(given: dict[str, Any], seed: int) -> None:
    """What a child does until it is killed."""
    rng = random.Random(seed)
    open_database(given["database"])
    config = ChainConfig(
        given["chain_id"], given["rpc"], Address(given["escrow"]), confirmations=2, finality_blocks=given["finality"]
    )
    key = bytes.fromhex(given["key"])
    chain: Any = Lossy(Rpc(config), given["losing"], rng)
    payee = Address(address_of(key).lower())
    storage = LocalStorage(Path(given["storage"]))
    till = Till(chain, payee, key, storage, lambda: time.time_ns() // 1_000_000, RULES)
    while True:
        try:
            settle_once(till)
        except Unavailable:
            time.sleep(0.2)
        time.sleep(rng.uniform(0.1, 0.5))


def forked(given: dict[str, Any], seed: int) -> int:
    """A child of ours; its process id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        settle_for_ever(given, seed)
    finally:
        os._exit(1)


def main() -> None:
    """Keep so many alive, kill one at random every few seconds, until nobody listens; tell how many were killed."""
    given = json.loads(sys.argv[1])
    rng = random.Random(given["seed"])
    children = [forked(given, number) for number in range(PROCESSES)]
    killed = 0
    while not select.select([sys.stdin], [], [], KILL_EVERY_S)[0]:
        place = rng.randrange(PROCESSES)
        os.kill(children[place], signal.SIGKILL)
        os.waitpid(children[place], 0)
        killed += 1
        children[place] = forked(given, 1000 + killed)
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    print(killed)


if __name__ == "__main__":
    main()
