"""Two installs in one cluster, their engines of one name: what one of them sweeps is never the other's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from engines.compose import mark
from engines.drivers.base import Driver, PhaseSpec
from engines.drivers.kubernetes_api import KubernetesApi
from engines.drivers.kubernetes_connect import connect
from engines.drivers.kubernetes_volumes import kubernetes_driver
from engines.orphans import AGE_MS, remove_orphans
from shared.names import LABEL_ENGINE, LABEL_JOB, JobId, Phase, new_job_id
from tests.flows.docker.harness import until
from tests.flows.harness import Site, job
from tests.flows.kubernetes.harness import KINDS
from tests.needs import busybox_image, needs
from tests.services import kubernetes
from tests.services.kubernetes_account import least_rights
from tests.starting import start

pytestmark = [
    needs("kube", "docker"),
    pytest.mark.full,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("kubernetes"),
]
ONE, TWO = "0x" + "1a" * 20, "0x" + "2b" * 20
"Addresses of two nodes."
ONE_POD = {"volume": "emptyDir"}


@dataclass
class Install:
    """One node's engine, and what it made by kind of job."""

    mark: str
    driver: Driver
    jobs: dict[str, JobId] = field(default_factory=dict)

    def begin(self, name: str, placement: dict[str, Any], job_id: JobId | None = None) -> None:
        """Have a job's first pod run."""
        job_id = self.jobs[name] = job_id or new_job_id()
        told: dict[str, Any] = {"environment": {}, "secret_environment": {"privateKey": "0x1"}, "placement": placement}
        whole = [
            PhaseSpec(job_id, self.mark, phase, busybox_image(), ("sleep", "600"), cpu_cores=0.1, **told)
            for phase in (Phase.PROVISION, Phase.RUN, Phase.PUBLISH)
        ]
        self.driver.ensure_volume(job_id, 1 << 20, placement)
        start(self.driver, replace(whole[0], others=tuple(whole[1:])))


@dataclass
class Cluster:
    """Its namespaces, and the installs in them."""

    api: KubernetesApi
    near: str
    far: str
    account: str

    def install(self, address: str, *namespaces: str) -> Install:
        """An engine of the name that all have, in its own namespace and those of its environments."""
        home, *others = namespaces
        connection = {
            "namespace": home,
            "namespaces": others,
            "storageClass": kubernetes.CLASS,
            "volumes": ["emptyDir"],
        }
        connection |= {"kubeconfig": self.account, "podImage": kubernetes.POD_IMAGE}
        marked = mark("local", address)
        return Install(marked, kubernetes_driver(marked, connection))

    def left_of(self, install: Install) -> set[str]:
        """The jobs of which there is anything."""
        return {
            each["metadata"]["annotations"][LABEL_JOB]
            for namespace in (self.near, self.far)
            for kind in KINDS
            for each in self.api.items(f"/api/v1/namespaces/{namespace}/{kind}", labels={LABEL_ENGINE: install.mark})
        }


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with (
        kubernetes.namespace() as near,
        kubernetes.namespace() as far,
        least_rights(near, tmp_path, far) as account,
    ):
        yield Cluster(connect({}), near, far, account)


@pytest.fixture
def site(quick_database: str, tmp_path: Path) -> Site:
    return Site(tmp_path)


def swept(site: Site, install: Install) -> set[JobId]:
    """Sweep as a pass of the install does, when all that is there has come of age."""
    later_ms = time.time_ns() // 1_000_000 + 2 * AGE_MS
    return set(remove_orphans(replace(site.contexts["local"], driver=install.driver, now_ms=lambda: later_ms)))


def test_a_sweep_takes_what_is_its_own_in_every_namespace_and_nothing_else(cluster: Cluster, site: Site) -> None:
    one, two = (cluster.install(address, cluster.near, cluster.far) for address in (ONE, TWO))
    for each in (one, two):
        each.begin("near", {})
        each.begin("far", {"namespace": cluster.far})
        each.begin("far in one pod", {"namespace": cluster.far, **ONE_POD})
    [known] = site.submit(job(0))
    one.begin("of a job that has not ended", {"namespace": cluster.far}, known)
    lost = {one.jobs[name] for name in ("near", "far", "far in one pod")}
    assert swept(site, one) == lost
    until(lambda: cluster.left_of(one) == {known}, lambda: cluster.left_of(one))
    assert cluster.left_of(two) == set(two.jobs.values())
    for job_id in two.jobs.values():
        seen = two.driver.observe(job_id)
        assert seen.has_volume and Phase.PROVISION in seen.containers
    assert swept(site, two) == set(two.jobs.values())


def test_one_node_in_two_namespaces_sweeps_where_it_is_alone(cluster: Cluster, site: Site) -> None:
    """A copy of an install with the key of the first, and a database of its own."""
    first, copy = cluster.install(ONE, cluster.near), cluster.install(ONE, cluster.far)
    for each in (first, copy):
        each.begin("claim", {})
        each.begin("one pod", ONE_POD)
    assert swept(site, copy) == set(copy.jobs.values())
    until(lambda: cluster.left_of(first) == set(first.jobs.values()), lambda: cluster.left_of(first))
