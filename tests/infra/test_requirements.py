"""The committed requirement files: what infra/setup installs, hash by hash."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

LISTS = Path(__file__).parent.parent.parent / "infra" / "requirements"
SETS = sorted(path.stem for path in LISTS.glob("*.txt"))
PIN = re.compile(r"^([a-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def pins(name: str) -> set[tuple[str, str]]:
    return set(PIN.findall((LISTS / f"{name}.txt").read_text(encoding="utf-8")))


def test_there_is_one_list_for_each_way_to_install() -> None:
    assert SETS == ["all", "build", "demo", "dev", "node", "pods"]


@pytest.mark.parametrize("name", SETS)
def test_every_package_is_pinned_and_hashed_and_nothing_says_from_where(name: str) -> None:
    text = (LISTS / f"{name}.txt").read_text(encoding="utf-8")
    starts = [line for line in text.splitlines() if not line.startswith(" ")]
    assert starts and all(PIN.match(line) and line.endswith("\\") for line in starts)
    assert text.count("--hash=sha256:") >= len(starts)
    assert "://" not in text and "--index" not in text and "--find-links" not in text


@pytest.mark.parametrize(("smaller", "bigger"), [("pods", "node"), ("node", "demo"), ("demo", "all"), ("all", "dev")])
def test_a_bigger_set_contains_the_smaller_one_at_the_same_versions(smaller: str, bigger: str) -> None:
    assert pins(smaller) <= pins(bigger)


def test_building_needs_no_version_that_another_set_contradicts() -> None:
    named = dict(pins("dev"))
    assert {name: version for name, version in pins("build") if named.get(name, version) != version} == {}


def test_a_pod_installs_little() -> None:
    heavy = {"falcon", "peewee", "boto3", "requests", "docker", "web3", "jsonschema", "rich", "hatchling"}
    assert {name for name, _ in pins("pods")} & heavy == set()
