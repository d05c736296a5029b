"""Own what is checked and added on every request, whatever the command: origin, rate, CORS, who is calling."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import falcon

from shared.errors import Forbidden
from shared.rate_limit import RateLimit, is_loopback
from shared.settings import HandlerSettings

EXEMPT = frozenset({"/", "/healthz"})
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, "
    "Retry-After, X-Encrypted-By, X-Encrypted-Method",
}
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Range, If-None-Match, If-Range, Last-Event-ID",
    "Access-Control-Max-Age": "86400",
}


class Guard:
    """Middleware: find the caller's address, count them, and answer browsers (or refuse strange ones)."""

    def __init__(self, settings: HandlerSettings, rates: RateLimit, is_guarded: bool) -> None:
        self._proxies = settings.trusted_proxies
        self._rates = rates
        self._is_guarded = is_guarded
        named = (settings.public_url, settings.pod_api_url)
        self._hosts = LOCAL_NAMES | {_host_of(urlsplit(url).netloc) for url in named if url}

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Raises: Forbidden, TooManyRequests."""
        peer = client_address(req, self._proxies)
        req.context["peer"] = peer
        if self._is_guarded:
            self._check_host(req)
        if req.path not in EXEMPT:
            self._rates.check(peer)
        if req.method == "OPTIONS":
            resp.status = 204
            resp.complete = True

    def process_response(self, req: falcon.Request, resp: falcon.Response, resource: Any, succeeded: bool) -> None:
        """Let pages of any origin read the answer, unless jobs run unguarded on this machine."""
        resp.set_header("X-Content-Type-Options", "nosniff")
        if not self._is_guarded:
            resp.set_headers(CORS)
        if not self._is_guarded and req.method == "OPTIONS":
            resp.set_headers(PREFLIGHT)

    def _check_host(self, req: falcon.Request) -> None:
        """Keep pages of other sites away from an engine that runs code on this machine itself."""
        origin = req.get_header("Origin")
        host = _host_of(req.get_header("Host") or "")
        if host not in self._hosts:
            raise Forbidden("This node answers only under its own name; check the address or C2D_PUBLIC_URL.")
        if origin is not None and _host_of(urlsplit(origin).netloc) not in self._hosts:
            raise Forbidden("This node does not answer pages of other sites.")


def client_address(req: falcon.Request, proxies: Sequence[str]) -> str:
    """The caller's address: the last one that no proxy of ours has vouched for.

    A proxy on this machine is trusted by itself: whoever can connect from here needs no disguise.
    """
    address = str(req.remote_addr or "")
    forwarded = [part.strip() for part in (req.get_header("X-Forwarded-For") or "").split(",") if part.strip()]
    while forwarded and (is_loopback(address) or _is_among(address, proxies)):
        address = forwarded.pop()
    return address


def _is_among(address: str, networks: Sequence[str]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in ipaddress.ip_network(network) for network in networks)


def _host_of(netloc: str) -> str:
    """The host without its port."""
    host = netloc.rpartition("@")[2].lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
