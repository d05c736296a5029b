"""Own what infra/kubernetes has of each core command: a Deployment, a Service, a budget, routes. The rest is by hand.

What all handlers have in common is base/handler.yaml, which kustomize lays over each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra import nginx
from infra.routing import INFRA, PARAMETER, ROOT, SIGNING, STORING, STREAMING, Route, by_path, threads_of

KUBERNETES = INFRA / "kubernetes"
INSIDE = frozenset({"metrics"})
"Reached from inside the cluster alone: no route leads there."
BUSY = frozenset({"root", "nonce", "status", "environments"})
"Asked by every client before every call."
QUIET = frozenset({"docs", "openapi", "node_logs", "metrics"})
"Missed by nobody for the seconds a pod takes to start."
PORT = 8000

MADE = "# Made by `python -m infra.deployment` from the commands there are; edit infra/cluster.py.\n"

HANDLER = """\
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, labels: {{c2d.node/handler: {name}{storage}{wallet}}}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{c2d.node/handler: {name}}}}}
  template:
    metadata: {{labels: {{c2d.node/handler: {name}}}}}
    spec:
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector: {{matchLabels: {{c2d.node/handler: {name}}}}}
      containers:
        - name: handler
          image: c2d/node
          args: ["handlers.{module}:create_app()"]
          env: [{{name: C2D_THREADS, value: "{threads}"}}{more}]
          resources:
            requests: {{cpu: {cpu}, memory: {memory}}}
            limits: {{memory: {most}}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, labels: {{c2d.node/handler: {name}}}}}
spec:
  selector: {{c2d.node/handler: {name}}}
  ports: [{{name: http, protocol: TCP, port: {port}, targetPort: http}}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: {name}}}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow # a broken pod keeps no machine from being emptied
  selector: {{matchLabels: {{c2d.node/handler: {name}}}}}
"""

ROUTE = """\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}}}
spec:
  parentRefs: [{{name: c2d}}]
  rules:
    - matches:
{matches}
      backendRefs: [{{name: {name}, port: {port}}}]
      timeouts: {{request: {timeout}}}
"""


@dataclass(frozen=True)
class Share:
    """What one handler is given."""

    replicas: int
    cpu: str = "50m"
    memory: str = "128Mi"
    most: str = "384Mi"


def share_of(module: str) -> Share:
    """How often a handler runs, and with how much; an overlay says otherwise where a node's use differs."""
    if module in STREAMING:
        return Share(2, memory="256Mi", most="1Gi")
    if module in BUSY:
        return Share(3, cpu="100m")
    return Share(1 if module in QUIET else 2)


def files(modules: Sequence[str], found: list[Route]) -> dict[Path, str]:
    """What should be in each file."""
    return {
        KUBERNETES / "base" / "handlers.yaml": MADE + "".join(handler(module) for module in modules),
        KUBERNETES / "parts" / "gateway" / "routes.yaml": MADE + "".join(gateway_routes(found)),
        KUBERNETES / "parts" / "nginx" / "nginx.conf": MADE + proxy(modules, found),
    }


def name_of(module: str) -> str:
    """What a handler's objects are called."""
    return module.replace("_", "-")


def handler(module: str) -> str:
    """One handler's Deployment, Service and budget."""
    share = share_of(module)
    return HANDLER.format(
        name=name_of(module), module=module, port=PORT, threads=threads_of(module), replicas=share.replicas,
        cpu=share.cpu, memory=share.memory, most=share.most,
        storage=', c2d.node/storage: "yes"' if module in STORING else "",
        wallet=', c2d.node/wallet: "yes"' if module in SIGNING else "",
        more=', {name: C2D_METRICS_PUBLIC, value: "yes"}' if module in INSIDE else "",
    )  # fmt: skip


def gateway_routes(found: list[Route]) -> Iterable[str]:
    """A route object for each handler: its methods and paths, and its paths with any other method."""
    reached = [route for route in found if route.module not in INSIDE]
    answers = by_path(reached)
    for module in sorted({route.module for route in reached}):
        own = [route for route in reached if route.module == module]
        matches = [match(route.path, route.method) for route in own]
        matches += [match(path) for path in sorted({each.path for each in own if answers[each.pattern] == module})]
        matches += ['        - path: {type: PathPrefix, value: "/"}'] if module == ROOT else []
        timeout = "0s" if module in STREAMING or module.startswith("job_") else "60s"
        yield ROUTE.format(name=name_of(module), port=PORT, matches="\n".join(matches), timeout=timeout)


def match(path: str, method: str = "") -> str:
    """One way to be meant: a path as it is, or up to its parameter; of one method, or of all others too."""
    fixed = PARAMETER.split(path)[0]
    kind, value = ("Exact", path) if fixed == path else ("PathPrefix", fixed.rstrip("/"))
    return f'        - path: {{type: {kind}, value: "{value}"}}' + (f"\n          method: {method}" if method else "")


def proxy(modules: Iterable[str], found: list[Route]) -> str:
    """nginx before the Services. Each is named three times: a connection to a pod just gone is tried again."""
    servers = {module: [f"{name_of(module)}:{PORT} max_fails=0"] * 3 for module in modules if module not in INSIDE}
    temporary = "".join(
        f"    {kind}_temp_path /tmp/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    told = nginx.configuration(found, servers, "pid /tmp/nginx.pid;\nerror_log /dev/stderr warn;\n")
    return told.replace("    access_log off;\n", f"    access_log off;\n{temporary}")
