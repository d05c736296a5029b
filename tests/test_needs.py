"""A missing service is a plain skip, or a failure where C2D_REQUIRE names it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import needs

ROOT = Path(__file__).parent.parent


def ended_with(required: str) -> str:
    """Ask for Docker where none can answer; the last line of what a test would have ended with."""
    environment = {**os.environ, "DOCKER_HOST": "unix:///nowhere/docker.sock", "C2D_REQUIRE": required}
    command = [sys.executable, "-c", "from tests.needs import require; require('docker')"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    return done.stderr.splitlines()[-1]


def test_a_test_is_skipped_where_a_service_is_missing() -> None:
    assert "Skipped: needs docker: no Docker Engine answers" in ended_with(required="")


def test_a_test_fails_where_the_missing_service_is_required() -> None:
    assert "Failed: C2D_REQUIRE names docker, but no Docker Engine answers" in ended_with(required="postgres, docker")


def test_only_services_that_can_be_looked_for_may_be_needed() -> None:
    with pytest.raises(ValueError, match="needs\\(\\) knows docker"):
        needs("dokcer")
