"""Own the fixtures of chains: `tester_chain` inside the process, `anvil` shared by a worker, `own_anvil` for one test.

Contracts are deployed once a worker; every test begins from there, by a snapshot. The classes themselves import the
chain's libraries, so they are loaded by the first test that asks.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.needs import require

if TYPE_CHECKING:
    from tests.services.anvil import AnvilChain
    from tests.services.local_chain import LocalChain
    from tests.services.tester_chain import TesterChain


@pytest.fixture(scope="session")
def worker_tester_chain() -> TesterChain:
    """The worker's one eth-tester chain."""
    require("chain")
    chain: TesterChain = importlib.import_module("tests.services.tester_chain").TesterChain()
    return chain


@pytest.fixture
def tester_chain(worker_tester_chain: TesterChain) -> Iterator[TesterChain]:
    """A chain in this process, as it was after the contracts were deployed. Nobody else can reach it."""
    snapshot = worker_tester_chain.snapshot()
    yield worker_tester_chain
    worker_tester_chain.revert(snapshot)


@pytest.fixture(scope="session")
def worker_anvil() -> Iterator[AnvilChain]:
    """The worker's one anvil."""
    with ExitStack() as stack:
        yield started(stack)


@pytest.fixture
def anvil(worker_anvil: AnvilChain) -> Iterator[AnvilChain]:
    """A node at `anvil.url`, as it was after the contracts were deployed."""
    snapshot = worker_anvil.snapshot()
    yield worker_anvil
    worker_anvil.revert(snapshot)


@pytest.fixture
def own_anvil() -> Iterator[Callable[[], AnvilChain]]:
    """Start nodes for one test alone, which may silence, stop and reorganise them."""
    with ExitStack() as stack:
        yield lambda: started(stack)


@pytest.fixture(params=["tester_chain", "anvil"])
def local_chain(request: pytest.FixtureRequest) -> LocalChain:
    """Either chain: the same test body for both."""
    found: LocalChain = request.getfixturevalue(request.param)
    return found


def started(stack: ExitStack) -> AnvilChain:
    """A running node, ended with the stack."""
    require("anvil")
    module: Any = importlib.import_module("tests.services.anvil")
    chain: AnvilChain = module.AnvilChain()
    stack.callback(chain.stop)
    stack.callback(chain.speak)
    return chain
