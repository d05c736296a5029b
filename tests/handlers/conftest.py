"""What handler tests share: a node on a fresh database, asked through the framework's own test client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.services import Services
from tests import factories
from tests.handlers.api import Api


@pytest.fixture
def services(database: str, tmp_path: Path) -> Services:
    """Services on each of the two databases."""
    return factories.services(tmp_path / "data", database)


@pytest.fixture
def api(services: Services) -> Iterator[Api]:
    """All commands in one app, with one environment on offer."""
    factories.put_environment()
    yield Api(services)


@pytest.fixture
def quick(quick_database: str, tmp_path: Path) -> Iterator[Api]:
    """The same on SQLite alone, for what is asked very often."""
    factories.put_environment()
    yield Api(factories.services(tmp_path / "data", quick_database))
