"""Own the JSON schemas: load the files beside this one, build each validator once, say what is wrong and where."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from shared.errors import InvalidRequest
from shared.schemas.faults import path_of, sentence


@functools.cache
def load_all() -> Mapping[str, dict[str, Any]]:
    """Give every schema by its name, which is its file's without `.json`."""
    found = (path for path in files(__package__).iterdir() if path.name.endswith(".json"))
    return {path.name.removesuffix(".json"): json.loads(path.read_text("utf-8")) for path in found}


@functools.cache
def validator(name: str) -> Draft202012Validator:
    """Give the validator of one schema, built once a process. Raises: KeyError."""
    return Draft202012Validator(_inlined(load_all()[name]), registry=_registry())


def check(name: str, value: Any) -> None:
    """Check a value against a schema. Raises: InvalidRequest whose `path` names the field."""
    checker = validator(name)
    if checker.is_valid(value):
        return
    error = best_match(checker.iter_errors(value))
    if error is None:
        return
    path = path_of(error)
    raise InvalidRequest(f"{path}: {sentence(error)}" if path else sentence(error), path=path)


def check_reply(name: str, value: Any) -> None:
    """Hold our own reply against its schema. Raises: RuntimeError, for it is a fault of ours."""
    try:
        check(name, value)
    except InvalidRequest as error:
        raise RuntimeError(f"the reply does not keep to {name}: {error.detail}") from error


def _inlined(schema: Any) -> Any:
    """Put what is only a reference in its place: to follow one costs as much as to check a field."""
    if isinstance(schema, list):
        return [_inlined(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    referred = load_all().get(str(schema.get("$ref", "")).removesuffix(".json"))
    if referred is not None and schema.keys() <= {"$ref", "description"} and "$defs" not in referred:
        return {**_inlined(referred), **{key: value for key, value in schema.items() if key != "$ref"}}
    return {key: _inlined(value) for key, value in schema.items()}


@functools.cache
def _registry() -> Registry[Any]:
    resources = ((f"{name}.json", DRAFT202012.create_resource(schema)) for name, schema in load_all().items())
    return Registry().with_resources(resources)
