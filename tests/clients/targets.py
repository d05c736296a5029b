"""A real HTTP server that takes uploads, as consumers keep one for their results."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Uploads:
    """What came, by path; `statuses` are answered first, one an upload."""

    files: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    "Paths that are never taken."
    tries: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def serve_uploads(host: str = "127.0.0.1") -> Iterator[Uploads]:
    """Take uploads on an address of this machine."""
    taken = Uploads()

    class Handler(_Handler):
        uploads = taken

    server = ThreadingHTTPServer((host, 0), Handler)
    taken.url = f"http://{host}:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield taken
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    uploads: Uploads
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        self.uploads.tries.append(self.path)
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        status = self.uploads.statuses.pop(0) if self.uploads.statuses else 201
        status = 403 if self.path in self.uploads.refused else status
        if len(body) < length:
            self.close_connection = True
            return
        if status < 300:
            self.uploads.files[self.path] = body
            self.uploads.headers[self.path] = {name.lower(): value for name, value in self.headers.items()}
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
