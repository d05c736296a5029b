"""The configuration pod, run as it runs in its container, against a real node and a real file server."""

# ruff: noqa: E501

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pods import configuration
from pods.archive import pack
from pods.inventory import MOST_LISTED, inventory
from pods.work import Text, Work
from tests.file_server import Served, serve_files
from tests.pods.node_server import Node, serve_node

DID = "did:op:" + "1a" * 32
EARLIER = "cd" * 32


def document(**fields: Any) -> dict[str, Any]:
    return {
        "jobId": "ab" * 32, "workflowId": "ef" * 32, "index": 0, "door": "workflow", "layout": "did",
        "fetchAllow": ["127.0.0.0/8"], "maxBytes": 1 << 30, "inputs": [], "customData": None, "ddos": {},
        "algorithm": {"did": None, "rawcode": "print(1)", "files": [], "checksum": None}, **fields,
    }  # fmt: skip


def url(address: str, **fields: Any) -> dict[str, Any]:
    return {"type": "url", "url": address, "method": "get", **fields}


def run(node: Node, data: Path) -> int:
    with serve_node(node) as environment:
        return configuration.main({**environment, "C2D_DATA": str(data)})


def tree(data: Path) -> dict[str, bytes]:
    return {str(path.relative_to(data)): path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file()}


def only_failure(node: Node) -> dict[str, Any]:
    (final,) = node.finals()
    assert final["state"] == "failed"
    return final


def test_everything_lies_where_published_algorithms_look_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {f"/{name}": name.encode() for name in ("a.csv", "b.csv", "c.csv", "algo.py", "lib.py")}
    with serve_files(Served(files)) as base:
        node = Node(document(
            inputs=[
                {"index": 0, "did": DID, "files": [url(f"{base}/a.csv"), url(f"{base}/b.csv?token=hush")]},
                {"index": 1, "did": None, "files": [url(f"{base}/c.csv"), url(f"{base}/c.csv")]},
                {"index": 2, "did": DID, "files": [url(f"{base}/c.csv")]},
            ],
            algorithm={"did": None, "rawcode": None, "files": [url(f"{base}/algo.py"), url(f"{base}/lib.py")], "checksum": None},
            customData={"n": 1}, ddos={DID: {"id": DID}},
        ))  # fmt: skip
        assert run(node, tmp_path) == 0
    assert tree(tmp_path) == {
        ".door": b"workflow",
        "inputs/algoCustomData.json": b'{"n": 1}',
        f"inputs/{'1a' * 32}/0": b"a.csv",
        f"inputs/{'1a' * 32}/1": b"b.csv",
        f"inputs/{'1a' * 32}/2": b"c.csv",
        "inputs/c.csv": b"c.csv",
        "inputs/c-1.csv": b"c.csv",
        f"ddos/{'1a' * 32}": json.dumps({"id": DID}).encode(),
        "transformations/algorithm": b"algo.py",
        "transformations/1": b"lib.py",
    }
    modes = {
        path: stat.S_IMODE((tmp_path / path).stat().st_mode)
        for path in (
            "inputs",
            f"inputs/{'1a' * 32}",
            "outputs",
            "logs",
            "ddos",
            "transformations/algorithm",
            "inputs/c.csv",
        )
    }
    assert list(modes.values()) == [0o777, 0o777, 0o777, 0o777, 0o755, 0o755, 0o644]
    assert node.finals()[0]["state"] == "done"
    assert node.finals()[0]["bytesDone"] == 5 + 5 + 5 + 5 + 5 + 7 + 6
    listed = {entry["path"]: entry for entry in node.finals()[0]["detail"]["files"]}
    assert set(listed) == {path for path in tree(tmp_path) if path.startswith(("inputs/", "transformations/"))}
    assert all(hashlib.sha256((tmp_path / path).read_bytes()).hexdigest() == listed[path]["sha256"] for path in listed)
    assert all((tmp_path / path).stat().st_size == listed[path]["size"] for path in listed)
    printed = capsys.readouterr().out
    assert "input 0, file 1" in printed
    assert "hush" not in printed
    assert "127.0.0.1" not in printed


def test_raw_code_needs_no_download_and_custom_data_is_always_there(tmp_path: Path) -> None:
    node = Node(document(door="command"))
    assert run(node, tmp_path) == 0
    assert tree(tmp_path) == {
        ".door": b"command",
        "inputs/algoCustomData.json": b"{}",
        "transformations/algorithm": b"print(1)",
    }
    assert (tmp_path / "transformations" / "algorithm").stat().st_mode & 0o111


