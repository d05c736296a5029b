"""What importing a part of the product may cost, and that the parts form no circle. Who may import whom at all is the
import contracts' business, in pyproject.toml."""

from __future__ import annotations

import graphlib
import json
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("handlers", "shared", "engines", "pods", "infra")

NEVER_AT_A_HANDLER = {
    "web3",
    "eth_account",
    "boto3",
    "botocore",
    "docker",
    "kubernetes",
    "rich",
    "requests",
    "moto",
    "psycopg",
    "psycopg2",
}
NEVER_IN_A_POD = {*NEVER_AT_A_HANDLER, "peewee", "playhouse", "sqlite3", "falcon", "jsonschema"}


def modules_of(package: str) -> list[str]:
    """The modules right inside a package, itself included, by their dotted names."""
    return [package, *(f"{package}.{path.stem}" for path in sorted((ROOT / package).glob("[!_]*.py")))]


@pytest.mark.parametrize("module", modules_of("handlers"))
def test_a_handler_starts_without_the_heavy_libraries(module: str) -> None:
    assert loaded_by(module) & NEVER_AT_A_HANDLER == set()


@pytest.mark.parametrize("module", modules_of("pods"))
def test_a_pod_starts_with_nothing_but_what_its_image_holds(module: str) -> None:
    assert loaded_by(module) & NEVER_IN_A_POD == set()


@pytest.mark.parametrize("module", [name for name in modules_of("shared") if name != "shared.escrow"])
def test_a_shared_module_loads_a_heavy_library_only_when_the_settings_ask(module: str) -> None:
    assert loaded_by(module) & NEVER_AT_A_HANDLER == set()


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        pytest.fail("a circle of imports: " + " <- ".join(error.args[1]), pytrace=False)


def loaded_by(module: str) -> set[str]:
    """The top-level names in sys.modules after a fresh interpreter imported the module."""
    code = f"import json, sys; import {module}; print(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))
