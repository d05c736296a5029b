"""The publishing pod against a real node: what arrives, what is told, and what happens when it is refused."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from pods import publishing
from tests.pods.node_server import Node, serve_node


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for folder in ("outputs", "logs"):
        (tmp_path / folder).mkdir()
    return tmp_path


def run(node: Node, data: Path) -> int:
    with serve_node(node) as environment:
        return publishing.main({**environment, "C2D_DATA": str(data)})


def test_one_file_arrives_under_its_own_name(data: Path) -> None:
    content = os.urandom(1_000_000)
    (data / "outputs" / "rés ult&.bin").write_bytes(content)
    node = Node()
    assert run(node, data) == 0
    assert node.published == [("rés ult&.bin", content)]
    (final,) = node.finals()
    assert (final["phase"], final["state"], final["bytesDone"], final["bytesTotal"]) == (
        "publish",
        "done",
        10**6,
        10**6,
    )
    assert final["detail"]["archive"] == "none"


@pytest.mark.parametrize(("door", "filename"), [("workflow", "outputs.zip"), ("command", "outputs.tar")])
def test_the_door_decides_the_archive(door: str, filename: str, data: Path) -> None:
    (data / ".door").write_text(door)
    for at in range(300):
        (data / "outputs" / str(at)).write_bytes(b"x" * at)
    node = Node()
    assert run(node, data) == 0
    ((name, body),) = node.published
    assert name == filename
    assert node.finals()[0]["detail"]["archive"] == filename[-3:]
    if filename.endswith("zip"):
        assert len(zipfile.ZipFile(io.BytesIO(body)).namelist()) == 300


def test_no_outputs_are_reported_and_nothing_is_sent(data: Path) -> None:
    node = Node()
    assert run(node, data) == 0
    assert node.published == []
    assert node.finals()[0]["detail"]["archive"] == "none"


def test_what_was_left_out_is_printed(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(data / "outputs" / "pipe\n")
    assert run(Node(), data) == 0
    assert "pipe?: neither a file nor a folder, left out" in capsys.readouterr().out


def test_a_busy_node_is_tried_again_from_the_start(data: Path) -> None:
    content = os.urandom(3_000_000)
    (data / "outputs" / "f").write_bytes(content)
    node = Node(answers={"c2dJobPublishResult": [(503, {"Retry-After": "0"}), (500, {})]})
    assert run(node, data) == 0
    assert node.published == [("f", content)]
    assert node.finals()[0]["bytesDone"] == len(content)


@pytest.mark.parametrize("command", ["c2dJobPublishResult", "c2dJobStatusUpdate"])
def test_a_stranger_at_the_nodes_address_is_not_taken_for_the_node(data: Path, command: str) -> None:
    """An ended process's address may be another's for a while; what it says is not about the job."""
    (data / "outputs" / "f").write_bytes(b"kept")
    node = Node(answers={command: [(404, {}), (405, {}), (421, {})]})
    assert run(node, data) == 0
    assert node.published == [("f", b"kept")] and node.finals()[0]["state"] == "done"


def test_a_refused_upload_is_reported_as_failed(data: Path) -> None:
    (data / "outputs" / "f").write_bytes(os.urandom(5_000_000))
    node = Node(answers={"c2dJobPublishResult": [(413, {})]})
    assert run(node, data) == 0
    (final,) = node.finals()
    assert (final["state"], final["code"]) == ("failed", "upload_failed")
    assert "413: not now" in final["reason"]


def test_a_report_that_is_refused_is_an_exit_code(data: Path) -> None:
    assert run(Node(answers={"c2dJobStatusUpdate": [(409, {})]}), data) == 1
