"""An image registry of one image, as a Docker Engine pulls from: on loopback, where engines need no TLS."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"


@dataclass
class Registry:
    """What it serves, and who may have it."""

    repository: str
    architecture: str = "amd64"
    login: tuple[str, str] | None = None
    on_build: tuple[str, ...] = ()
    port: int = 0
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifest: bytes = b""

    @property
    def host(self) -> str:
        """Where the engine finds it."""
        return f"127.0.0.1:{self.port}"

    @property
    def reference(self) -> str:
        """The image's full name."""
        return f"{self.host}/{self.repository}:1"

    @property
    def digest(self) -> str:
        """The manifest's."""
        return digest_of(self.manifest)

    def fill(self, content: bytes) -> None:
        """Make the image: one layer with one file."""
        self.fill_with(layer_of(content))

    def fill_with(self, layer: bytes) -> None:
        """Make the image of this one layer, a tar."""
        config = {
            "architecture": self.architecture,
            "os": "linux",
            "config": {"Cmd": ["/file"], "OnBuild": list(self.on_build)},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]},
            "history": [{"created_by": "a test"}],
        }
        packed, described = gzip.compress(layer), json.dumps(config).encode()
        self.blobs = {digest_of(packed): packed, digest_of(described): described}
        entry = "application/vnd.docker.container.image.v1+json"
        layer_type = "application/vnd.docker.image.rootfs.diff.tar.gzip"
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": entry, "size": len(described), "digest": digest_of(described)},
            "layers": [{"mediaType": layer_type, "size": len(packed), "digest": digest_of(packed)}],
        }
        self.manifest = json.dumps(manifest).encode()


@contextmanager
def registry(repository: str, content: bytes = b"hello", **options: Any) -> Iterator[Registry]:
    """Serve one image until the end of the block."""
    served = Registry(repository, **options)
    served.fill(content)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(served))
    served.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()


def handler_of(served: Registry) -> type[BaseHTTPRequestHandler]:
    """The registry's side of the pull protocol."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if not self.is_known():
                self.reply(401, b"{}", "application/json", ("WWW-Authenticate", 'Basic realm="test"'))
            elif self.path == "/v2/":
                self.reply(200, b"{}", "application/json")
            elif self.path.startswith(f"/v2/{served.repository}/manifests/") and self.wanted() in ("1", served.digest):
                self.reply(200, served.manifest, MANIFEST_TYPE, ("Docker-Content-Digest", served.digest))
            elif self.path.startswith(f"/v2/{served.repository}/blobs/") and self.wanted() in served.blobs:
                self.reply(200, served.blobs[self.wanted()], "application/octet-stream")
            else:
                code = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
                self.reply(404, json.dumps(code).encode(), "application/json")

        do_HEAD = do_GET

        def wanted(self) -> str:
            return self.path.rsplit("/", 1)[-1]

        def is_known(self) -> bool:
            if served.login is None:
                return True
            expected = base64.b64encode(":".join(served.login).encode()).decode()
            return self.headers.get("Authorization") == f"Basic {expected}"

        def reply(self, status: int, body: bytes, kind: str, *headers: tuple[str, str]) -> None:
            self.send_response(status)
            for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), *headers):
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            return

    return Handler


def layer_of(content: bytes) -> bytes:
    """A tar with one file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("file")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
