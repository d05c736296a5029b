"""Own what fits where: complete a request for an environment (wire §5.2) and hold it against what is left (§5.3); pure.

Amounts are thousandths of a unit (cores, GiB, devices), so that sums are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Any

from shared.errors import InvalidRequest

MILLI = 1000
HARDWARE = ""
"Where what environments share is held."
Amounts = Mapping[str, int]
"Resource id → thousandths."
Held = frozenset[tuple[int, str]]
"Contracts of token-gated lists: (chain id, lower-case address)."
NOTHING_HELD: Held = frozenset()


class NotEnough(InvalidRequest):
    """What is asked for may be granted later, but not now."""

    code = "not_enough_resources"
    title = "Not enough resources now"


@dataclass(frozen=True)
class Usage:
    """What is promised now, on one engine."""

    pool_total: Amounts
    "What the engine's hardware has."
    pool: Amounts
    "Promised over all environments of the engine."
    environment: Mapping[str, Amounts] = field(default_factory=dict)
    "Environment id → promised there."
    free: Mapping[str, Amounts] = field(default_factory=dict)
    "Environment id → promised to free jobs there."
    jobs: Mapping[str, int] = field(default_factory=dict)
    "Environment id → jobs that hold resources."
    free_jobs: Mapping[str, int] = field(default_factory=dict)

    def with_grant(self, granted: Grant, is_free: bool) -> Usage:
        """What is promised when one job more has got what it asked for."""
        where, amounts, one = granted.environment_id, granted.amounts, {granted.environment_id: 1}
        here = {where: _sum(self.environment.get(where, {}), amounts)}
        free = {where: _sum(self.free.get(where, {}), amounts)} if is_free else {}
        return Usage(
            self.pool_total,
            _sum(self.pool, amounts),
            {**self.environment, **here},
            {**self.free, **free},
            _sum(self.jobs, one),
            _sum(self.free_jobs, one) if is_free else self.free_jobs,
        )


@dataclass(frozen=True)
class Grant:
    """What a job gets."""

    environment_id: str
    amounts: Amounts
    max_duration_s: int

    def resources(self) -> list[dict[str, Any]]:
        """As the wire has it: `[{id, amount}]`, whole numbers as integers."""
        return [{"id": key, "amount": from_milli(amount)} for key, amount in self.amounts.items()]


def _sum(one: Amounts, other: Amounts) -> Amounts:
    return {key: one.get(key, 0) + other.get(key, 0) for key in {**one, **other}}


def to_milli(amount: object) -> int:
    """Thousandths of an amount, rounded up. Raises: InvalidRequest for what is no finite amount ≥ 0."""
    try:
        value = Decimal(str(amount)) * MILLI
        if not value.is_finite() or not 0 <= value < 10**15:
            raise InvalidOperation
        return int(value.to_integral_value(ROUND_CEILING))
    except InvalidOperation:
        raise InvalidRequest(f"{amount!r} is not an amount of a resource.") from None


def from_milli(amount: int) -> int | float:
    """Units as the wire shows them."""
    return amount // MILLI if amount % MILLI == 0 else amount / MILLI


def limits(environment: Mapping[str, Any], is_free: bool) -> dict[str, Mapping[str, Any]]:
    """Resource id → its declaration, with the free caps laid over it for free jobs.

    A resource that the free list lacks cannot be had for free: its `max` is 0.
    """
    declared = {str(entry["id"]): entry for entry in environment["resources"]}
    if not is_free:
        return declared
    free = {str(entry["id"]): entry for entry in (environment.get("free") or {}).get("resources", [])}
    return {key: {**entry, **(free.get(key) or {"min": 0, "max": 0})} for key, entry in declared.items()}


def complete(environment: Mapping[str, Any], wanted: Mapping[str, object], is_free: bool) -> dict[str, int]:
    """What the job will hold: minimum where nothing was asked, raised to the minimum, constraints kept.

    Ids the environment does not know are dropped, unless they are asked of it by name in the seeds' form, which
    the caller checks. Raises: InvalidRequest with the wire's texts.
    """
    declared = limits(environment, is_free)
    amounts: dict[str, int] = {}
    for key, entry in declared.items():
        least, most = to_milli(entry.get("min") or 0), to_milli(entry.get("max", entry.get("total", 0)))
        asked = wanted.get(key)
        amount = least if asked is None else max(least, to_milli(asked))
        if amount > most:
            raise InvalidRequest(
                f"Not enough {key} resources. Requested {from_milli(amount)}, but max is {from_milli(most)}"
            )
        amounts[key] = amount
    for key, entry in declared.items():
        for constraint in entry.get("constraints") or []:
            _constrain(amounts, declared, key, constraint)
    return amounts


def _constrain(amounts: dict[str, int], declared: Mapping[str, Any], key: str, constraint: Mapping[str, Any]) -> None:
    """Raise the other resource to what this one needs, or refuse."""
    other, amount = str(constraint["id"]), amounts[key]
    if amount == 0 or other not in amounts:
        return
    least, most = (amount * to_milli(constraint.get(side) or 0) // MILLI for side in ("min", "max"))
    if amounts[other] < least:
        ceiling = to_milli(declared[other].get("max", declared[other].get("total", 0)))
        if least > ceiling:
            raise InvalidRequest(
                f"Cannot satisfy constraint: {from_milli(amount)} {key} requires at least "
                f"{from_milli(least)} {other}, but max is {from_milli(ceiling)}"
            )
        amounts[other] = least
    if constraint.get("max") is not None and amounts[other] > most:
        raise InvalidRequest(
            f"Too much {other} for {from_milli(amount)} {key}. "
            f"Max allowed: {from_milli(most)}, requested: {from_milli(amounts[other])}"
        )


def check_available(environment: Mapping[str, Any], amounts: Amounts, usage: Usage, is_free: bool) -> None:
    """Hold what a job would take against what is left. Raises: NotEnough with the wire's texts."""
    environment_id = str(environment["id"])
    here = usage.environment.get(environment_id, {})
    for entry in environment["resources"]:
        key = str(entry["id"])
        amount = amounts.get(key, 0)
        if amount == 0:
            continue
        if to_milli(entry["total"]) - here.get(key, 0) < amount:
            raise NotEnough(f"Not enough available {key}")
        left = usage.pool_total.get(key, to_milli(entry["total"])) - usage.pool.get(key, 0)
        if left < amount:
            raise NotEnough(
                f"Not enough available {key} globally "
                f"(remaining: {from_milli(max(left, 0))}, requested: {from_milli(amount)})"
            )
    if is_free:
        _check_free(environment, amounts, usage)
    most = environment.get("maxJobs")
    if most is not None and usage.jobs.get(environment_id, 0) >= most:
        raise NotEnough("Too many running jobs ")


