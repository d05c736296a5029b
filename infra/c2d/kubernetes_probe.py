"""Own `c2d doctor --probe` on a cluster: two short pods a namespace tell what is enforced and what is reached."""

from __future__ import annotations

import secrets
from ipaddress import ip_network

from engines.compose import connection_of, mark
from engines.drivers.kubernetes_connect import connect
from engines.drivers.kubernetes_driver import KubernetesDriver
from engines.drivers.kubernetes_probe import Reached, try_pods
from infra.c2d.checks import Check
from shared.engine_config import EngineConfig
from shared.errors import C2DError
from shared.settings import NodeSettings
from shared.signatures import address_of

PLUGIN = "install a network plugin that enforces them (Calico, Cilium …), or run only algorithms you trust"
ADDRESS = (
    "is the node up there? C2D_POD_API_URL must be an address that pods reach; where it is a name, the engine's `dns` "
    "must say where the cluster's DNS is"
)


def probe(name: str, engine: EngineConfig, settings: NodeSettings) -> list[Check]:
    """Let pods try, under the very policies that jobs have."""
    what = f"{name}: tried by pods"
    if settings.private_key is None:
        return [Check(what, "warn", "not tried: there is no node key yet", "c2d up makes one, or set C2D_PRIVATE_KEY")]
    if settings.pod_api_url is None:
        return [Check(what, "warn", "not tried: nothing says how pods reach this node", "set C2D_POD_API_URL")]
    allowed = tuple(ip_network(each) for each in settings.fetch_allow)
    marked = mark(engine.name, address_of(settings.private_key))
    driver, found = KubernetesDriver(marked, connection_of(engine, settings), allowed), []
    for namespace in driver.settings.namespaces:
        where = f"{name}: pods of {namespace}"
        try:
            driver.ensure_policies(namespace)
            home, wall = try_pods(connect(engine.connection), driver.settings, namespace, secrets.token_hex(4))
        except C2DError as error:
            found.append(Check(where, "fail", error.detail, "mend that, and try again"))
            continue
        found += [way_home(where, home, settings.pod_api_url), walls(where, home, wall, driver.settings.has_gate)]
    return found


def way_home(where: str, home: Reached, url: str) -> Check:
    """Whether jobs' pods reach the node."""
    if home.last:
        return Check(f"{where}: way home", "ok", f"a pod reached {url}")
    return Check(f"{where}: way home", "fail", f"a pod could not connect to {url}", ADDRESS)


def walls(where: str, home: Reached, wall: Reached, has_gate: bool) -> Check:
    """Whether NetworkPolicies hold: judged by a pod that they let reach nothing."""
    what = f"{where}: NetworkPolicies"
    if wall.last:
        told = f"not enforced: a pod that may reach nothing reached {' and '.join(wall.last)}"
        return Check(what, "warn", told, PLUGIN)
    if not home.last:
        told = "a pod that may reach nothing reached nothing, nor did one that may call the node: that proves little"
        return Check(what, "warn", told, "try again once the way home is open")
    if wall.first and not has_gate:
        told = f"enforced late: a pod that may reach nothing reached {' and '.join(wall.first)} at first"
        return Check(what, "warn", told, "set networkGate, so that algorithms wait until they are kept in")
    return Check(what, "ok", "enforced: a pod that may reach nothing reached nothing, one that may call the node did")