def test_flat_puts_every_file_by_its_name(tmp_path: Path) -> None:
    with serve_files(Served({"/algoCustomData.json": b"x", "/..%2f.hidden": b"y", "/": b"z"})) as base:
        inputs = [
            {
                "index": 7,
                "did": DID,
                "files": [url(f"{base}/algoCustomData.json"), url(f"{base}/..%2f.hidden"), url(f"{base}/")],
            }
        ]
        node = Node(document(layout="flat", inputs=inputs))
        assert run(node, tmp_path) == 0
    files = tree(tmp_path)
    assert files["inputs/algoCustomData.json"] == b"{}"
    assert (files["inputs/algoCustomData-1.json"], files["inputs/hidden"], files["inputs/7"]) == (b"x", b"y", b"z")


@pytest.mark.parametrize("kind", ["zip", "tar", "file"])
def test_an_earlier_jobs_outputs_are_unpacked_from_a_stream_that_breaks(kind: str, tmp_path: Path) -> None:
    outputs = tmp_path / "before" / "outputs"
    (outputs / "deep").mkdir(parents=True)
    expected = {"model.bin": os.urandom(2_000_000)}
    if kind != "file":
        expected["deep/x"] = b"x"
        (outputs / "deep" / "x").write_bytes(b"x")
    else:
        (outputs / "deep").rmdir()
    (outputs / "model.bin").write_bytes(expected["model.bin"])
    packing = pack(str(outputs), "none", "command" if kind == "tar" else "workflow")
    data = b"".join(packing.chunks())
    result = {
        "filename": packing.filename, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(),
        "archive": "none" if kind == "file" else kind,
    }  # fmt: skip
    node = Node(
        document(inputs=[{"index": 3, "fromJob": EARLIER, "result": result}]), {3: data}, break_after=[700_000, 0, 9]
    )
    assert run(node, tmp_path / "data") == 0
    assert node.finals()[0]["state"] == "done"
    assert tree(tmp_path / "data" / "inputs" / EARLIER) == expected
    node.earlier[3] = data[:-1] + b"!"
    assert run(node, tmp_path / "again") == 0
    assert node.finals()[1]["code"] == "data_failed"


def test_an_earlier_job_without_outputs_leaves_an_empty_folder(tmp_path: Path) -> None:
    assert run(Node(document(inputs=[{"index": 0, "fromJob": EARLIER, "result": None}])), tmp_path) == 0
    assert (tmp_path / "inputs" / EARLIER).is_dir()


@pytest.mark.parametrize(
    ("sentence", "files", "fields", "reason"),
    [
        ("missing", ["/no"], {}, "input 0, file 0: the server answered 404"),
        ("wrong checksum", [("/a", {"checksum": "00" * 32})], {}, "input 0, file 0: the content does not match its checksum"),
        ("too large", ["/a", "/a"], {"maxBytes": 150}, "larger than the 150 bytes allowed"),
        ("private address", ["/a"], {"fetchAllow": []}, "input 0, file 0: the address is not public"),
        ("unknown type", [{"type": "ipfs", "hash": "Qm"}], {}, "ipfs: not available on this node"),
    ],
)  # fmt: skip
def test_an_input_that_cannot_be_had_fails_the_data(
    sentence: str, files: list[Any], fields: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    with serve_files(Served({"/a": b"a" * 100})) as base:
        objects = [
            file if isinstance(file, dict) else url(f"{base}{file}") if isinstance(file, str) else url(f"{base}{file[0]}", **file[1])
            for file in files
        ]  # fmt: skip
        node = Node(document(inputs=[{"index": 0, "did": None, "files": objects}], **fields))
        assert run(node, tmp_path) == 0
    final = only_failure(node)
    assert final["code"] == "data_failed"
    assert reason in final["reason"]
    assert "127.0.0.1" not in final["reason"]


@pytest.mark.parametrize(("checksum", "state"), [("", "done"), ("right", "done"), ("00" * 64, "failed")])
def test_the_algorithms_files_are_checked_together(checksum: str, state: str, tmp_path: Path) -> None:
    right = hashlib.sha256(b"x").hexdigest() + hashlib.sha256(b"y").hexdigest()
    with serve_files(Served({"/x": b"x", "/y": b"y"})) as base:
        algorithm = {"did": None, "rawcode": "", "files": [url(f"{base}/x"), url(f"{base}/y")]}
        node = Node(document(algorithm={**algorithm, "checksum": right if checksum == "right" else checksum}))
        assert run(node, tmp_path) == 0
    assert node.finals()[0]["state"] == state
    assert node.finals()[0]["code"] == ("algorithm_failed" if state == "failed" else None)


def test_an_algorithm_that_cannot_be_had_fails_as_the_algorithm(tmp_path: Path) -> None:
    with serve_files(Served()) as base:
        node = Node(document(algorithm={"did": None, "rawcode": None, "files": [url(f"{base}/no")], "checksum": None}))
        assert run(node, tmp_path) == 0
    assert only_failure(node)["code"] == "algorithm_failed"


def test_a_full_disk_is_said_so(tmp_path: Path) -> None:
    data = tmp_path / "small"
    data.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", data], check=False).returncode
    ):
        pytest.skip("mounting a small volume needs root")
    try:
        with serve_files(Served({"/f": bytes(1_000_000)})) as base:
            node = Node(document(inputs=[{"index": 0, "did": None, "files": [url(f"{base}/f")]}]))
            assert run(node, data) == 0
    finally:
        subprocess.run(["umount", data], check=True)
    assert only_failure(node)["reason"] == "input 0, file 0: the job's disk is full; ask for more disc"


