"""The pods' start is waited for by every job: what they import is watched."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"Crypto", "cffi", "urllib3", "requests", "peewee", "falcon", "boto3", "eth_account", "dataclasses", "logging"}


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [("pods.configuration", HEAVY | {"pods.archive"}), ("pods.publishing", HEAVY | {"shared.files", "pods.unpacking"})],
)
def test_a_pod_imports_nothing_it_does_not_need(module: str, unwanted: set[str]) -> None:
    code = f"import sys; before = set(sys.modules); import {module}; print(*(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not unwanted & set(loaded)
