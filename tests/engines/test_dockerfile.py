"""What is read from a Dockerfile before it is built, and what is refused."""

from __future__ import annotations

import io
import tarfile

import pytest

from engines.drivers.dockerfile import base_images, context_archive, instructions, refuse_fetching
from shared.errors import JobError


@pytest.mark.parametrize(
    ("dockerfile", "images"),
    [
        ("FROM python:3.11", ["python:3.11"]),
        ("# a comment\nfrom a AS one\nFROM b\nCOPY --from=one /x /x\nCOPY --chown=1 --from=0 /y /y", ["a", "b"]),
        ("FROM a AS one\nFROM One\nFROM scratch", ["a"]),
        ("ARG TAG=3.11\nARG NAME='python'\nFROM ${NAME}:$TAG", ["python:3.11"]),
        ("FROM --platform=linux/amd64 a\nCOPY --from=host:5000/b /x /x", ["a", "host:5000/b"]),
        ("FROM a\nRUN echo \\\n  # not a line\n\n  FROM b", ["a"]),
        ("FROM a\nRUN ADD http://x", ["a"]),
    ],
)
def test_the_images_a_build_starts_from_are_known(dockerfile: str, images: list[str]) -> None:
    assert base_images(dockerfile) == images


@pytest.mark.parametrize(
    "dockerfile",
    [
        "RUN true",
        "FROM $WHAT",
        "FROM ${A:-b}",
        "FROM a b c",
        "# escape=`\nFROM a",
        "FROM a\nADD http://10.0.0.1/x /x",
        'FROM a\nADD ["http://10.0.0.1/x", "/x"]',
        "FROM a\nADD \\\n  https://x /x",
        "FROM a\nENV U=http://x\nADD $U /x",
        "FROM a\nadd git@host:x /x",
        "FROM a\nONBUILD ADD http://x /x",
        "FROM a\nCOPY --from=$X /x /x",
    ],
)
def test_what_would_reach_into_the_inside_is_refused(dockerfile: str) -> None:
    with pytest.raises(JobError):
        base_images(dockerfile)


def test_a_base_image_cannot_make_the_engine_fetch() -> None:
    refuse_fetching(["ADD . /app", "RUN curl http://x"])
    with pytest.raises(JobError):
        refuse_fetching(["ONBUILD ONBUILD ADD http://169.254.169.254/ /x"])


def test_continued_lines_are_one_instruction() -> None:
    assert instructions("FROM a\nRUN x && \\\n   y\n") == [("FROM", "a"), ("RUN", "x && y")]


def test_the_context_holds_the_dockerfile_and_the_files_beside_it() -> None:
    data = context_archive("FROM a", {"src/main.py": "ü", "Dockerfile": "FROM evil"})
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        content = {name: archive.extractfile(name).read().decode() for name in archive.getnames()}  # type: ignore[union-attr]
    assert content == {"Dockerfile": "FROM a", "src/main.py": "ü"}


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "", ".", "a\nb", "a\\b"])
def test_no_file_lies_outside_the_context(path: str) -> None:
    with pytest.raises(JobError):
        context_archive("FROM a", {path: "x"})
