"""Own infra/nginx.conf, infra/compose.yaml and infra/kubernetes: each core command a process,
routed to by method and path.

`python -m infra.deployment` writes both anew; a test says when that is due.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from infra import cluster, nginx
from infra.routing import INFRA, SIGNING, STORING, Route, commands, routes, threads_of

HEAD = """\
# One reverse proxy before the handlers, each of which is its own gunicorn on a unix socket:
#   gunicorn -c infra/gunicorn.conf.py --bind unix:/run/c2d/start_job.sock 'handlers.start_job:create_app()'
# Made by `python -m infra.deployment`; edit that. TLS belongs in front, or in the server block.
"""

SERVICE = """\
  {module}:
    <<: *handler
    command:
      - gunicorn
      - --config=infra/gunicorn.conf.py
      - --bind=unix:/run/c2d/{module}.sock
      - handlers.{module}:create_app()
    environment: {{<<: {merged}, C2D_THREADS: "{threads}"{wallet}}}
"""

COMPOSE = """\
# The whole node on one machine with Docker Compose: every core command its own process behind one proxy, PostgreSQL,
# results in any S3 store, and passes on the machine's own Docker Engine. Made by
# `python -m infra.deployment`; edit that.
#
#   infra/images/build node  &&  infra/images/build
#   export C2D_PRIVATE_KEY=… C2D_STORAGE_URL=s3://… POSTGRES_PASSWORD=… C2D_POD_API_URL=http://<this machine>:8080
#   export C2D_SECRETS_KEY=$(c2d doctor --secrets-key)
#   docker compose -f infra/compose.yaml up
x-environment: &environment
  C2D_DATABASE_URL: postgresql://c2d:${POSTGRES_PASSWORD:?}@database/c2d
  C2D_STORAGE_URL: ${C2D_STORAGE_URL:?}
  C2D_POD_API_URL: ${C2D_POD_API_URL:?}
  C2D_PUBLIC_URL: ${C2D_PUBLIC_URL:-}
  C2D_ENGINES: ${C2D_ENGINES:-}
  C2D_CHAINS: ${C2D_CHAINS:-}
  C2D_FETCH_ALLOW: ${C2D_FETCH_ALLOW:-}
x-storage: &storage
  AWS_ACCESS_KEY_ID: ${AWS_ACCESS_KEY_ID:-}
  AWS_SECRET_ACCESS_KEY: ${AWS_SECRET_ACCESS_KEY:-}
x-handler-environment: &handler-environment
  <<: *environment
  C2D_SECRETS_KEY: ${C2D_SECRETS_KEY:?}
x-kept: &kept # logs do not fill the disk
  restart: unless-stopped
  logging: {driver: json-file, options: {max-size: 10m, max-file: "5"}}
x-node: &node
  <<: *kept
  image: c2d/node
  depends_on: {migrate: {condition: service_completed_successfully}}
x-held: &held
  <<: *node
  read_only: true
  tmpfs: ["/tmp"]
  cap_drop: ["ALL"]
  security_opt: ["no-new-privileges:true"]
x-handler: &handler
  <<: *held
  volumes: ["sockets:/run/c2d"]

services:
  database:
    <<: *kept
    image: postgres:17
    environment: {POSTGRES_USER: c2d, POSTGRES_DB: c2d, POSTGRES_PASSWORD: "${POSTGRES_PASSWORD:?}"}
    volumes: ["database:/var/lib/postgresql/data"]
    healthcheck: {test: ["CMD-SHELL", "pg_isready -U c2d"], interval: 2s, retries: 30}
  migrate:
    image: c2d/node
    command: ["c2d", "migrate"]
    environment: *handler-environment
    depends_on: {database: {condition: service_healthy}}
  proxy:
    <<: *kept
    image: nginx:stable
    ports: ["${C2D_PORT:-8080}:8080"]
    volumes: ["./nginx.conf:/etc/nginx/nginx.conf:ro", "sockets:/run/c2d"]
  passes:
    <<: *node
    command: ["python", "-m", "engines.run_docker", "--engine", "local", "--watch"]
    environment: {<<: [*environment, *storage], C2D_PRIVATE_KEY: "${C2D_PRIVATE_KEY:?}"}
    volumes: ["/var/run/docker.sock:/var/run/docker.sock"]
  settlement:
    <<: *held
    command: ["python", "-m", "engines.run_settlement", "--watch"]
    environment: {<<: [*environment, *storage], C2D_PRIVATE_KEY: "${C2D_PRIVATE_KEY:?}"}
HANDLERS
volumes: {database: {}, sockets: {}}
"""


def configuration(found: list[Route]) -> str:
    """The whole file."""
    sockets = {module: [f"unix:/run/c2d/{module}.sock"] for module in sorted({route.module for route in found})}
    return HEAD + nginx.configuration(found, sockets)


def composition(modules: Iterable[str]) -> str:
    """The compose file: its fixed part, and a service for each handler."""
    services = [
        SERVICE.format(module=module, threads=threads_of(module), merged=merged_of(module), wallet=wallet_of(module))
        for module in modules
    ]
    return COMPOSE.replace("HANDLERS\n", "".join(services))


def merged_of(module: str) -> str:
    """The settings that a handler is given, the store's keys only where it has to do with results."""
    return "[*handler-environment, *storage]" if module in STORING else "*handler-environment"


def wallet_of(module: str) -> str:
    """The wallet's key, for who signs."""
    return ', C2D_PRIVATE_KEY: "${C2D_PRIVATE_KEY:?}"' if module in SIGNING else ""


def files() -> dict[Path, str]:
    """What should be in each file."""
    declared = commands()
    modules, found = [module for module, _ in declared], routes(declared)
    return {
        INFRA / "nginx.conf": configuration(found),
        INFRA / "compose.yaml": composition(modules),
        **cluster.files(modules, found),
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
