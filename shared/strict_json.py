"""Own reading JSON that strangers wrote: exact, bounded, and every fault an `InvalidRequest`; pure."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from shared.errors import InvalidRequest

MAX_DEPTH = 64
_NESTING = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[{\]}]', re.DOTALL)
"Strings, whose brackets do not count, and brackets."


def loads(raw: bytes) -> Any:
    """Read UTF-8 JSON. Raises: InvalidRequest for NaN, duplicate keys, lone surrogates, NUL, or too deep nesting."""
    try:
        text = raw.decode("utf-8")
        _check_depth(text)
        value = _DECODER.decode(text)
    except InvalidRequest:
        raise
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The body is not UTF-8: byte {error.start} cannot be read.") from error
    except ValueError as error:
        raise InvalidRequest(f"The body is not JSON: {error}.") from error
    check(value)
    return value


def dumps(value: object) -> bytes:
    """Write compact UTF-8 JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")


def check(value: Any) -> None:
    """Refuse what cannot be stored or walked: nesting without end, NUL and lone surrogates. Raises: InvalidRequest."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise InvalidRequest(f"The body is nested more than {MAX_DEPTH} levels deep.")
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below += item.keys()
                below += item.values()
            elif isinstance(item, list):
                below += item
            elif isinstance(item, str):
                check_text(item)
        level = below


def _check_depth(text: str) -> None:
    """Refuse deep nesting before the parser recurses into it, which crashes where Python's limit was raised."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for found in _NESTING.finditer(text):
        mark = found.group()
        depth += mark in "[{" or -(mark in "]}")
        if depth > MAX_DEPTH:
            raise InvalidRequest(f"The body is nested more than {MAX_DEPTH} levels deep.")


def check_text(text: str) -> str:
    """Return the text if any database can keep it. Raises: InvalidRequest."""
    if "\0" in text:
        raise InvalidRequest("A text holds a NUL character.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidRequest("A text holds half a surrogate pair, which is no character.") from error
    return text


def _no_constant(name: str) -> NoReturn:
    raise InvalidRequest(f"The body holds {name}, which is not JSON.")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise InvalidRequest(f"The number {text[:32]} is too large.")
    return number


def _exact(text: str) -> int:
    if len(text) > 80:  # 256 bits take 78 digits
        raise InvalidRequest(f"The number {text[:32]}… is too large.")
    return int(text)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidRequest(f"The field {twice[:64]!r} is given twice.")
    return found


_DECODER = json.JSONDecoder(
    object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=_finite, parse_int=_exact
)
