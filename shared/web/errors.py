"""Own what an error looks like outside: one JSON shape for all, and never a 500 for anything a caller sent."""

from __future__ import annotations

import logging
import secrets
from typing import Any

import falcon

from shared.endpoints import NOT_BUILT_ROUTES, is_routed
from shared.errors import C2DError, MethodNotAllowed, Misdirected, NotAvailable
from shared.strict_json import dumps
from shared.web.incoming import DRAINED_BYTES, Incoming, Takes

LOG = logging.getLogger(__name__)
RETRY_AFTER_S = 5
INSIDE = frozenset({"cause"})
"Facts for the log alone: what a database said of itself is nobody else's business."


def install(app: falcon.App[Any, Any]) -> None:
    """Let this module answer whatever is raised."""
    app.add_error_handler(Exception, _on_bug)
    app.add_error_handler(falcon.HTTPError, _on_framework)
    app.add_error_handler(falcon.HTTPMethodNotAllowed, _on_method)
    app.add_error_handler(C2DError, _on_ours)


def problem(error: C2DError) -> dict[str, Any]:
    """The body of an error: `error` is what the field's clients show, the rest is for programs."""
    facts = {name: value for name, value in error.facts.items() if value is not None and name not in INSIDE}
    return {
        **facts,
        "error": error.detail,
        "code": error.code,
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
    }


def not_built(req: falcon.Request, resp: falcon.Response, **_: str) -> None:
    """Answer every route that this process does not serve: the node's others are not "no such thing"."""
    if is_routed(req.path):
        raise _misdirected(req)
    raise NotAvailable(f"{req.method} {req.path[:200]} is not available on this node.")


def _misdirected(req: falcon.Request) -> Misdirected:
    """Where an ended process was, another may be before every proxy has heard of it.

    A body that proxies keep, to send it again, is read: they are to see the answer and not a broken pipe.
    """
    if (req.content_length or 0) <= DRAINED_BYTES:
        Incoming(req, {}, Takes.BYTES, 0).drain()
    detail = f"Another process of this node serves {req.method} {req.path[:200]}; nothing was done. Try again."
    return Misdirected(detail, retry_after_s=1)


def _on_ours(req: falcon.Request, resp: falcon.Response, error: C2DError, params: dict[str, Any]) -> None:
    if error.status >= 500:
        LOG.warning("%s %s: %s", req.method, req.path, error.detail, extra={"fields": dict(error.facts)})
    _write(resp, error.status, problem(error))
    retry_after_s = error.facts.get("retry_after_s", RETRY_AFTER_S if error.status == 503 else None)
    if retry_after_s is not None:
        resp.set_header("Retry-After", str(retry_after_s))
    if error.status == 416:
        resp.set_header("Content-Range", f"bytes */{error.facts.get('size_bytes', 0)}")


def _on_method(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPMethodNotAllowed, params: Any) -> None:
    if (req.method, req.path) in NOT_BUILT_ROUTES:
        return _on_ours(req, resp, NotAvailable(f"{req.method} {req.path} is not available on this node."), params)
    if is_routed(req.path, req.method):
        return _on_ours(req, resp, _misdirected(req), params)
    _on_ours(req, resp, MethodNotAllowed(f"{req.method} is not served at {req.path[:200]}."), params)
    for name, value in dict(error.headers or {}).items():
        resp.set_header(name, value)


def _on_framework(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, params: Any) -> None:
    """Give what the framework found wrong with the request our shape."""
    detail = error.description or error.title or "The request cannot be understood."
    status = error.status_code
    code = "invalid_request" if status < 500 else "internal"
    body = {"error": detail, "code": code, "title": error.title, "status": status, "detail": detail}
    _write(resp, status, body)


def _on_bug(req: falcon.Request, resp: falcon.Response, error: Exception, params: Any) -> None:
    """Log a fault of ours under a number that the caller can quote; say nothing of its inside."""
    reference = secrets.token_hex(4)
    LOG.error("%s %s failed, reference %s", req.method, req.path, reference, exc_info=error)
    detail = f"The node failed on this call; its log has the cause under {reference}."
    _write(resp, 500, {"error": detail, "code": "internal", "title": "Internal error", "status": 500, "detail": detail})


def _write(resp: falcon.Response, status: int, body: dict[str, Any]) -> None:
    resp.status = status
    resp.content_type = "application/json"
    resp.stream = None
    resp.data = dumps(body)
