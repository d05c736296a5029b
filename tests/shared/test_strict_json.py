"""Reading strangers' JSON where a library has raised Python's recursion limit, as some do when they are imported."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from shared.errors import InvalidRequest
from shared.strict_json import MAX_DEPTH, loads


@pytest.fixture(autouse=True)
def raised_limit() -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.parametrize("raw", [b"[" * 10**6, b'{"a":' * 10**5, b"[{" * 10**5, b"[" * (MAX_DEPTH + 1)])
def test_nesting_is_refused_before_the_parser_recurses_into_it(raw: bytes) -> None:
    with pytest.raises(InvalidRequest, match="levels deep"):
        loads(raw)


def test_brackets_in_strings_do_not_count_and_what_is_closed_is_closed() -> None:
    assert loads(b'["' + b"[{" * 1000 + b'\\"[[["]') == ["[{" * 1000 + '"[[[']
    assert loads(b"[" + b",".join([b"[]"] * 1000) + b"]") == [[]] * 1000
    assert loads(b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1))


def test_a_string_that_never_ends_is_read_once() -> None:
    with pytest.raises(InvalidRequest):
        loads(b'"' + b"\\" * 10**6 + b"[" * 100)
