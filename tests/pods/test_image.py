"""The pods' image on a real engine: built, small in rights, and both pods do their work in it."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pods.ending import TOLD_TO_END
from tests.needs import needs, python_image
from tests.pods.node_server import Node, serve_node
from tests.pods.test_configuration import document

pytestmark = needs("docker")
BUILD = Path(__file__).parents[2] / "infra" / "images" / "build"
RIGHTS = (
    "--cap-drop ALL --cap-add CHOWN --cap-add DAC_OVERRIDE --cap-add FOWNER --security-opt no-new-privileges --user 0:0"
)


@pytest.fixture(scope="module")
def image() -> str:
    done = subprocess.run(
        [BUILD], env={**os.environ, "C2D_PYTHON_IMAGE": python_image()}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def volume() -> Iterator[str]:
    name = subprocess.run(["docker", "volume", "create"], capture_output=True, text=True, check=True).stdout.strip()
    yield name
    subprocess.run(["docker", "volume", "rm", "-f", name], capture_output=True, check=True)


def run(image: str, volume: str, command: list[str], options: str, environment: dict[str, str]) -> str:
    variables = [part for name, value in environment.items() for part in ("-e", f"{name}={value}")]
    call = ["docker", "run", "--rm", "-v", f"{volume}:/data", *options.split(), *variables, image, *command]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_second_build_has_nothing_to_do(image: str) -> None:
    done = subprocess.run(
        [BUILD], env={**os.environ, "C2D_PYTHON_IMAGE": python_image()}, capture_output=True, text=True
    )
    assert done.stdout.strip() == image
    assert "up to date" in done.stderr


def test_no_base_image_is_said_plainly() -> None:
    environment = {**os.environ, "C2D_PYTHON_IMAGE": "localhost:1/no/such:image"}
    done = subprocess.run([BUILD], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "C2D_PYTHON_IMAGE" in done.stderr


def test_both_pods_serve_an_algorithm_between_them(image: str, volume: str) -> None:
    code = "import os\nos.umask(0o077)\nopen('/data/outputs/result.txt', 'w').write(str(os.getuid()))\n"
    node = Node(document(algorithm={"did": None, "rawcode": code, "files": [], "checksum": None}))
    with serve_node(node) as environment:
        host = f"{RIGHTS} --network host"
        assert "ready" in run(image, volume, ["python", "-m", "pods.configuration"], host, environment)
        algorithm = ["python", "/data/transformations/algorithm"]
        run(image, volume, algorithm, "--user 1000:1000 --cap-drop ALL --network none", {})
        assert "published" in run(image, volume, ["python", "-m", "pods.publishing"], host, environment)
    assert node.published == [("result.txt", b"1000")]
    assert [report["state"] for report in node.finals()] == ["done", "done"]


def test_told_to_end_as_the_first_process_it_ends_by_itself(image: str, volume: str) -> None:
    name = f"c2d-test-{secrets.token_hex(4)}"
    node = Node(answers={"c2dJobProvision": [(503, {"Retry-After": "250"})]})
    with serve_node(node) as environment:
        variables = [part for key, value in environment.items() for part in ("-e", f"{key}={value}")]
        options = ["--network", "host", "--name", name, "-v", f"{volume}:/data", *variables]
        command = ["docker", "run", "--rm", *options, image, "python", "-m", "pods.configuration"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and b"trying again" in process.stdout.readline()
            subprocess.run(["docker", "kill", "--signal", "TERM", name], check=True, capture_output=True)
            assert process.wait(60) == TOLD_TO_END
