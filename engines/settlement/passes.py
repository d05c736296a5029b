"""Own one settlement pass: look, read the books, look closer, decide, act. Any number may run at the same time."""

from __future__ import annotations

from engines.settlement.act import Act
from engines.settlement.books import has_open, read_books
from engines.settlement.decide import decide
from engines.settlement.observe import look, look_closer
from engines.settlement.reconcile import is_due, reconcile
from engines.settlement.till import Till
from shared.errors import Conflict, Unavailable
from shared.logs import logger

log = logger("c2d.settlement")
MOST_ROUNDS = 50


def settle_once(till: Till) -> int:
    """One pass over one key on one chain; how many things were done. Raises: Unavailable."""
    if is_due(till):
        reconcile(till)
    if not has_open(till.chain.config, till.payee):
        return 0
    first = look(till.chain, till.payee)
    books = read_books(till.chain.config, till.payee, first.nonce)
    if books is None:
        return 0
    seen = look_closer(till.chain, till.payee, first, books)
    act, done = Act(till), 0
    for action in decide(books, seen, till.rules, till.now_ms()):
        try:
            act.perform(action)
            done += 1
        except Conflict as error:
            log.info("left to the next look", fields={"cause": error.detail})
        except Unavailable:
            raise
        except Exception:
            log.exception("a payment could not be carried on", fields={"action": type(action).__name__})
    if done:
        log.info("pass", fields={"chain": till.chain_id, "done": done})
    return done


def settle_all(till: Till) -> None:
    """Pass until nothing is left to do now. Raises: Unavailable."""
    for _ in range(MOST_ROUNDS):
        if not settle_once(till):
            return
