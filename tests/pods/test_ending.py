"""A pod that is told to end does so at once, also as the first process of its container, and can be started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

from pods import configuration, publishing
from pods.ending import TOLD_TO_END
from tests.file_server import Served, serve_files
from tests.flows.docker.harness import until
from tests.pods.node_server import Node, serve_node
from tests.pods.test_configuration import document, tree, url

CONTENT = bytes(range(256)) * 4000


@contextmanager
def started(module: str, *words: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", f"pods.{module}", *words]
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def told_to_end(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(60)


def test_a_gate_that_waits_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        where = f"http://127.0.0.1:{server.getsockname()[1]}"
        with started("gate", "600", where) as process:
            server.accept()[0].close()
            assert told_to_end(process) == TOLD_TO_END


def test_a_configuration_pod_ends_in_mid_download_and_its_next_try_brings_all(tmp_path: Path) -> None:
    served = Served({"/a.bin": CONTENT}, drip=Event())
    with serve_files(served) as base:
        node = Node(document(inputs=[{"index": 0, "did": None, "files": [url(f"{base}/a.bin")]}]))
        with serve_node(node) as environment, started("configuration", **environment, C2D_DATA=str(tmp_path)) as pod:
            until(lambda: served.requests)
            assert told_to_end(pod) == TOLD_TO_END
        assert not node.finals()
        served.drip = None
        with serve_node(node) as environment:
            assert configuration.main({**environment, "C2D_DATA": str(tmp_path)}) == 0
    assert tree(tmp_path)["inputs/a.bin"] == CONTENT
    assert [each["state"] for each in node.finals()] == ["done"]


def test_a_publishing_pod_ends_while_its_node_is_busy_and_its_next_try_publishes_once(tmp_path: Path) -> None:
    for folder in ("outputs", "logs"):
        (tmp_path / folder).mkdir()
    (tmp_path / "outputs" / "a.bin").write_bytes(CONTENT)
    node = Node(answers={"c2dJobPublishResult": [(503, {"Retry-After": "60"})]})
    with serve_node(node) as environment, started("publishing", **environment, C2D_DATA=str(tmp_path)) as pod:
        assert pod.stdout is not None
        assert any(b"trying again" in line for line in iter(pod.stdout.readline, b""))
        assert told_to_end(pod) == TOLD_TO_END
    assert not node.published and not node.finals()
    with serve_node(node) as environment:
        assert publishing.main({**environment, "C2D_DATA": str(tmp_path)}) == 0
    assert node.published == [("a.bin", CONTENT)]
    assert [each["state"] for each in node.finals()] == ["done"]


@pytest.mark.parametrize("module", ["gate", "configuration", "publishing"])
def test_who_only_imports_a_pod_hears_the_signal_as_before(module: str) -> None:
    code = f"import signal, pods.{module}; print(signal.getsignal(signal.SIGTERM).name)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "SIG_DFL"
