"""The words of the command: what is printed, which exit code, without a node."""

from __future__ import annotations

import json
import os
import socket
import stat
from pathlib import Path

import pytest

from infra.c2d.__main__ import WORDS, main
from infra.c2d.failures import UNREACHABLE, WRONG
from infra.c2d.history import Submission, Target, remember, resolve, submissions
from infra.c2d.keys import ensure_key

DESIGNED = {
    "up", "doctor", "migrate", "drain", "payments",
    "environments", "quote", "submit", "status", "logs", "results", "stop", "verify-receipt", "escrow",
}  # fmt: skip


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own."""
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    return tmp_path


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_words_are_those_of_the_design() -> None:
    assert set(WORDS) == DESIGNED


@pytest.mark.parametrize("word", sorted(DESIGNED))
def test_every_word_has_help_of_its_own(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([word, "--help"])
    assert end.value.code == 0
    assert f"usage: c2d {word}" in capsys.readouterr().out


def test_a_word_that_is_not_there_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sumbit"]) == WRONG
    assert "submit" in capsys.readouterr().err


def test_a_node_out_of_reach_is_said_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["environments", "--node", f"http://127.0.0.1:{closed_port()}"]) == UNREACHABLE
    said = capsys.readouterr().err
    assert "no node answers" in said and "c2d up" in said and "Traceback" not in said


def test_with_json_an_error_is_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["environments", "--json", "--node", f"http://127.0.0.1:{closed_port()}"])
    assert json.loads(capsys.readouterr().out)["exitCode"] == code == UNREACHABLE


def test_a_key_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "consumer.key"
    key, is_made = ensure_key(path)
    assert (ensure_key(path), is_made) == ((key, False), True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_that_others_can_read_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "open.key"
    path.write_text("11" * 32)
    os.chmod(path, 0o644)
    assert main(["status", "--all", "--key", str(path), "--node", "http://127.0.0.1:9"]) == WRONG
    assert "chmod 600" in capsys.readouterr().err


def test_ids_may_be_shortened_once_they_were_submitted_from_here() -> None:
    node, workflow, job, other = "http://node", "ab" * 32, "cd" * 32, "ce" * 32
    remember(Submission(node, workflow, (job, other), "w.json", 1))
    known = submissions(node)
    assert resolve(None, known) == resolve("ab", known) == Target(workflow_id=workflow)
    assert resolve("cd", known) == Target(job_id=job)
    assert resolve("0xhash-" + "99" * 32, known) == Target(job_id="99" * 32)
    assert submissions("http://elsewhere") == []


@pytest.mark.parametrize("given", ["c", "zz"])
def test_a_short_id_that_means_nothing_or_several_is_refused(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    node = "http://127.0.0.1:9"
    remember(Submission(node, "ab" * 32, ("cd" * 32, "ce" * 32), "w.json", 1))
    assert main(["status", given, "--node", node]) == WRONG
    assert given in capsys.readouterr().err
