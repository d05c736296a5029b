"""The meter of a job's volume on a full machine: a node without room for it refuses it for good, so it is made anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.drivers import kubernetes_manifests as manifests
from engines.drivers.kubernetes_api import KubernetesApi
from engines.drivers.kubernetes_connect import connect
from engines.drivers.kubernetes_manifests import METER, thing_name
from engines.drivers.kubernetes_settings import Placement
from tests.contracts.driver_backends import kubernetes_backend, until
from tests.needs import busybox_image, needs
from tests.services import kubernetes

pytestmark = [needs("kube", "docker"), pytest.mark.full, pytest.mark.xdist_group("kubernetes")]
ALL_BUT_ALGORITHM = "995m"
"Of two cores the algorithm has one; a meter asks for a hundredth, and a two-hundredth is left."


def test_a_meter_that_was_refused_is_made_again_when_there_is_room(tmp_path: Path) -> None:
    api = connect({})
    with kubernetes.volumes(api), kubernetes_backend(tmp_path) as engine:
        namespace = engine.driver.settings.place({}).namespace  # type: ignore[attr-defined]
        pods = f"/api/v1/namespaces/{namespace}/pods"
        job = engine.job()
        engine.start(engine.spec(job, "head -c 5000000 /dev/zero >/data/file; echo filled; sleep 200"))
        engine.says(job, b"filled")
        api.create(pods, filler())
        until(lambda: phase(api, f"{pods}/filler") == "Running")
        meter = f"{pods}/{thing_name(job, METER)}"

        def is_refused() -> bool:
            assert engine.driver.measure_disk(job) is None
            return phase(api, meter) == "Failed"

        until(is_refused)
        api.delete(f"{pods}/filler", grace_s=0)
        assert until(lambda: (engine.driver.measure_disk(job) or 0) >= 5_000_000)


def filler() -> dict[str, object]:
    """A pod that takes what is left of the node."""
    asked = {"requests": {"cpu": ALL_BUT_ALGORITHM}}
    body = manifests.pod_body(Placement(), manifests.USER)
    body["containers"] = [manifests.small_container(busybox_image(), ["sleep", "600"], resources=asked)]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "filler"}, "spec": body}


def phase(api: KubernetesApi, path: str) -> str | None:
    """A pod's phase; null where there is none."""
    found = api.find(path)
    return None if found is None else str(found["status"].get("phase"))
