"""The built wheel holds the product whole, and nothing of the tests."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("handlers", "shared", "engines", "pods", "infra")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


def test_every_file_of_the_product_is_in_the_wheel(wheel: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    written = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=False)
    ours = written.stdout.split() if written.returncode == 0 else [f"{package}/__init__.py" for package in PACKAGES]
    assert {path for path in ours if (ROOT / path).exists()} - packed == set()


def test_the_tests_are_not_in_the_wheel(wheel: Path) -> None:
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("tests/")]


def test_every_module_of_the_wheel_imports_far_from_the_project(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    names = sorted(
        ".".join(path.relative_to(tmp_path / "installed").with_suffix("").parts)
        for package in PACKAGES
        for path in (tmp_path / "installed" / package).rglob("[!_]*.py")
        if "examples" not in path.parts and "migrations" not in path.parts and path.stem.isidentifier()
    )
    code = f"import importlib, shared; [importlib.import_module(name) for name in {names}]; print(shared.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path / "installed"))
