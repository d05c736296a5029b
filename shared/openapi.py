"""Own the OpenAPI document: written from the commands and the very schemas that check them; pure."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from shared import schemas, signers
from shared.web import Command, Entry, Takes

SIGNERS = {
    signers.Anyone: "Anyone may call.",
    signers.Consumer: "The consumer signs (nonce and signature), or sends a token as Authorization.",
    signers.Open: "Anyone may call; who signs, or sends a token, sees more.",
    signers.JobKey: "The job's own key signs (headers X-C2D-Job, -Nonce, -Digest, -Signature).",
}

_STARTED = "$response.body#/0/jobId"
_WHOSE = {"consumerAddress": "$response.body#/0/owner", "jobId": _STARTED}
_AFTER_START: dict[str, Any] = {
    "status": {"operationId": "getComputeStatus", "parameters": _WHOSE},
    "stop": {"operationId": "stopCompute", "parameters": _WHOSE},
    "events": {"operationId": "getComputeEvents", "parameters": {"jobId": _STARTED}},
}
LINKS: dict[str, dict[str, Any]] = {
    "startCompute": _AFTER_START,
    "freeStartCompute": _AFTER_START,
    "getComputeStatus": {
        "result": {
            "operationId": "getComputeResult",
            "parameters": {**_WHOSE, "index": "$response.body#/0/results/0/index"},
        },
        "logs": {"operationId": "getComputeStreamableLogs", "parameters": _WHOSE},
    },
}
"What can be asked next with what an answer holds."

MORE_TYPES = {"getComputeResult": "text/plain", "getComputeEvents": "text/event-stream"}
"What else a good answer may be: a log rather than an output, a stream rather than a list."
PARTIAL = frozenset({"getComputeResult"})
"Commands that send a part where one is asked for."
KNOWN_AGAIN = frozenset({"root", "getComputeEnvironments", "getComputeResult"})
"Commands that say so where the caller has the very answer already."


def document(entries: Iterable[Entry]) -> dict[str, Any]:
    """Write the whole document."""
    paths: dict[str, Any] = {}
    for entry in entries:
        for path in entry.command.paths:
            paths.setdefault(path, {})[entry.command.method.lower()] = _operation(entry, path)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Compute-to-data node",
            "version": version("c2d-node"),
            "description": "Data stays where it is, algorithms come to it. Every command can also be sent to "
            "/directCommand by its name. 421 `misdirected`: another process serves it, nothing was done; ask again.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": {_name(name): _referring(schema) for name, schema in schemas.load_all().items()}},
    }


def summary(entry: Entry) -> str:
    """The first line of what a command says of itself."""
    return str(sys.modules[entry.respond.__module__].__doc__ or "").partition("\n")[0].partition(": ")[2]


def _operation(entry: Entry, path: str) -> dict[str, Any]:
    command = entry.command
    operation: dict[str, Any] = {
        "operationId": command.name if path == command.path else f"{command.name}At",
        "summary": summary(entry),
        "description": f"{entry.respond.__doc__ or ''}\n\n{SIGNERS[type(command.signer)]}",
        "security": [],
        "responses": _responses(command),
    }
    parameters = _parameters(command, path)
    if parameters:
        operation["parameters"] = parameters
    if command.takes is Takes.JSON:
        operation["requestBody"] = {"required": True, "content": _json(_reference(command.body))}
    if command.takes is Takes.BYTES:
        content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _parameters(command: Command, path: str) -> list[dict[str, Any]]:
    fields = schemas.load_all()[command.body] if command.takes is not Takes.JSON else {}
    required = set(fields.get("required", []))
    found = []
    for name, schema in fields.get("properties", {}).items():
        if f"{{{name}}}" not in path:
            shown = {"name": name, "in": "query", "required": name in required, "schema": _referring(schema)}
            found.append(shown | {"description": schema.get("description", "")})
    for part in path.split("/"):
        if part.startswith("{"):
            found.append({"name": part[1:-1], "in": "path", "required": True, "schema": {"type": "string"}})
    return found


def _responses(command: Command) -> dict[str, Any]:
    good = _reply(command)
    links = {"links": LINKS[command.name]} if command.name in LINKS else {}
    partial = {"206": {**good, "description": "The part asked for"}} if command.name in PARTIAL else {}
    known = {"304": {"description": "The caller has it already"}} if command.name in KNOWN_AGAIN else {}
    error = {"description": "An error", "content": _json(_reference("error.reply"))}
    return {"200": good | links, **partial, **known, "default": error}


def _reply(command: Command) -> dict[str, Any]:
    text = {"schema": {"type": "string"}}
    more = {MORE_TYPES[command.name]: text} if command.name in MORE_TYPES else {}
    if "/" in command.reply:
        return {"description": "The bytes", "content": {command.reply: text, **more}}
    schema = schemas.load_all()[command.reply]
    return {"description": schema["description"], "content": {**_json(_reference(command.reply)), **more}}


def _json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{_name(name)}"}


def _name(name: str) -> str:
    """A schema's name as a component: letters, digits, `_`, `.` and `-` alone."""
    return name.replace("/", "_")


def _referring(schema: Any) -> Any:
    """The schema with its references turned to the components."""
    text = json.dumps(schema)
    for name in schemas.load_all():
        text = text.replace(f'"$ref": "{name}.json"', f'"$ref": "#/components/schemas/{_name(name)}"')
    found = json.loads(text)
    return _local(found, found) if isinstance(found, dict) and "$defs" in found else found


def _local(value: Any, whole: Mapping[str, Any]) -> Any:
    """Put a schema's own definitions in the place of references to them."""
    if isinstance(value, list):
        return [_local(each, whole) for each in value]
    if not isinstance(value, dict):
        return value
    reference = value.get("$ref", "")
    if reference.startswith("#/$defs/"):
        return _local(whole["$defs"][reference.removeprefix("#/$defs/")], whole)
    return {key: _local(each, whole) for key, each in value.items() if key != "$defs"}