def test_a_second_start_over_a_first_ones_leftovers_gives_the_same(tmp_path: Path) -> None:
    with serve_files(Served({"/a": b"a" * 100})) as base:
        node = Node(document(inputs=[{"index": 0, "did": DID, "files": [url(f"{base}/a")]}]))
        assert run(node, tmp_path) == 0
        before = tree(tmp_path)
        (tmp_path / "inputs" / ("1a" * 32) / "0").write_bytes(b"half" * 1000)
        assert run(node, tmp_path) == 0
    assert tree(tmp_path) == before


def test_a_node_that_is_busy_is_asked_again_with_a_new_signature(tmp_path: Path) -> None:
    node = Node(
        document(),
        answers={"c2dJobProvision": [(503, {"Retry-After": "0"}), (500, {})], "c2dJobStatusUpdate": [(429, {})]},
    )
    assert run(node, tmp_path) == 0
    assert len(node.nonces) == len(set(node.nonces)) == 2
    assert node.finals()[0]["state"] == "done"


@pytest.mark.parametrize("command", ["c2dJobProvision", "c2dJobStatusUpdate"])
def test_an_answer_that_breaks_off_is_asked_for_again(command: str, tmp_path: Path) -> None:
    node = Node(document(), breaks_off={command: 2})
    assert run(node, tmp_path) == 0
    assert {report["state"] for report in node.finals()} == {"done"}


@pytest.mark.parametrize("command", ["c2dJobProvision", "c2dJobStatusUpdate"])
def test_a_refusal_is_final_and_the_exit_code_says_so(command: str, tmp_path: Path) -> None:
    node = Node(document(), answers={command: [(409, {})]})
    assert run(node, tmp_path) == 1
    assert node.finals() == []


def test_another_jobs_key_gets_nothing(tmp_path: Path) -> None:
    node = Node(document(), address="0x" + "00" * 20)
    assert run(node, tmp_path) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("missing", ["nodeHttpApi", "privateKey", "jobId", "nodeAddress"])
def test_a_pod_started_without_what_it_needs_says_what(missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    environment = dict.fromkeys(("nodeHttpApi", "privateKey", "jobId", "nodeAddress"), "00")
    del environment[missing]
    assert configuration.main(environment) == 1
    assert missing in capsys.readouterr().out


def test_it_runs_as_a_module(tmp_path: Path) -> None:
    with serve_node(Node(document())) as environment:
        done = subprocess.run(
            [sys.executable, "-m", "pods.configuration"],
            env={**os.environ, **environment, "C2D_DATA": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].endswith("ready")


def test_a_folder_of_very_many_files_is_told_as_one() -> None:
    texts = tuple(Text(f"inputs/{number:03}", "x") for number in range(MOST_LISTED + 1))
    found = inventory(Work((), (), (*texts, Text("transformations/algorithm", "y")), (), None), {}, "/nowhere")
    assert [entry["path"] for entry in found] == ["inputs/", "transformations/algorithm"]
    assert (found[0]["size"], found[0]["count"]) == (MOST_LISTED + 1, MOST_LISTED + 1)
