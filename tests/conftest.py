"""Which tests run: everyday ones always, `full` with --full, `long` with --long; and what each needs."""

from __future__ import annotations

import pytest

from tests.needs import require

pytest_plugins = ["tests.services.postgres", "tests.services.moto_server", "tests.services.chains", "tests.databases"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the two options that ask for more than the everyday set."""
    group = parser.getgroup("c2d")
    group.addoption("--full", action="store_true", help="run the tests marked `full` too, as CI does")
    group.addoption("--long", action="store_true", help="run the tests marked `full` and `long` too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what was not asked for, and keep one module's Docker tests on one worker."""
    wanted = [item for item in items if is_wanted(item, config)]
    if len(wanted) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if not is_wanted(item, config)])
        items[:] = wanted
    for item in items:
        if "docker" in needed(item) and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(f"docker-{item.path.stem}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what tests that passed have to tell: `record_property("told", …)`."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "told":
                terminalreporter.write_line(f"{report.nodeid}: {value}")


def is_wanted(item: pytest.Item, config: pytest.Config) -> bool:
    """Whether the options ask for this test."""
    if item.get_closest_marker("long"):
        return bool(config.getoption("--long"))
    if item.get_closest_marker("full"):
        return bool(config.getoption("--full") or config.getoption("--long"))
    return True


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or fail where C2D_REQUIRE says so, a test whose services are missing."""
    require(*needed(item))


def needed(item: pytest.Item) -> list[str]:
    """All that the marks on the test, its class and its module name."""
    return [service for mark in item.iter_markers("needs") for service in mark.args]
