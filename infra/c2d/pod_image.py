"""Own having the image of the two pods on an engine: found there, or built by infra/images/build."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engines.compose import POD_IMAGE
from infra.c2d.docker_here import has_image
from infra.c2d.failures import Failure

BUILD = Path(__file__).parent.parent / "images" / "build"
BUILD_LIMIT_S = 600


def ensure_pod_image(connection: Mapping[str, Any], notices: list[str]) -> None:
    """Have the image; one that the operator names is theirs to have. Raises: Failure, with the build's last words."""
    if connection.get("podImage") or has_image(connection, POD_IMAGE):
        return
    try:
        done = subprocess.run(
            [str(BUILD)], env=docker_environment(connection), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=BUILD_LIMIT_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failure(f"the pods' image {POD_IMAGE} cannot be built: {error}", f"try {BUILD} by hand") from error
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise Failure(
            f"the pods' image {POD_IMAGE} cannot be built: {words[-1] if words else f'exit code {done.returncode}'}",
            "C2D_PYTHON_IMAGE names the Python image it is built from (default python:3.11-slim)",
        )
    notices.append(f"built the pods' image {POD_IMAGE}")


def docker_environment(connection: Mapping[str, Any]) -> dict[str, str]:
    """Our environment, pointing the docker client at the engine."""
    host = connection.get("host") or (f"unix://{connection['socket']}" if connection.get("socket") else None)
    return {**os.environ, **({"DOCKER_HOST": str(host)} if host else {})}
