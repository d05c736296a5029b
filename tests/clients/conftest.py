"""A node with real Docker, and the field's own client in both versions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.sdk import VERSIONS, Sdk, running_sdk
from tests.clients.station import Station
from tests.clients.targets import Uploads, serve_uploads
from tests.flows.docker.harness import Place, place
from tests.needs import require


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The module's node; inputs, outputs and registries may lie on this machine."""
    require("docker", "node")
    with place(tmp_path_factory.mktemp("clients"), C2D_FETCH_ALLOW="127.0.0.0/8,172.16.0.0/12") as running:
        yield running


@pytest.fixture(scope="module")
def uploads() -> Iterator[Uploads]:
    """A consumer's own server for results."""
    with serve_uploads() as taken:
        yield taken


@pytest.fixture(scope="module", params=[VERSIONS[0], pytest.param(VERSIONS[1], marks=pytest.mark.full)])
def sdk(request: pytest.FixtureRequest, node: Place) -> Iterator[Sdk]:
    """One version of the client, with a wallet."""
    with running_sdk(request.param, node.node.url) as running:
        yield running


@pytest.fixture(scope="module")
def station(sdk: Sdk, node: Place) -> Station:
    """The client at the node."""
    return Station(sdk, node)
