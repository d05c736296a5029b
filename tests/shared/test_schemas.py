"""The schemas: each file explains itself, its examples keep to it, and faults are told by their path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from handlers import all_in_one, registry
from shared import schemas
from shared.errors import InvalidRequest

NAMES = sorted(schemas.load_all())


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_one_and_its_examples_keep_to_it(name: str) -> None:
    schema = schemas.load_all()[name]
    Draft202012Validator.check_schema(schema)
    assert schema["title"] and schema["description"] and schema["examples"]
    for example in schema["examples"]:
        schemas.check(name, example)


@pytest.mark.parametrize("name", NAMES)
def test_every_field_says_what_it_is(name: str) -> None:
    untold = [field for field, schema in fields(schemas.load_all()[name]) if not schema.get("description")]
    assert untold == []


@pytest.mark.parametrize("entry", (*registry.ENTRIES, *all_in_one.ABOUT_ALL), ids=lambda entry: entry.command.name)
def test_a_command_names_schemas_that_exist(entry: Any) -> None:
    assert entry.command.body in NAMES
    assert "/" in entry.command.reply or entry.command.reply in NAMES


def test_every_schema_is_used() -> None:
    commands = [entry.command for entry in (*registry.ENTRIES, *all_in_one.ABOUT_ALL)]
    named = {name for command in commands for name in (command.body, command.reply)}
    text = repr(list(schemas.load_all().values()))
    referred = {name for name in NAMES if f"'{name}.json'" in text}
    assert set(NAMES) - named - referred == {"engines.setting", "chains.setting"}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"workflow": [{"index": 0}]}, "consumerAddress"),
        ({"consumerAddress": "0x" + "1" * 40, "workflow": [{"index": 0, "algorithm": {}, "x": 1}]}, "workflow[0].x"),
        ({"consumerAddress": "0x" + "1" * 40, "workflow": [{"algorithm": {}}]}, "workflow[0].index"),
        ({"consumerAddress": 5, "environment": "e", "algorithm": {}}, "consumerAddress"),
    ],
)
def test_the_path_of_a_fault_is_told(body: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        schemas.check("free_start.request", body)
    assert refused.value.facts["path"] == path and refused.value.detail.startswith(path)


def fields(schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property, at whatever depth."""
    if isinstance(schema, list):
        for each in schema:
            yield from fields(each)
    if isinstance(schema, dict):
        yield from schema.get("properties", {}).items() if isinstance(schema.get("properties"), dict) else ()
        for name, each in schema.items():
            if name != "examples":
                yield from fields(each)
