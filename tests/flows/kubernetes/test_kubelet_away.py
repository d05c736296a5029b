"""The kubelet of the only node is stopped in its tracks for some minutes: stops and time limits are kept."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from engines.drivers.kubernetes_connect import connect
from engines.drivers.kubernetes_machine import is_well
from engines.drivers.kubernetes_words import UNHEARD
from tests.flows.docker.harness import job, until
from tests.flows.kubernetes.harness import KubernetesPlace, kubernetes_place
from tests.flows.kubernetes.test_kubernetes_flows import ending
from tests.flows.kubernetes.test_server_away import held
from tests.needs import needs
from tests.services import kubernetes

pytestmark = [
    needs("kube", "docker"),
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("kubernetes"),
]
LIMIT_S = 260
"The cluster's patience with a silent node, ours with its pod, and the pod's own."
RUNS = "echo run >>/data/outputs/runs.txt; exec sleep 500"


def test_stops_and_time_limits_hold_while_the_only_node_is_silent_and_what_there_is_is_published_after(
    tmp_path: Path,
) -> None:
    kubelet = kubelet_process()
    with kubernetes_place(tmp_path) as site:
        stopped = site.submit(job(0, RUNS))
        timed = site.submit(job(0, RUNS, compute={"maxDuration": 20}))
        lasting = site.submit(job(0, "sleep 20; echo run >>/data/outputs/runs.txt", compute={"maxDuration": 500}))
        for workflow in (stopped, timed, lasting):
            site.until_running(workflow)
        record = site.consumer.status(workflowId=lasting)[0]
        with held(kubelet):
            site.consumer.stop(workflowId=stopped)
            until(lambda: UNHEARD in site.events(record["jobId"]), lambda: site.events(record["jobId"]))
            deadline = time.monotonic() + LIMIT_S
            while [status_of(site, each) for each in (stopped, timed)] != [60, 60]:
                assert time.monotonic() < deadline, [site.consumer.status(workflowId=each) for each in (stopped, timed)]
                time.sleep(0.5)
            assert status_of(site, lasting) == 40
        until(lambda: is_well(kubernetes.machines(site.api)[0]) or None)
        one, two, three = (site.consumer.wait(each, 200)[0] for each in (stopped, timed, lasting))
        assert ending(one)[::2] == (70, "stopped") and site.output(one) == b"run\n"
        assert ending(two)[::2] == (41, "lost") and site.output(two) == b"run\n"
        assert ending(three) == (70, 0, None) and site.output(three) == b"run\n"
        site.until_clean()


def status_of(site: KubernetesPlace, workflow: str) -> int:
    """The status of a workflow's one job."""
    return int(site.consumer.status(workflowId=workflow)[0]["status"])


def kubelet_process() -> int:
    """The kubelet of the only node, where it is a process of this machine's; else the test is skipped."""
    nodes = [node["metadata"]["name"] for node in kubernetes.machines(connect({}))]
    found = [int(path.parts[2]) for path in Path("/proc").glob("[0-9]*/cmdline") if serves(path, nodes)]
    if len(nodes) != 1 or len(found) != 1 or os.geteuid() != 0:
        pytest.skip("no kubelet of the only node is a process here that may be stopped")
    return found[0]


def serves(path: Path, nodes: list[str]) -> bool:
    """Whether a process is the kubelet of one of these nodes."""
    try:
        program, *words = path.read_text().split("\0")
    except OSError:
        return False  # gone by now
    names = {word.partition("=")[2] for word in words if word.startswith("--hostname-override=")}
    return program.endswith("/kubelet") and bool(names & set(nodes))
