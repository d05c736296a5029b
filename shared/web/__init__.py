"""Own the one road in and out of HTTP: every command declares what it takes, answers and who may call it.

The road: size → signer where headers suffice (pods) → JSON → schema → other signers → respond → reply schema.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import falcon

from shared import schemas, signers
from shared.credentials import NOBODY, Asked
from shared.db.connection import session, transaction
from shared.errors import CallerError
from shared.services import Services
from shared.streams import SlotStream
from shared.strict_json import dumps
from shared.web import errors, guard
from shared.web.command import Call, Command, Entry, Reply, Rows
from shared.web.incoming import Incoming, Takes, is_known

__all__ = [
    "JSON_BYTES", "QUERY_BYTES", "AppFactory", "Call", "Command", "Entry", "Reply", "Rows", "Takes", "app_factory",
    "build_app",
]  # fmt: skip


AppFactory = Callable[..., "falcon.App[Any, Any]"]
JSON_BYTES = 8 << 20
"The most a JSON body may have: raw code and Dockerfiles are in it."
QUERY_BYTES = 1 << 16
"The most a body may have that nobody reads."

ALIVE = "/healthz"
"Answered by every app, whatever its commands: who runs processes must be able to ask each whether it lives."


class Alive:
    """What a process says that serves other commands than health."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Say so."""
        resp.content_type, resp.data = falcon.MEDIA_JSON, dumps({"status": "ok"})


def app_factory(command: Command, respond: Callable[[Call], Reply]) -> AppFactory:
    """Make the `create_app` of a command that is served alone."""
    return partial(build_app, (Entry(command, respond),))


def build_app(entries: Iterable[Entry], services: Services | None = None) -> falcon.App[Any, Any]:
    """Make one WSGI app of commands; settings are read here where no services are given."""
    entries = tuple(entries)
    services = services or Services.from_environment()
    if any(entry.command.asks_chains for entry in entries):
        services.load_chains()
    watch = guard.Guard(services.settings, services.rates, services.is_guarded)
    app: falcon.App[Any, Any] = falcon.App(middleware=[watch])
    app.req_options.strip_url_path_trailing_slash = True
    errors.install(app)
    for path, resource in {ALIVE: Alive(), **_resources(entries, services)}.items():
        app.add_route(path, resource)
    app.add_sink(errors.not_built)
    return app


def _resources(entries: Iterable[Entry], services: Services) -> dict[str, object]:
    """Group the commands by path: one resource each, with one responder a method."""
    found: dict[str, Any] = {}
    for entry in entries:
        responder = partial(_serve, entry, services)
        for path in entry.command.paths:
            resource = found.setdefault(path, type("Resource", (), {})())
            setattr(resource, f"on_{entry.command.method.lower()}", responder)
            if entry.command.method == "GET" and isinstance(entry.command.signer, signers.Anyone):
                resource.on_head = responder
    return found


def _serve(entry: Entry, services: Services, req: falcon.Request, resp: falcon.Response, **path: str) -> None:
    """Take one request down the road and write the reply."""
    incoming = Incoming(req, path, entry.command.takes, entry.command.max_bytes)
    incoming.check_size()
    _write(handle(entry, services, incoming), services, req, resp)


def handle(entry: Entry, services: Services, incoming: Incoming) -> Reply:
    """Signer by headers, fields, schema, other signers, respond. Raises: C2DError."""
    command, policy = entry.command, entry.command.signer
    if command.is_stream:
        services.streams.check()
    signer = NOBODY
    if policy.is_before_body:
        with session():
            signer = policy(_asked(command, services, incoming, {}))
            signer.spend()
        incoming.expect(signer.digest)
    body = incoming.fields()
    schemas.check(command.body, body)
    call = Call(
        command, body, signer, services, incoming.header, incoming.chunks(), incoming.peer, incoming.is_gone,
        incoming.is_direct,
        dispatch=lambda other, fields: handle(other, services, incoming.direct(other.command.takes, fields)),
    )  # fmt: skip
    reply = _respond(entry, call, incoming)
    _check_reply(command, services, reply)
    return reply


def _respond(entry: Entry, call: Call, incoming: Incoming) -> Reply:
    """Find out who signed, and answer within the command's kind of session."""
    command = call.command
    if isinstance(command.signer, signers.Anyone) and command.rows is Rows.NONE:
        return entry.respond(call)
    if not command.signer.is_before_body:
        call = replace(call, signer=command.signer(_asked(command, call.services, incoming, call.body)))
    if command.rows is Rows.LOOK:
        return _looking(entry, call)
    with session():
        if command.rows is Rows.WRITE:
            return _committed(entry, call)
        if not command.signer.is_before_body:
            call.signer.spend()
        if command.rows is Rows.READ:
            return entry.respond(call)
    return entry.respond(call)


def _committed(entry: Entry, call: Call) -> Reply:
    """Commit the nonce and the command's writes together; where it refuses, the nonce alone."""
    with transaction():
        if not call.command.signer.is_before_body:
            call.signer.spend()
        try:
            with transaction():
                return entry.respond(call)
        except CallerError as error:
            refused = error
    raise refused


def _looking(entry: Entry, call: Call) -> Reply:
    """Let the command look before it writes; where it refuses, the nonce is used up alone."""
    try:
        return entry.respond(call)
    except CallerError as error:
        refused = error
    with transaction():
        call.signer.spend()
    raise refused


def _asked(command: Command, services: Services, incoming: Incoming, body: Mapping[str, Any]) -> Asked:
    return Asked(
        command.name, body, incoming.header, incoming.digest, services.node.address, services.keys, services.now_ms(),
        services.chains,
    )  # fmt: skip


def _check_reply(command: Command, services: Services, reply: Reply) -> None:
    """Hold our own JSON against the reply schema, where that is asked for (tests, development)."""
    if services.checks_replies and reply.value is not None and "/" not in command.reply:
        schemas.check_reply(command.reply, reply.value)


def _write(reply: Reply, services: Services, req: falcon.Request, resp: falcon.Response) -> None:
    for name, value in reply.headers.items():
        resp.set_header(name, value)
    resp.status = reply.status
    if reply.etag is not None:
        resp.set_header("ETag", f'"{reply.etag}"')
        if reply.status == 200 and is_known(req.get_header("If-None-Match"), reply.etag):
            resp.status = 304
    if resp.status_code == 304:
        return
    resp.content_type = reply.media_type
    if reply.chunks is not None:
        resp.stream = SlotStream(reply.chunks, services.streams)
    else:
        resp.data = reply.data if reply.data is not None else dumps(reply.value)
