"""Own what work costs: the price of a job frozen at its start, what it can cost at most, and what it did cost; pure.

Whole token units of the smallest kind (`_wei`) and exact fractions; the one rounding is half up, once for each job.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from shared.placement import MILLI

ALLOWANCE_S = 900
"For a job's provisioning and publishing, in the time that a lock lasts."


@dataclass(frozen=True)
class Line:
    """One resource of a job and its price."""

    resource_id: str
    amount_milli: int
    price: Decimal
    "Tokens for one unit and minute."


@dataclass(frozen=True)
class JobPrice:
    """What a minute of one job costs, and how few and how many seconds of it are billed."""

    index: int
    environment_id: str
    lines: tuple[Line, ...]
    least_s: int
    "Billed at least, once the algorithm has started."
    most_s: int
    "Granted."
    job_id: str = ""
    "Empty in a quote."

    def wei(self, duration_s: int, decimals: int) -> int:
        """Price a duration: minutes begun, the least at least, rounded half up."""
        minutes = -(-max(duration_s, self.least_s) // 60)
        units = sum((Fraction(line.price) * line.amount_milli for line in self.lines), Fraction())
        return half_up(units * minutes * 10**decimals / MILLI)

    def most_wei(self, decimals: int) -> int:
        """Tell what the job can cost at most."""
        return self.wei(self.most_s, decimals)

    def to_document(self) -> dict[str, Any]:
        """Write it for the payment's row."""
        lines = [
            {"id": line.resource_id, "amountMilli": line.amount_milli, "price": str(line.price)} for line in self.lines
        ]
        known = {"jobId": self.job_id, "index": self.index, "environment": self.environment_id}
        return {**known, "leastSeconds": self.least_s, "mostSeconds": self.most_s, "resources": lines}


@dataclass(frozen=True)
class Ran:
    """When a job's algorithm ran and its image was built, in Unix milliseconds; null = it never did."""

    started_at_ms: int | None
    stopped_at_ms: int | None
    build_started_at_ms: int | None = None
    build_stopped_at_ms: int | None = None
    is_lost: bool = False
    "The engine lost it, which is never the payer's to pay."


def half_up(value: Fraction) -> int:
    """Round to a whole number, a half upwards."""
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def document(prices: Iterable[JobPrice]) -> dict[str, Any]:
    """Write the prices of a workflow as its payment keeps them."""
    return {"jobs": [price.to_document() for price in prices]}


def prices_of(kept: Mapping[str, Any]) -> list[JobPrice]:
    """Read what `document` wrote."""
    return [_price(entry) for entry in kept["jobs"]]


def billed_s(price: JobPrice, ran: Ran) -> int:
    """Tell the seconds to pay for: the algorithm's and the build's, at most what was granted; 0 if it never started."""
    if ran.started_at_ms is None or ran.is_lost:
        return 0
    spans = ((ran.started_at_ms, ran.stopped_at_ms), (ran.build_started_at_ms, ran.build_stopped_at_ms))
    spent_ms = sum(max(0, until - since) for since, until in spans if since is not None and until is not None)
    return max(min(-(-spent_ms // 1000), price.most_s), price.least_s)


def cost_wei(price: JobPrice, decimals: int, ran: Ran) -> int:
    """Tell what a finished job did cost; never more than `most_wei`."""
    seconds = billed_s(price, ran)
    return price.wei(seconds, decimals) if seconds else 0


def lock_s(queue_max_wait_s: int, durations_s: Sequence[int], claim_window_s: int) -> int:
    """Tell how long a lock must last, in seconds from its block on."""
    return queue_max_wait_s + sum(durations_s) + ALLOWANCE_S * len(durations_s) + claim_window_s


def _price(entry: Mapping[str, Any]) -> JobPrice:
    lines = (Line(each["id"], each["amountMilli"], Decimal(each["price"])) for each in entry["resources"])
    return JobPrice(
        index=entry["index"],
        environment_id=entry["environment"],
        lines=tuple(lines),
        least_s=entry["leastSeconds"],
        most_s=entry["mostSeconds"],
        job_id=entry["jobId"],
    )
