"""Own how a schema's fault is told: where it is, and what is wrong there; pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from jsonschema.exceptions import ValidationError

MOST_CHARACTERS = 200


def path_of(error: ValidationError) -> str:
    """Write where the fault is, as `workflow[1].algorithm.image`; a missing or unknown field is named itself."""
    steps: list[str | int] = list(error.absolute_path)
    if error.validator == "required":
        steps += [name for name in _names(error.validator_value) if name not in _names(error.instance)][:1]
    if error.validator in ("additionalProperties", "unevaluatedProperties"):
        steps += _unknown(error)[:1]
    return path_text(steps)


def path_text(steps: Iterable[str | int]) -> str:
    """Write a path in a body as `workflow[1].algorithm`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step[:64]}" for step in steps)
    return text.removeprefix(".")


def _unknown(error: ValidationError) -> list[str]:
    known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
    return [name for name in _names(error.instance) if name not in known]


def _names(value: Any) -> list[Any]:
    """Names of an object, or what is in a list."""
    return list(value)


def sentence(error: ValidationError) -> str:
    """Say what is wrong, without repeating a long value."""
    if error.validator == "required":
        return "this field is required"
    if error.validator in ("additionalProperties", "unevaluatedProperties"):
        return "this field is not known here"
    if error.validator == "anyOf":
        names = [name for each in _names(error.validator_value) for name in each["required"]]
        return f"Missing one of {json.dumps(names)}"
    hint = error.schema.get("description", "") if isinstance(error.schema, dict) else ""
    text = error.message if len(error.message) <= MOST_CHARACTERS else f"the value does not fit {error.validator!r}"
    return f"{text} ({hint})" if hint else text
