"""Own the JSON schemas: load the files beside this one, build each validator once, say what is wrong and where."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from shared.errors import InvalidRequest

MOST_CHARACTERS = 200


@functools.cache
def load_all() -> Mapping[str, dict[str, Any]]:
    """Give every schema by its name, which is its file's without `.json`."""
    found = (path for path in files(__package__).iterdir() if path.name.endswith(".json"))
    return {path.name.removesuffix(".json"): json.loads(path.read_text("utf-8")) for path in found}


@functools.cache
def validator(name: str) -> Draft202012Validator:
    """Give the validator of one schema, built once a process. Raises: KeyError."""
    load_all()[name]
    return Draft202012Validator({"$ref": f"{name}.json"}, registry=_registry())


def check(name: str, value: Any) -> None:
    """Check a value against a schema. Raises: InvalidRequest whose `path` names the field."""
    checker = validator(name)
    if checker.is_valid(value):
        return
    error = best_match(checker.iter_errors(value))
    if error is None:
        return
    path = _path_of(error)
    raise InvalidRequest(f"{path}: {_sentence(error)}" if path else _sentence(error), path=path)


def check_reply(name: str, value: Any) -> None:
    """Hold our own reply against its schema. Raises: RuntimeError, for it is a fault of ours."""
    try:
        check(name, value)
    except InvalidRequest as error:
        raise RuntimeError(f"the reply does not keep to {name}: {error.detail}") from error


def _path_of(error: ValidationError) -> str:
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


def _sentence(error: ValidationError) -> str:
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


@functools.cache
def _registry() -> Registry[Any]:
    resources = ((f"{name}.json", DRAFT202012.create_resource(schema)) for name, schema in load_all().items())
    return Registry().with_resources(resources)
