"""Own infra/nginx.conf and infra/compose.yaml: every core command its own process, routed to by method and path.

`python -m infra.deployment` writes both anew; a test says when that is due.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from shared.web import Command

INFRA = Path(__file__).parent
HANDLERS = INFRA.parent / "handlers"
STREAMING = frozenset({"events", "logs", "result", "direct_command"})
"Whoever answers with streams is given more threads."
ROOT = "root"
"Answers whatever nobody else serves: 404 as JSON."
PARAMETER = re.compile(r"\{[^}]+\}")

HEAD = """\
# One reverse proxy before the handlers, each of which is its own gunicorn on a unix socket:
#   gunicorn -c infra/gunicorn.conf.py --bind unix:/run/c2d/start_job.sock 'handlers.start_job:create_app()'
# Made by `python -m infra.deployment`; edit that. TLS belongs in front, or in the server block.
worker_processes auto;
events { worker_connections 4096; }

http {
    access_log off;
    map_hash_bucket_size 256;
    # Which handler: by method and path; HEAD is answered by who answers GET.
    map $request_method $verb { default $request_method; HEAD GET; }
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
        location / { proxy_pass http://$handler; }
    }
}
"""


SERVICE = """\
  {module}:
    <<: *handler
    command:
      - gunicorn
      - --config=infra/gunicorn.conf.py
      - --bind=unix:/run/c2d/{module}.sock
      - handlers.{module}:create_app()
    environment: {{<<: *handler-environment, C2D_THREADS: "{threads}"}}
"""

COMPOSE = """\
# The whole node on one machine with Docker Compose: every core command its own process behind one proxy, PostgreSQL,
# results in any S3 store, and passes on the machine's own Docker Engine. Made by
# `python -m infra.deployment`; edit that.
#
#   docker build -t c2d/node -f infra/images/node.Dockerfile .  &&  infra/images/build
#   export C2D_PRIVATE_KEY=… C2D_STORAGE_URL=s3://… POSTGRES_PASSWORD=… C2D_POD_API_URL=http://<this machine>:8080
#   export C2D_SECRETS_KEY=$(c2d doctor --secrets-key)
#   docker compose -f infra/compose.yaml up
x-environment: &environment
  C2D_DATABASE_URL: postgresql://c2d:${POSTGRES_PASSWORD:?}@database/c2d
  C2D_STORAGE_URL: ${C2D_STORAGE_URL:?}
  C2D_POD_API_URL: ${C2D_POD_API_URL:?}
  C2D_PUBLIC_URL: ${C2D_PUBLIC_URL:-}
  C2D_ENGINES: ${C2D_ENGINES:-}
  C2D_FETCH_ALLOW: ${C2D_FETCH_ALLOW:-}
  AWS_ACCESS_KEY_ID: ${AWS_ACCESS_KEY_ID:-}
  AWS_SECRET_ACCESS_KEY: ${AWS_SECRET_ACCESS_KEY:-}
x-handler-environment: &handler-environment
  <<: *environment
  C2D_SECRETS_KEY: ${C2D_SECRETS_KEY:?}
x-node: &node
  image: c2d/node
  restart: unless-stopped
  depends_on: {migrate: {condition: service_completed_successfully}}
x-handler: &handler
  <<: *node
  volumes: ["sockets:/run/c2d"]

services:
  database:
    image: postgres:17
    restart: unless-stopped
    environment: {POSTGRES_USER: c2d, POSTGRES_DB: c2d, POSTGRES_PASSWORD: "${POSTGRES_PASSWORD:?}"}
    volumes: ["database:/var/lib/postgresql/data"]
    healthcheck: {test: ["CMD-SHELL", "pg_isready -U c2d"], interval: 2s, retries: 30}
  migrate:
    image: c2d/node
    command: ["c2d", "migrate"]
    environment: *handler-environment
    depends_on: {database: {condition: service_healthy}}
  proxy:
    image: nginx:stable
    restart: unless-stopped
    ports: ["8080:8080"]
    volumes: ["./nginx.conf:/etc/nginx/nginx.conf:ro", "sockets:/run/c2d"]
  passes:
    <<: *node
    command: ["python", "-m", "engines.run_docker", "--engine", "local", "--watch"]
    environment: {<<: *environment, C2D_PRIVATE_KEY: "${C2D_PRIVATE_KEY:?}"}
    volumes: ["/var/run/docker.sock:/var/run/docker.sock"]
HANDLERS
volumes: {database: {}, sockets: {}}
"""


@dataclass(frozen=True)
class Route:
    """One method and path, and the module that serves it."""

    method: str
    path: str
    module: str

    @property
    def pattern(self) -> str:
        """The path as nginx matches it: as it is, or with its parameters as an expression."""
        return f"~^{PARAMETER.sub('[^/]+', re.sub(r'([.+?])', r'[.]', self.path))}$" if "{" in self.path else self.path


def commands() -> list[tuple[str, Command]]:
    """Every module of a core command, with what it declares."""
    names = sorted(path.stem for path in HANDLERS.glob("[!_]*.py"))
    modules = [(name, importlib.import_module(f"handlers.{name}")) for name in names]
    return [(name, module.COMMAND) for name, module in modules if isinstance(getattr(module, "COMMAND", None), Command)]


def routes(declared: Iterable[tuple[str, Command]]) -> list[Route]:
    """Every route there is."""
    found = [Route(command.method, path, module) for module, command in declared for path in command.paths]
    return sorted(found, key=lambda route: (route.path, route.method))


def configuration(found: list[Route]) -> str:
    """The whole file."""
    lines = [HEAD, '    map "$verb $uri" $exact {', '        default "";']
    lines += [f"        {key(route)} {route.module};" for route in found]
    lines += ["    }", "    map $uri $by_path {", f"        default {ROOT};"]
    paths = {route.pattern: route.module for route in reversed(found)}
    lines += [f'        "{pattern}" {module};' for pattern, module in sorted(paths.items())]
    lines += ["    }"]
    for module in sorted({route.module for route in found}):
        lines.append(f"    upstream {module} {{ server unix:/run/c2d/{module}.sock; keepalive 16; }}")
    return "\n".join([*lines, TAIL])


def key(route: Route) -> str:
    """What the first map looks for."""
    pattern = route.pattern
    return f'"~^{route.method} {pattern[2:]}"' if pattern.startswith("~") else f'"{route.method} {pattern}"'


def composition(modules: Iterable[str]) -> str:
    """The compose file: its fixed part, and a service for each handler."""
    services = [SERVICE.format(module=module, threads=300 if module in STREAMING else 8) for module in modules]
    return COMPOSE.replace("HANDLERS\n", "".join(services))


def files() -> dict[Path, str]:
    """What should be in each file."""
    declared = commands()
    return {
        INFRA / "nginx.conf": configuration(routes(declared)),
        INFRA / "compose.yaml": composition(module for module, _ in declared),
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
