"""fileInfo: whether files can be reached, how long they are, and their SHA-256 if asked for."""

from typing import Any

from shared import files, signers
from shared.errors import InvalidRequest, NotAvailable
from shared.file_objects import parse_files
from shared.files import FileProbe
from shared.web import JSON_BYTES, Call, Command, Reply, Rows, Takes, app_factory

COMMAND = Command(
    name="fileInfo", method="POST", path="/api/services/fileInfo", takes=Takes.JSON, body="file_info.request",
    reply="file_info.reply", signer=signers.anyone, rows=Rows.NONE, is_stream=False, max_bytes=JSON_BYTES,
)  # fmt: skip


def respond(call: Call) -> Reply:
    """Look at the file: at most 1 GiB, 30 s, and one at a time for each caller's address."""
    if "type" not in call.body and "file" not in call.body:
        if call.body.get("did"):
            raise NotAvailable("fileInfo of a DID is not available on this node.", path="did")
        raise InvalidRequest("Invalid request parameters: a file object or a did is expected", path="type")
    (file, *_) = parse_files(call.body.get("file", call.body), "file", call.services.decrypt)
    rules = files.PROBE_RULES._replace(allow=call.services.fetch_allow)
    with call.services.looks.turn(call.peer), call.services.streams.slot():
        probe = files.probe(file, rules, bool(call.body.get("checksum")))
    return Reply([shown(probe)])


def shown(probe: FileProbe) -> dict[str, Any]:
    """Write what is known; the length is text on the wire."""
    known = {
        "valid": probe.valid,
        "contentLength": None if probe.size_bytes is None else str(probe.size_bytes),
        "contentType": probe.content_type,
        "checksum": probe.checksum,
        "name": probe.name,
        "type": probe.type,
        "reason": probe.reason,
    }
    return {name: value for name, value in known.items() if value is not None}


create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.file_info:create_app()'
