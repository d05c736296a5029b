"""Show what was locked, paid and given back, from the node's own books."""

from __future__ import annotations

import argparse
from typing import Any

from infra.c2d.failures import JOB_FAILED, SUCCEEDED, Failure
from infra.c2d.money import ENDED, STATES, Unit
from infra.c2d.options import add_data_dir, add_json, screen_of, settings_environment
from infra.c2d.terminal import Screen
from shared.db import money_totals, payments
from shared.db.connection import check_migrated, open_database
from shared.settings import NodeSettings

HEADS = ("workflow", "payer", "locked", "due", "stands", "why")
SUMS = ("chain", "token", "payments", "locked", "paid", "given back", "open", "on its way")
TROUBLES = {
    "lost_payment": "locks that ran out before they were claimed: what was due is lost",
    "books_differ": "payments that ended otherwise than the books say",
    "unknown_lock": "locks that no payment knows",
    "refused_claim": "claims that the contract refuses",
    "foreign_nonce": "transactions of our key that are not ours: somebody else uses it",
    "stopped_key": "keys that sign nothing more until this is looked at",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare what the word takes."""
    parser.add_argument("--open", action="store_true", help="only payments that have not ended")
    parser.add_argument("--last", metavar="N", type=int, default=20, help="at most so many (default %(default)s)")
    add_data_dir(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the newest payments, the sums, and what nobody explains; exit code 1 if there is anything of that."""
    screen = screen_of(arguments)
    if arguments.last < 0:
        raise Failure("--last takes a number of payments", "c2d payments --last 50")
    open_database(NodeSettings.from_environment(settings_environment(arguments)).database_url)
    check_migrated()
    rows = payments.newest(arguments.last, is_open=arguments.open)
    sums, odd = money_totals.totals(), {what: n for what, n in money_totals.unexplained().items() if n}
    screen.document({
        "payments": [document(row) for row in rows],
        "totals": [{"chainId": chain, "token": token, **total_document(each)} for (chain, token), each in sums.items()],
        "unexplained": odd,
    })  # fmt: skip
    show(rows, sums, odd, screen)
    return JOB_FAILED if odd else SUCCEEDED


def show(rows: list[Any], sums: Any, odd: dict[str, int], screen: Screen) -> None:
    """The same for people."""
    if not sums:
        screen.say("no payment yet")
        return
    screen.table(HEADS, [row_of(row) for row in rows])
    screen.say()
    screen.table(SUMS, [sum_row(chain, each) for (chain, _), each in sums.items()])
    screen.say()
    for what, count in odd.items():
        screen.say(f"{count} × {TROUBLES.get(what, what)}")
    is_even = all(each.locked == each.paid + each.refunded + each.open for each in sums.values())
    if not odd and is_even:
        screen.say("locked = paid + given back + open; nothing is unexplained")


def row_of(row: Any) -> list[str]:
    """One payment."""
    unit = Unit(row.symbol or "tokens", row.decimals)
    due = "-" if row.claim_amount is None else unit.text(row.claim_amount)
    state = STATES.get(row.state, row.state)
    is_final = " for good" if row.is_final and row.state in ENDED else ""
    return [
        row.workflow_id[:12],
        row.payer[:12] + "…",
        unit.text(row.lock_amount),
        due,
        state + is_final,
        row.outcome or "",
    ]


def sum_row(chain_id: int, total: money_totals.Totals) -> list[str]:
    """One chain's and token's sums."""
    unit = Unit(total.symbol or "tokens", total.decimals)
    amounts = (total.locked, total.paid, total.refunded, total.open, total.waiting)
    return [str(chain_id), unit.symbol, str(total.payments), *(unit.text(wei) for wei in amounts)]


def document(row: Any) -> dict[str, Any]:
    """One payment for programs; amounts in wei, as text."""
    return {
        "workflowId": row.workflow_id, "chainId": row.chain_id, "payer": row.payer, "token": row.token,
        "state": row.state, "outcome": row.outcome, "isFinal": bool(row.is_final), "lockAmount": str(row.lock_amount),
        "due": None if row.claim_amount is None else str(row.claim_amount), "lockTx": row.lock_tx or None,
        "claimTx": row.claim_tx, "cancelTx": row.cancel_tx, "createdAt": row.created_at_ms / 1000,
    }  # fmt: skip


def total_document(total: money_totals.Totals) -> dict[str, Any]:
    """Sums for programs; amounts in wei, as text."""
    names = ("locked", "paid", "refunded", "open", "waiting", "lost")
    known = {"symbol": total.symbol, "decimals": total.decimals, "payments": total.payments}
    return {**known, **{name: str(getattr(total, name)) for name in names}}
