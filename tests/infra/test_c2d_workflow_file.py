"""What `c2d submit` makes of a file, and what it says of a wrong one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.c2d.failures import Failure
from infra.c2d.workflow_file import read_workflow

EXAMPLE = Path("infra/examples/penguins/workflow.json")


def job(index: int, **more: Any) -> dict[str, Any]:
    return {"index": index, "input": [], "algorithm": {"rawcode": "print(1)"}, **more}


def written(folder: Path, document: object, name: str = "workflow.json") -> str:
    path = folder / name
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(path)


def test_a_bare_list_of_jobs_becomes_a_body(tmp_path: Path) -> None:
    assert read_workflow(written(tmp_path, [job(0)]), {}) == {"workflow": [job(0)]}


def test_what_stands_beside_the_workflow_is_kept(tmp_path: Path) -> None:
    document = {"workflow": [job(0)], "metadata": {"name": "x"}, "additionalViewers": ["0x" + "1" * 40]}
    assert read_workflow(written(tmp_path, document), {}) == document


def test_yaml_reads_like_json(tmp_path: Path) -> None:
    text = "- index: 0\n  input: []\n  algorithm: {rawcode: print(1)}\n"
    assert read_workflow(written(tmp_path, text, "workflow.yaml"), {}) == {"workflow": [job(0)]}


def test_open_names_are_filled_in_and_the_containers_own_is_left(tmp_path: Path) -> None:
    algorithm = {"rawcode": "x", "container": {"entrypoint": "python ${ALGO} ${WORD}"}}
    body = read_workflow(written(tmp_path, [job(0, algorithm=algorithm)]), {"WORD": "hello"})
    assert body["workflow"][0]["algorithm"]["container"]["entrypoint"] == "python ${ALGO} hello"


@pytest.mark.parametrize("algorithm", [{"rawcodeFile": "code.py"}, {"rawcode": {"rawcodeFile": "code.py"}}])
def test_code_in_a_file_is_read_from_beside_the_workflow(tmp_path: Path, algorithm: dict[str, Any]) -> None:
    (tmp_path / "code.py").write_text("print('${NOT_OURS}')\n")
    body = read_workflow(written(tmp_path, [job(0, algorithm=algorithm)]), {})
    assert body["workflow"][0]["algorithm"] == {"rawcode": "print('${NOT_OURS}')\n"}


@pytest.mark.parametrize(
    ("sentence", "document", "said"),
    [
        ("not JSON", "{", "is not JSON"),
        ("no workflow", {"jobs": []}, "is no workflow"),
        ("nothing to do", [], "is no workflow"),
        ("a job that is no object", ["x"], "workflow[0]"),
        ("an index that is no number", [job(0) | {"index": "a"}], "workflow[0].index"),
        ("one index twice", [job(1), job(1)], "workflow[1].index"),
        ("a job that is not there", [job(0, runAfter=7)], "job 0 runs after job 7"),
        ("an input from a job that is not there", [job(0, input=[{"index": 0, "fromJob": 3}])], "after job 3"),
        ("a circle", [job(0, runAfter=[1]), job(1, runAfter=0)], "in a circle"),
        ("an open name", [job(0, metadata="${WHO}")], "leaves WHO open (at [0].metadata)"),
        ("code that is not there", [job(0, algorithm={"rawcodeFile": "no.py"})], "workflow[0].algorithm.rawcodeFile"),
    ],
)
def test_what_is_plainly_wrong_is_said_with_its_place(
    tmp_path: Path, sentence: str, document: object, said: str
) -> None:
    with pytest.raises(Failure) as failure:
        read_workflow(written(tmp_path, document), {})
    assert said in failure.value.sentence, sentence


def test_the_shipped_example_reads_whole() -> None:
    given = {"DATA_URL": "http://192.0.2.1:1", "IMAGE": "python", "TAG": "3.11-slim"}
    jobs = read_workflow(str(EXAMPLE), given)["workflow"]
    assert [entry["index"] for entry in jobs] == [0, 1, 2]
    assert all(entry["algorithm"]["rawcode"].endswith("main()\n") for entry in jobs)
    assert "${" not in json.dumps([entry["input"] for entry in jobs])
