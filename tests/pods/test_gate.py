"""The gate before an algorithm: it ends well once nothing can be connected to, and not before."""

from __future__ import annotations

import socket
import threading

from pods.gate import OPEN, addresses_of, main

HOST = "127.0.0.1"


def test_it_waits_until_nothing_is_open() -> None:
    server = socket.create_server((HOST, 0))
    port = server.getsockname()[1]
    ended: list[int] = []
    gate = threading.Thread(target=lambda: ended.append(main(60, [f"http://{HOST}:{port}/x"], {})))
    gate.start()
    server.accept()[0].close()
    server.accept()[0].close()
    assert gate.is_alive() and not ended
    server.close()
    gate.join(60)
    assert ended == [0]


def test_where_no_wall_is_it_gives_up() -> None:
    with socket.create_server((HOST, 0)) as server:
        host, port = server.getsockname()
        assert main(0.1, [], {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": str(port)}) == OPEN


def test_what_cannot_look_does_not_let_through() -> None:
    assert main(0.1, ["http://a.name"], {}) == OPEN


def test_it_tries_the_api_server_and_the_nodes_address_but_looks_for_no_name() -> None:
    environment = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    urls = ["https://10.0.0.2", "http://[fd00::1]:8000", "http://a.name", "nonsense"]
    assert list(addresses_of(urls, environment)) == [("10.0.0.1", 443), ("10.0.0.2", 443), ("fd00::1", 8000)]
