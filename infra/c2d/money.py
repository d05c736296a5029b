"""Own how amounts of tokens are written and read, and what a payment looks like in words; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, InvalidOperation, localcontext
from typing import Any

from infra.c2d.failures import Failure
from infra.c2d.terminal import clean

PRECISION = 100
"Digits: more than any amount on a chain has."
STATES = {
    "lock_prepared": "the lock is signed",
    "lock_sent": "the lock is on its way",
    "locked": "locked",
    "claim_due": "the claim is due",
    "claim_prepared": "the claim is signed",
    "claim_sent": "the claim is on its way",
    "settled": "paid",
    "refunded": "all of it went back",
    "lock_failed": "nothing was locked",
    "expired": "the lock ran out and went back",
}
ENDED = frozenset({"settled", "refunded", "lock_failed", "expired"})


@dataclass(frozen=True)
class Unit:
    """A token, as amounts of it are written."""

    symbol: str
    decimals: int

    def text(self, wei: int) -> str:
        """Write an amount exactly, without trailing zeros."""
        with localcontext(prec=PRECISION):
            number = f"{Decimal(wei).scaleb(-self.decimals):f}"
        return clean(f"{number.rstrip('0').rstrip('.') if '.' in number else number} {self.symbol}")

    def wei(self, text: str) -> int:
        """Read an amount of whole tokens. Raises: Failure for what is none, or is finer than the token."""
        try:
            with localcontext(prec=PRECISION):
                number = Decimal(text).scaleb(self.decimals)
                if not number.is_finite() or number < 0 or number != number.to_integral_value():
                    raise InvalidOperation
                return int(number)
        except InvalidOperation:
            raise Failure(
                f"{text!r} is not an amount of {self.symbol}", f"a number with at most {self.decimals} decimals"
            ) from None


def unit_of(payment: Mapping[str, Any]) -> Unit:
    """The token of a payment or a quote, as the node tells it."""
    return Unit(str(payment.get("symbol") or "tokens"), int(payment.get("decimals", 18)))


def payment_lines(records: Sequence[Mapping[str, Any]], now: float) -> list[str]:
    """Say how the payments of some records stand, one line each; nothing for what is free."""
    payments = {str(p.get("onchainId") or p.get("lockTx")): p for record in records if (p := record.get("payment"))}
    return [
        payment_line(payment, [record for record in records if record.get("payment") == payment], now)
        for payment in payments.values()
    ]


def payment_line(payment: Mapping[str, Any], records: Sequence[Mapping[str, Any]], now: float) -> str:
    """One payment: what was set aside, what it comes to, what went back."""
    unit, state = unit_of(payment), str(payment.get("state") or "")
    amount = int(payment.get("amount") or 0)
    head = f"payment: {STATES.get(state, clean(state))}"
    if not amount:
        return "payment: nothing to pay"
    if state == "settled":
        claimed = int(payment.get("claimed") or 0)
        text = f"payment: {unit.text(claimed)} paid, {unit.text(amount - claimed)} back"
    elif state in ENDED:
        text = f"{head} ({unit.text(amount)})"
    elif payment.get("due") is not None:
        text = f"{head}: {unit.text(int(payment['due']))} of {unit.text(amount)}; the rest goes back"
    else:
        so_far = sum((spent(record, now) for record in records), Decimal())
        used = unit.text(min(int(so_far.scaleb(unit.decimals).to_integral_value(ROUND_CEILING)), amount))
        text = f"{head}: {used} used so far, {unit.text(amount)} at most"
    outcome = str(payment.get("outcome") or "")
    return clean(f"{text} · {outcome}" if outcome else text)


def spent(record: Mapping[str, Any], now: float) -> Decimal:
    """About what a job's minutes so far come to, in whole tokens; the node's own sum is what counts in the end."""
    started, stopped = (Decimal(str(record.get(name) or 0)) for name in ("algoStartTimestamp", "algoStopTimestamp"))
    if not started:
        return Decimal()
    seconds = max((stopped or Decimal(str(now))) - started, Decimal())
    minutes = (min(seconds, Decimal(record.get("maxJobDuration") or 0)) / 60).to_integral_value(ROUND_CEILING)
    resources = record.get("resources") or []
    price = sum((Decimal(str(r.get("price") or 0)) * Decimal(str(r["amount"])) for r in resources), Decimal())
    return price * minutes
