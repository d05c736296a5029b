"""Own the figures that operators watch: a collector that reads the database when it is asked."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shared.db import environments, figures, queue
from shared.lifecycle import JobStatus
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