def lacking(environment: Mapping[str, Any], amounts: Amounts, usage: Usage, is_free: bool) -> set[tuple[str, str]]:
    """What is short now: (environment id, or HARDWARE where environments share it; resource id)."""
    environment_id = str(environment["id"])
    here, free = usage.environment.get(environment_id, {}), usage.free.get(environment_id, {})
    caps = {str(entry["id"]): entry for entry in (environment.get("free") or {}).get("resources", [])}
    short: set[tuple[str, str]] = set()
    for entry in environment["resources"]:
        key, total = str(entry["id"]), to_milli(entry["total"])
        amount = amounts.get(key, 0)
        if usage.pool_total.get(key, total) - usage.pool.get(key, 0) < amount:
            short.add((HARDWARE, key))
        is_short_of_free = is_free and to_milli(caps.get(key, {}).get("total", 0)) - free.get(key, 0) < amount
        if total - here.get(key, 0) < amount or is_short_of_free:
            short.add((environment_id, key))
    return short


def _check_free(environment: Mapping[str, Any], amounts: Amounts, usage: Usage) -> None:
    """The caps that all free jobs of an environment share."""
    environment_id = str(environment["id"])
    free = environment.get("free")
    if free is None:
        raise InvalidRequest("This env does not support free jobs")
    caps = {str(entry["id"]): entry for entry in free.get("resources", [])}
    used = usage.free.get(environment_id, {})
    for key, amount in amounts.items():
        if amount and to_milli(caps.get(key, {}).get("total", 0)) - used.get(key, 0) < amount:
            raise NotEnough(f"Not enough available {key} for free")
    most = free.get("maxJobs")
    if most is not None and usage.free_jobs.get(environment_id, 0) >= most:
        raise NotEnough("Too many running free jobs ")


def may_use(environment: Mapping[str, Any], owner: str, is_free: bool, held: Held = NOTHING_HELD) -> bool:
    """Whether the address is let in by the environment's own list, and for free jobs by the free list too.

    `held` are the contracts of token-gated lists of which the address is known to hold a token.
    """
    return all(_lets_in(rule, owner, held) for rule in _rules(environment, is_free))


def gates(environment: Mapping[str, Any], is_free: bool) -> Held:
    """The contracts whose holders the environment lets in."""
    return frozenset(each for rule in _rules(environment, is_free) for each in _contracts(rule))


def _rules(environment: Mapping[str, Any], is_free: bool) -> list[Mapping[str, Any] | None]:
    free = (environment.get("free") or {}).get("access") if is_free else None
    return [environment.get("access"), free]


def _contracts(access: Mapping[str, Any] | None) -> Held:
    lists = (access or {}).get("accessLists") or []
    return frozenset(
        (int(chain_id), str(contract).lower())
        for each in lists
        for chain_id, contracts in each.items()
        for contract in contracts
    )


def _lets_in(access: Mapping[str, Any] | None, owner: str, held: Held) -> bool:
    if not access or not (access.get("addresses") or access.get("accessLists")):
        return True
    is_listed = owner.lower() in {str(address).lower() for address in access.get("addresses") or []}
    return is_listed or bool(_contracts(access) & held)


def duration(environment: Mapping[str, Any], requested_s: int | None, is_free: bool) -> int:
    """Seconds granted: what was asked, clamped to the environment's (or its free part's) maximum."""
    most = environment["maxJobDuration"]
    if is_free:
        most = min(most, (environment.get("free") or {}).get("maxJobDuration", most))
    return int(most if requested_s is None else min(requested_s, most))


def grant(
    environment: Mapping[str, Any], wanted: Mapping[str, object], requested_s: int | None, usage: Usage, is_free: bool
) -> Grant:
    """All of the above for one environment. Raises: InvalidRequest (never) or NotEnough (not now)."""
    amounts = complete(environment, wanted, is_free)
    check_available(environment, amounts, usage, is_free)
    return Grant(str(environment["id"]), amounts, duration(environment, requested_s, is_free))
