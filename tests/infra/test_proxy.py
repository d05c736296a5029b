"""The shipped nginx configuration before real handlers: a stranger's answer is nobody's, and nginx's own are in JSON.

Each upstream leads to a stranger first, as an ended pod's address may: a handler that serves nothing but nonces.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from infra.routing import INFRA
from shared.web import JSON_BYTES
from tests.databases import migrated_file
from tests.handlers.gunicorns import serving, variables
from tests.needs import needs, proxy_binary
from tests.services.postgres import free_port

pytestmark = [needs("proxy"), pytest.mark.skipif("nginx" not in proxy_binary(), reason="the configuration is nginx's")]

STALLED = 12
"More than a handler has threads."
SERVICES = "/api/services"
OWNER = "0x" + "11" * 20
LONG = {"X-Long": "a" * 9000}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """nginx before a stranger and a whole node; for encryptFile only the stranger is left."""
    folder = tmp_path_factory.mktemp("proxy")
    given = variables(folder / "data", f"sqlite:///{migrated_file(folder)}", C2D_RATE_LIMIT="off")
    with (
        serving("handlers.nonce:create_app()", given, folder / "stranger.log") as stranger,
        serving("handlers.all_in_one:create_app()", given, folder / "node.log") as node,
        nginx(folder, stranger.removeprefix("http://"), node.removeprefix("http://")) as found,
    ):
        yield found


@contextlib.contextmanager
def nginx(folder: Path, stranger: str, node: str) -> Iterator[str]:
    """The shipped configuration, but for who is behind it and where it listens."""
    port = free_port()
    shipped = (INFRA / "nginx.conf").read_text().replace("listen 8080;", f"listen 127.0.0.1:{port};")
    lonely = shipped.replace("server unix:/run/c2d/encrypt_file.sock;", f"server {stranger};")
    both = re.sub(r"server unix:\S+;", f"server {stranger}; server {node};", lonely)
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi"))
    config, log = folder / "nginx.conf", str(folder / "nginx.log")
    config.write_text(
        f"user root;\npid {folder}/nginx.pid;\n"
        + both.replace("http {", f"http {{ {temporary}", 1).replace("auto;", "1;", 1)
    )
    command = [proxy_binary(), "-c", str(config), "-p", str(folder), "-e", log, "-g", "daemon off;"]
    process = subprocess.Popen(command)
    try:
        wait_until_open(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def wait_until_open(port: int) -> None:
    """Until the port answers."""
    urllib3.PoolManager(retries=urllib3.Retry(connect=100, backoff_factor=0.02)).request(
        "GET", f"http://127.0.0.1:{port}/healthz"
    )


def ask(url: str, method: str, path: str, **more: object) -> tuple[int, dict[str, object]]:
    """Status and JSON of one request, on a connection of its own."""
    headers = {"Connection": "close", **more.pop("headers", {})}  # type: ignore[dict-item]
    found = urllib3.request(method, url + path, retries=False, headers=headers, timeout=20, **more)  # type: ignore[arg-type]
    assert found.headers["Content-Type"] == "application/json", (found.status, found.data)
    value = json.loads(found.data)
    return found.status, value if isinstance(value, dict) else {"list": value}


def test_what_a_stranger_is_asked_the_right_one_answers(url: str) -> None:
    for _ in range(4):
        assert ask(url, "GET", f"{SERVICES}/compute?consumerAddress={OWNER}&workflowId=w1") == (200, {"list": []})


@pytest.mark.parametrize("size", [10, 300_000], ids=["a small body", "a body in a file"])
def test_a_body_is_sent_again_whole(url: str, size: int) -> None:
    for _ in range(4):
        status, said = ask(url, "POST", f"{SERVICES}/auth/token", json={"padding": "é" * size, "address": OWNER})
        assert (status, said["error"]) == (400, "nonce: this field is required"), said


def test_a_known_route_without_its_handler_is_away_and_not_unknown(url: str) -> None:
    found = urllib3.request("POST", f"{url}{SERVICES}/encryptFile", body=b"bytes", retries=False)
    assert (found.status, found.headers["Retry-After"], found.json()["code"]) == (503, "5", "unavailable")


def test_an_unknown_route_is_unknown(url: str) -> None:
    assert [ask(url, "GET", "/somewhere/else")[1]["code"] for _ in range(2)] == ["not_available"] * 2


@pytest.mark.parametrize(
    ("method", "path", "headers", "expected"),
    [
        ("GET", f"/?q={'a' * 9000}", {}, (414, "uri_too_long")),
        ("GET", f"{SERVICES}/compute?q={'a' * 7000}", {}, (400, "invalid_request")),
        ("GET", "/", LONG, (431, "headers_too_large")),
        ("GET", "/", {"Host": "a b"}, (400, "invalid_request")),
        ("TRACE", "/", {}, (405, "method_not_allowed")),
        ("POST", f"{SERVICES}/freeCompute", {"Content-Length": str(JSON_BYTES + 1)}, (413, "payload_too_large")),
        ("POST", f"{SERVICES}/encryptFile", {"Content-Length": str(26 << 20)}, (413, "payload_too_large")),
        ("POST", f"{SERVICES}/c2dJobPublishResult", {"Content-Length": str(1 << 40)}, (503, "unavailable")),
    ],
)
def test_what_is_too_much_is_told_in_json(
    url: str, method: str, path: str, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    status, said = ask(url, method, path, headers=headers)
    assert (status, said["code"], said["status"]) == (*expected, expected[0]), said


def test_bodies_that_stall_hold_no_handlers_thread(url: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    head = f"POST {SERVICES}/auth/token HTTP/1.1\r\nHost: node\r\nContent-Length: 1000\r\n\r\n{{".encode()
    with contextlib.ExitStack() as stack:
        for _ in range(STALLED):
            stack.enter_context(socket.create_connection((host, int(port)))).sendall(head)
        assert ask(url, "POST", f"{SERVICES}/auth/token", json={})[0] == 400
