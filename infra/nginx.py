"""Own what nginx is told: which method and path goes to which handler; wherever those listen."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from infra.routing import ROOT, Route, by_path
from shared.errors import InvalidRequest, MethodNotAllowed, PayloadTooLarge, Unavailable
from shared.strict_json import dumps
from shared.web import JSON_BYTES
from shared.web.errors import problem

HEAD = """\
worker_processes auto;
GLOBALevents { worker_connections 4096; }

http {
    access_log off;
    map_hash_bucket_size 256;
    # Which handler: by method and path; HEAD is answered by who answers GET.
    map $request_method $verb { default $request_method; HEAD GET; }

    map "$verb $uri" $exact {
        default "";
"""

TAIL = """\
    # A known path with another method goes to its handler too, which says 405, or answers a browser's OPTIONS.
    map $exact $handler { "" $by_path; default $exact; }

    server {
        listen 8080;
        client_max_body_size MOST;        # a JSON body's, read whole before a handler is asked: who stalls, stalls here
        client_body_buffer_size 64k;
        large_client_header_buffers 4 8k;
        proxy_http_version 1.1;
        proxy_buffering off;
        proxy_connect_timeout 3s;         # a machine just lost says nothing: the next is tried
        proxy_read_timeout 3600s;         # logs and events stay open
        proxy_send_timeout 3600s;
        proxy_next_upstream error timeout;
        proxy_set_header Host $http_host;
        proxy_set_header Connection "";
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_intercept_errors on;        # of these statuses alone which an error_page beside proxy_pass names
        recursive_error_pages on;

        # 421: where an ended handler was, another is already; nothing was done, so whatever was sent is sent again.
        location / {
            error_page 413 @too_large;
            error_page 421 = @again;
            error_page 502 504 =503 @away;
            proxy_pass http://$handler;
        }
        location @again {
            error_page 421 = @once_more;
            error_page 502 504 =503 @away;
            proxy_pass http://$handler;
        }
        location @once_more {
            error_page 421 502 504 =503 @away;
            proxy_pass http://$handler;
        }
LARGER
        # What nginx itself has to say is told in JSON as well.
        error_page 400 /nginx/400;
        error_page 405 /nginx/405;
        error_page 414 /nginx/414;
        error_page 494 =431 /nginx/431;
TOLD
    }
}
"""

KEPT = """\
        location = PATH { # bytes instead of JSON, and more of them
            client_max_body_size MOST;
            error_page 413 @too_large;
            error_page 421 = @again;
            error_page 502 504 =503 @away;
            proxy_pass http://$handler;
        }
"""

STREAMED = """\
        location = PATH { # streamed through, however much: the handler knows who sends before it reads
            client_max_body_size 0;
            proxy_request_buffering off;
            error_page 421 502 504 =503 @away;
            proxy_pass http://$handler;
        }
"""
KEPT_BYTES = 32 << 20
"Bodies that may be larger are streamed."

SAID = """\
        location WHERE {
            default_type application/json;
            add_header Access-Control-Allow-Origin * always;MORE
            return STATUS 'BODY';
        }
"""

AWAY = problem(Unavailable("This part of the node cannot be reached just now; try again shortly."))
LARGE = problem(PayloadTooLarge("The body is larger than this call takes: 8 MiB of JSON, 25 MiB to be encrypted."))
UNREAD = (
    problem(InvalidRequest("The request cannot be read as HTTP.")),
    problem(MethodNotAllowed("No method of that name is served here.")),
    {"status": 414, "code": "uri_too_long", "title": "Too long", "detail": "Address and query are longer than 8 KiB."},
    {"status": 431, "code": "headers_too_large", "title": "Too large", "detail": "A header is larger than 8 KiB."},
)  # fmt: skip
"What no handler gets to see."


def configuration(found: list[Route], servers: Mapping[str, Sequence[str]], everywhere: str = "") -> str:
    """The whole file: `servers` says where each module listens, `everywhere` is told to the main process.

    A module without a server is not reached from outside; its paths are as unknown as any. A connection is kept for
    seconds only, fewer than an ending handler goes on serving: none is in use when it closes, whoever comes to its
    address is soon left again, and new handlers get their share.
    """
    reached = [route for route in found if route.module in servers]
    lines = [f"        {key(route)} {route.module};" for route in reached]
    lines += ["    }", "    map $uri $by_path {", f"        default {ROOT};"]
    lines += [f'        "{pattern}" {module};' for pattern, module in sorted(by_path(reached).items())]
    lines += ["    }"]
    for module, addresses in servers.items():
        listed = " ".join(f"server {address};" for address in addresses)
        lines.append(f"    upstream {module} {{ {listed} keepalive 16; keepalive_time 5s; keepalive_timeout 5s; }}")
    told = {"MOST": str(JSON_BYTES), "LARGER\n": "".join(larger(route) for route in reached), "TOLD\n": own_words()}
    tail = re.sub("MOST|LARGER\\n|TOLD\\n", lambda each: told[each[0]], TAIL)
    return HEAD.replace("GLOBAL", everywhere) + "\n".join([*lines, tail])


def larger(route: Route) -> str:
    """The place of a route whose bodies are larger than others; nothing for all others."""
    if route.max_bytes <= JSON_BYTES:
        return ""
    place = KEPT if route.max_bytes <= KEPT_BYTES else STREAMED
    return place.replace("PATH", route.path).replace("MOST", str(route.max_bytes))


def own_words() -> str:
    """What nginx answers by itself: for a handler that cannot be reached, and for what never gets to one."""
    found = said("@away", AWAY, "\n            add_header Retry-After 5 always;") + said("@too_large", LARGE)
    return found + "".join(said(f"= /nginx/{each['status']}", each) for each in UNREAD)


def said(where: str, body: Mapping[str, Any], more: str = "") -> str:
    """One answer, as any handler's error looks."""
    text = dumps({"error": body["detail"], **body}).decode()
    given = {"WHERE": where, "MORE": more, "STATUS": str(body["status"]), "BODY": text}
    return re.sub("WHERE|MORE|STATUS|BODY", lambda each: given[each[0]], SAID)


def key(route: Route) -> str:
    """What the first map looks for."""
    pattern = route.pattern
    return f'"~^{route.method} {pattern[2:]}"' if pattern.startswith("~") else f'"{route.method} {pattern}"'
