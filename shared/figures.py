"""Own the figures that operators watch: a collector that reads the database when it is asked."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shared.db import environments, figures, money_totals, payments, queue
from shared.lifecycle import JobStatus
from shared.payment_states import PaymentState
from shared.placement import MILLI


class Figures(Collector):
    """Jobs, queue, engines and pools, as gauges."""

    def describe(self) -> list[GaugeMetricFamily]:
        """Name nothing beforehand, so that registering asks the database nothing."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Read everything anew."""
        yield self._jobs()
        yield GaugeMetricFamily("c2d_queue_ready_jobs", "Jobs that are ready and wait for room.", queue.depth())
        yield from self._engines()
        yield from self._pools()
        yield from self._money()

    def _money(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily("c2d_payments", "Payments by state.", labels=["state"])
        counted = payments.count_by_state()
        for state in PaymentState:
            family.add_metric([state.value], counted.get(state.value, 0))
        yield family
        alert = GaugeMetricFamily("c2d_payments_unexplained", "Alert on anything but 0.", labels=["what"])
        for what, count in money_totals.unexplained().items():
            alert.add_metric([what], count)
        yield alert

    def _jobs(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily("c2d_jobs", "Jobs by status.", labels=["status"])
        counted = figures.jobs_by_status()
        for status in JobStatus:
            family.add_metric([status.value], counted.get(status.value, 0))
        return family

    def _engines(self) -> Iterator[GaugeMetricFamily]:
        seen = GaugeMetricFamily("c2d_engine_seen_seconds", "Unix time of the engine's last pass.", labels=["engine"])
        open_ = GaugeMetricFamily("c2d_engine_takes_work", "1 unless draining or in trouble.", labels=["engine"])
        for engine in environments.engines():
            seen.add_metric([engine.name], engine.seen_at_ms / 1000)
            open_.add_metric([engine.name], 0 if engine.is_draining or engine.problem else 1)
        yield seen
        yield open_

    def _pools(self) -> Iterator[GaugeMetricFamily]:
        labels = ["engine", "resource"]
        total = GaugeMetricFamily("c2d_resource_total", "Cores, GiB or pieces there are.", labels=labels)
        used = GaugeMetricFamily("c2d_resource_promised", "Cores, GiB or pieces promised to jobs.", labels=labels)
        promised = figures.promised()
        for key, amount in sorted(figures.pools().items()):
            total.add_metric(list(key), amount / MILLI)
            used.add_metric(list(key), promised.get(key, 0) / MILLI)
        yield total
        yield used
