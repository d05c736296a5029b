"""A small real node for pods: the three commands with their signatures checked, and faults as settings."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from shared import signatures
from shared.errors import Unauthorized

JOB = "ab" * 32
NODE_ADDRESS = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"
KEY = b"\x44" * 32


@dataclass
class Node:
    """What the node answers, and what it was told."""

    document: dict[str, Any] = field(default_factory=dict)
    earlier: dict[int, bytes] = field(default_factory=dict)
    "Input index → the earlier job's outputs."
    break_after: list[int] = field(default_factory=list)
    "For each stream in turn: break it after so many bytes."
    breaks_off: dict[str, int] = field(default_factory=dict)
    "Command → so many answers that end in their middle, after it was done."
    answers: dict[str, list[tuple[int, dict[str, str]]]] = field(default_factory=dict)
    "Command → statuses and headers to answer first, before the body is read."
    reports: list[dict[str, Any]] = field(default_factory=list)
    published: list[tuple[str, bytes]] = field(default_factory=list)
    nonces: list[str] = field(default_factory=list)
    address: str = signatures.address_of(KEY)

    def finals(self) -> list[dict[str, Any]]:
        """The reports that count."""
        return [report for report in self.reports if report["state"] != "progress"]


@contextmanager
def serve_node(node: Node, host: str = "127.0.0.1") -> Iterator[dict[str, str]]:
    """Serve on loopback, or where pods of an engine reach it; gives the pods' environment."""

    class Handler(_Handler):
        settings = node

    server = ThreadingHTTPServer((host, 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield {
            "nodeHttpApi": f"http://{host}:{server.server_port}/",
            "privateKey": "0x" + KEY.hex(),
            "jobId": JOB,
            "nodeAddress": NODE_ADDRESS,
        }
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    settings: Node
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        node, (path, _, query) = self.settings, self.path.partition("?")
        command = path.removeprefix("/api/services/")
        if node.answers.get(command):
            status, headers = node.answers[command].pop(0)
            self.close_connection = True
            return self._json(status, {"error": "not now"}, headers)
        try:
            self._check_signature(command)
        except Unauthorized as error:
            return self._json(401, {"error": error.detail})
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if hashlib.sha256(body).hexdigest() != self.headers["X-C2D-Digest"]:
            return self._json(400, {"error": "digest mismatch"})
        return self._answer(command, body, dict(parse_qsl(query)))

    def _check_signature(self, command: str) -> None:
        names = ("X-C2D-Job", "X-C2D-Nonce", "X-C2D-Digest", "X-C2D-Signature")
        job, nonce, digest, signature = (self.headers.get(name, "") for name in names)
        if nonce in self.settings.nonces or len(nonce) != 32:
            raise Unauthorized("the nonce was used")
        self.settings.nonces.append(nonce)
        signatures.verify_pod(self.settings.address, command, job, NODE_ADDRESS, nonce, digest, signature)

    def _answer(self, command: str, body: bytes, query: dict[str, str]) -> None:
        node = self.settings
        if command == "c2dJobPublishResult":
            assert int(query["size"]) == len(body)
            assert self.headers["Content-Type"] == "application/octet-stream"
            node.published.append((query["filename"], body))
            sha256 = hashlib.sha256(body).hexdigest()
            return self._json(200, {"filename": query["filename"], "size": len(body), "sha256": sha256})
        value = json.loads(body)
        if command == "c2dJobStatusUpdate":
            node.reports.append(value)
            return self._json(200, {"ok": True})
        if value == {}:
            return self._json(200, node.document)
        return self._stream(node.earlier[value["input"]])

    def _stream(self, data: bytes) -> None:
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if self.settings.break_after:
            self.wfile.write(data[start : start + self.settings.break_after.pop(0)])
            self.close_connection = True
        else:
            self.wfile.write(data[start:])

    def _json(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {**(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(name, text)
        self.end_headers()
        command = self.path.partition("?")[0].removeprefix("/api/services/")
        if status == 200 and self.settings.breaks_off.get(command):
            self.settings.breaks_off[command] -= 1
            data, self.close_connection = data[:3], True
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
