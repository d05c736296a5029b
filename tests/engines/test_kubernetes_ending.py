"""Ending what a real cluster runs, or is about to run: an algorithm whose gate still waits has not begun."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from engines.drivers.base import PhaseSpec
from engines.drivers.kubernetes_connect import connect
from engines.drivers.kubernetes_driver import KubernetesDriver
from engines.drivers.kubernetes_seen import gate_state
from pods.gate import OPEN
from shared.names import Phase, container_name, new_job_id
from tests.flows.docker.harness import until
from tests.needs import busybox_image, needs
from tests.services import kubernetes
from tests.starting import start

pytestmark = [needs("kube", "docker"), pytest.mark.full, pytest.mark.xdist_group("kubernetes")]


def test_a_gate_that_waits_is_ended_with_its_pod(tmp_path: Path) -> None:
    api, job_id = connect({}), new_job_id()
    with kubernetes.namespace() as namespace, socket.create_server((kubernetes.host(), 0)) as never_shut:
        connection = {"namespace": namespace, "storageClass": kubernetes.CLASS, "podImage": kubernetes.POD_IMAGE}
        url = f"http://{kubernetes.host()}:{never_shut.getsockname()[1]}"
        driver = KubernetesDriver("gated", {**connection, "networkGate": True, "podApiUrl": url})
        driver.ensure_volume(job_id, 1 << 20)
        start(driver, PhaseSpec(job_id, "gated", Phase.RUN, busybox_image(), ("true",), {}))
        path = f"/api/v1/namespaces/{namespace}/pods/{container_name(job_id, Phase.RUN)}"
        until(lambda: "running" in gate_state(api.find(path) or {"status": {}}))
        driver.stop(job_id, Phase.RUN, 0)
        pod, seen = api.find(path), driver.observe(job_id).exited(Phase.RUN)
        assert pod is not None and pod["status"].get("reason") == "DeadlineExceeded", "the gate was not waited for"
        assert gate_state(pod).get("terminated", {}).get("exitCode") != OPEN
        assert seen is not None and not seen.was_killed and seen.exit_code is None and seen.start_error is None
        driver.remove(job_id)
        until(lambda: api.find(path) is None)
