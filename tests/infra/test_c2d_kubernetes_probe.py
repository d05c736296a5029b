"""What the doctor's pods find out about a cluster's network, and in which words it is said."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from engines.drivers.kubernetes_connect import connect
from engines.drivers.kubernetes_probe import Reached
from infra.c2d.kubernetes_checks import kubernetes_checks
from infra.c2d.kubernetes_probe import walls, way_home
from shared.engine_config import EngineConfig
from shared.settings import NodeSettings
from tests.factories import NODE_KEY
from tests.needs import needs
from tests.services import kubernetes
from tests.services.kubernetes_account import least_rights

OPEN, SHUT, LATE = Reached(("a:1",), ("a:1",)), Reached((), ()), Reached(("a:1",), ())


@pytest.mark.parametrize(
    ("home", "wall", "has_gate", "state", "words"),
    [
        (OPEN, OPEN, False, "warn", "not enforced: a pod that may reach nothing reached a:1"),
        (SHUT, OPEN, False, "warn", "not enforced"),
        (SHUT, SHUT, False, "warn", "that proves little"),
        (OPEN, LATE, False, "warn", "enforced late"),
        (OPEN, LATE, True, "ok", "enforced:"),
        (OPEN, SHUT, False, "ok", "enforced:"),
    ],
)
def test_what_two_pods_found_is_judged(home: Reached, wall: Reached, has_gate: bool, state: str, words: str) -> None:
    check = walls("engine k", home, wall, has_gate)
    assert (check.state, check.found.startswith(words) or words in check.found) == (state, True)
    assert bool(check.to_do) == (state == "warn")


def test_a_way_home_that_is_shut_names_the_setting() -> None:
    check = way_home("engine k", SHUT, "http://a:1")
    assert check.state == "fail" and "http://a:1" in check.found and "C2D_POD_API_URL" in check.to_do
    assert way_home("engine k", OPEN, "http://a:1").state == "ok"


@needs("kube")
@pytest.mark.full
@pytest.mark.timeout(200)
@pytest.mark.xdist_group("kubernetes-contract")
def test_pods_try_it_on_a_real_cluster_and_are_gone_afterwards(tmp_path: Path) -> None:
    with (
        kubernetes.namespace() as namespace,
        least_rights(namespace, tmp_path) as account,
        socket.create_server((kubernetes.host(), 0)) as server,
    ):
        threading.Thread(target=accept_all, args=(server,), daemon=True).start()
        settings = NodeSettings.from_environment(
            {
                "C2D_DATA_DIR": str(tmp_path),
                "C2D_PRIVATE_KEY": NODE_KEY.hex(),
                "C2D_POD_API_URL": f"http://{kubernetes.host()}:{server.getsockname()[1]}",
            }
        )
        connection = {"kubeconfig": account, "namespace": namespace, "podImage": kubernetes.POD_IMAGE}
        checks = kubernetes_checks(EngineConfig("k", "kubernetes", connection), settings, is_probed=True)
        home, wall = checks[-2:]
        assert home.state == "ok" and "a pod reached http" in home.found
        assert wall.what.endswith("NetworkPolicies") and "enforced" in wall.found
        left = connect({}).items(f"/api/v1/namespaces/{namespace}/pods")
        assert all("deletionTimestamp" in each["metadata"] for each in left)


def accept_all(server: socket.socket) -> None:
    """Take whoever comes, until the server is closed."""
    while True:
        try:
            server.accept()[0].close()
        except OSError:
            return
