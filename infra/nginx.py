"""Own what nginx is told: which method and path goes to which handler; wherever those listen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from infra.routing import ROOT, Route, by_path
from shared.errors import Unavailable
from shared.strict_json import dumps
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
        client_max_body_size 0;           # every handler has its own limit, and answers in JSON
        proxy_http_version 1.1;
        proxy_request_buffering off;      # results are streamed through, up and down
        proxy_buffering off;
        proxy_read_timeout 3600s;         # logs and events stay open
        proxy_send_timeout 3600s;
        proxy_set_header Host $http_host;
        proxy_set_header Connection "";
        proxy_set_header X-Forwarded-For $remote_addr;
        error_page 502 504 =503 @away;    # a handler that is not there is told of in JSON as well
        location @away {
            internal;
            default_type application/json;
            add_header Retry-After 5 always;
            add_header Access-Control-Allow-Origin * always;
            return 503 'AWAY';
        }
        location / { proxy_pass http://$handler; }
    }
}
"""


def configuration(found: list[Route], servers: Mapping[str, Sequence[str]], everywhere: str = "") -> str:
    """The whole file: `servers` says where each module listens, `everywhere` is told to the main process.

    A module without a server is not reached from outside; its paths are as unknown as any.
    """
    reached = [route for route in found if route.module in servers]
    lines = [f"        {key(route)} {route.module};" for route in reached]
    lines += ["    }", "    map $uri $by_path {", f"        default {ROOT};"]
    lines += [f'        "{pattern}" {module};' for pattern, module in sorted(by_path(reached).items())]
    lines += ["    }"]
    for module, addresses in servers.items():
        listed = " ".join(f"server {address};" for address in addresses)
        lines.append(f"    upstream {module} {{ {listed} keepalive 16; }}")
    return HEAD.replace("GLOBAL", everywhere) + "\n".join([*lines, TAIL.replace("AWAY", away())])


def away() -> str:
    """What is answered for a handler that cannot be reached."""
    error = Unavailable("This part of the node cannot be reached just now; try again shortly.")
    return dumps(problem(error)).decode()


def key(route: Route) -> str:
    """What the first map looks for."""
    pattern = route.pattern
    return f'"~^{route.method} {pattern[2:]}"' if pattern.startswith("~") else f'"{route.method} {pattern}"'
