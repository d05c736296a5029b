"""Own targets of type `url`: one HTTP PUT, with the headers the consumer gave."""

from __future__ import annotations

from urllib.parse import quote, urlsplit, urlunsplit

from shared.files import FetchRules, FileObject
from shared.files.http import Request
from shared.files.url import request_of
from shared.upload.body import Outgoing
from shared.upload.put import send


def upload(storage: FileObject, outgoing: Outgoing, rules: FetchRules) -> None:
    """Send the file; its name is added where the address ends with `/`. Raises: as `put.send`."""
    asked = request_of({name: value for name, value in storage.items() if name != "method"})
    parts = urlsplit(asked.url)
    path = parts.path + quote(outgoing.name) if parts.path.endswith("/") else parts.path
    given = {name: value for name, value in asked.headers.items() if name.lower() != "content-disposition"}
    headers = {**given, "Content-Disposition": f'attachment; filename="{outgoing.name}"'}
    request = Request("PUT", urlunsplit(parts._replace(path=path)), headers)
    send(request, outgoing.chunks, outgoing.size_bytes, rules)
