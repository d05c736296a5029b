"""Own having the image of the two pods on an engine: found there, or built by infra/images/build."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engines.compose import POD_IMAGE
from infra.c2d.docker_here import find_image
from infra.c2d.failures import Failure

BUILD = Path(__file__).parent.parent / "images" / "build"
BUILD_LIMIT_S = 600
NO_BASE = 3
"What the build ends with where no base image can be had."


def ensure_pod_image(connection: Mapping[str, Any], tell: Callable[[str], object]) -> str:
    """Build the image where it is not up to date; gives its name. Raises: Failure, with the build's last words.

    The one that the operator names is theirs to have, and that of an engine elsewhere too. Where the base image cannot
    be had, an earlier build will do, and `tell` is told.
    """
    named = connection.get("podImage")
    if named or "host" in connection or not BUILD.exists():
        return str(named or POD_IMAGE)
    try:
        done = subprocess.run(
            [str(BUILD)], env=docker_environment(connection), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=BUILD_LIMIT_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failure(f"the pods' image cannot be built: {error}", f"try {BUILD} by hand") from error
    words = (done.stderr if done.returncode else done.stdout).strip().splitlines()
    earlier = find_image(connection, POD_IMAGE.partition(":")[0]) if done.returncode == NO_BASE else None
    if earlier is not None:
        tell(f"the pods' image {earlier} is an earlier build: {words[-1]}")
        return earlier
    if done.returncode != 0 or not words:
        raise Failure(
            f"the pods' image cannot be built: {words[-1] if words else f'exit code {done.returncode}'}",
            "C2D_PYTHON_IMAGE names the Python image it is built from (default python:3.11-slim)",
        )
    return words[-1]


def docker_environment(connection: Mapping[str, Any]) -> dict[str, str]:
    """Our environment, pointing the docker client at the engine."""
    socket = connection.get("socket")
    return {**os.environ, **({"DOCKER_HOST": f"unix://{socket}"} if socket else {})}
