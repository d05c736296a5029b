"""A real HTTP server of files, whose faults are settings: it breaks off, forgets ranges, changes its mind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """What the server does; `requests` records what it was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    break_after: list[int] = field(default_factory=list)
    "For each answer in turn: break the connection after so many body bytes; none left = whole."
    statuses: list[int] = field(default_factory=list)
    "For each answer in turn: this status instead; none left = 200."
    redirects: dict[str, str] = field(default_factory=dict)
    ignores_range: bool = False
    sends_length: bool = True
    refuses_head: bool = False
    etag: str | None = '"one"'
    changes_on_resume: bytes | None = None
    drip: threading.Event | None = None
    "Where set: after the first byte, wait for it."
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)


@contextmanager
def serve_files(served: Served, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve on an address of this machine; gives the base URL without a slash at its end."""

    class Handler(_Handler):
        settings = served

    server = ThreadingHTTPServer((host, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}"
    finally:
        if served.drip:
            served.drip.set()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    settings: Served
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        served, path = self.settings, self.path.partition("?")[0]
        headers = {name.lower(): value for name, value in self.headers.items()}
        served.requests.append((self.command, self.path, headers))
        if served.statuses:
            return self._empty(served.statuses.pop(0), {})
        if path in served.redirects:
            return self._empty(302, {"Location": served.redirects[path]})
        if path not in served.files or (self.command == "HEAD" and served.refuses_head):
            return self._empty(404, {})
        return self._file(served.files[path], headers)

    do_POST = do_HEAD = do_GET

    def _file(self, data: bytes, headers: dict[str, str]) -> None:
        served, start, total = self.settings, 0, len(data)
        matches = headers.get("if-range") in (None, served.etag)
        if "range" in headers and not served.ignores_range and matches:
            start = int(headers["range"].removeprefix("bytes=").rstrip("-"))
        if "range" in headers and served.changes_on_resume is not None:
            data = served.changes_on_resume
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if served.sends_length:
            self.send_header("Content-Length", str(total - start))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        if served.etag:
            self.send_header("ETag", served.etag)
        self.send_header("Content-Type", "text/csv")
        self.end_headers()
        if self.command != "HEAD":
            self._body(data[start:])

    def _body(self, data: bytes) -> None:
        served = self.settings
        if served.drip:
            self.wfile.write(data[:1])
            served.drip.wait(30)
            data = data[1:]
        if served.break_after:
            self.wfile.write(data[: served.break_after.pop(0)])
            self.close_connection = True
            return
        self.wfile.write(data)

    def _empty(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
