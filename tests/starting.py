"""A phase started as a pass starts it: made, then started."""

from __future__ import annotations

from engines.drivers.base import Driver, PhaseSpec


def start(driver: Driver, spec: PhaseSpec) -> None:
    """Have the phase's container started, once."""
    driver.ensure_created(spec)
    driver.start(spec)


def start_again(driver: Driver, spec: PhaseSpec) -> None:
    """Start a lost pod anew."""
    driver.recreate(spec)
    driver.start(spec)
