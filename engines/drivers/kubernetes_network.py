"""Own an engine's NetworkPolicies, three in each of its namespaces; pure. Whether they hold is the network plugin's."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from engines.drivers.kubernetes_manifests import LABEL_NETWORK
from engines.drivers.kubernetes_settings import KubernetesSettings
from engines.drivers.manifests import POD_NETWORK
from shared.names import LABEL_ENGINE

PRIVATE = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "224.0.0.0/4",
    "240.0.0.0/4",
)
PRIVATE_6 = ("::1/128", "64:ff9b::/96", "fc00::/7", "fe80::/10", "ff00::/8")
DNS_PORT = 53


def policies(settings: KubernetesSettings) -> list[dict[str, Any]]:
    """Nothing at all for algorithms; the node, DNS and data for pods; DNS and public addresses for who is granted."""
    dns = names(settings)
    granted = {"key": LABEL_NETWORK, "operator": "NotIn", "values": ["none", POD_NETWORK]}
    return [
        policy(settings, "algorithm", {LABEL_NETWORK: "none"}, []),
        policy(settings, "pods", {LABEL_NETWORK: POD_NETWORK}, [*dns, public(), *private(settings), *node(settings)]),
        policy(settings, "network", {}, [*dns, public()], [granted]),
    ]


def policy(
    settings: KubernetesSettings,
    what: str,
    wanted: Mapping[str, str],
    egress: list[dict[str, Any]],
    expressions: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """One policy: nothing comes in, and only this goes out."""
    chosen: dict[str, Any] = {"matchLabels": {LABEL_ENGINE: settings.engine, **wanted}}
    if expressions:
        chosen["matchExpressions"] = expressions
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": policy_name(settings.engine, what), "labels": {LABEL_ENGINE: settings.engine}},
        "spec": {
            "podSelector": chosen,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [],
            "egress": egress,
        },
    }


def policy_name(engine: str, what: str) -> str:
    """A name for Kubernetes from an engine's, which may have what those may not; no two engines share one.

    An engine's mark has one dot. Where more than that is rewritten, others might read the same: then a digest tells.
    """
    plain = re.sub(r"[^a-z0-9]+", "-", engine.lower())
    digest = "" if plain == engine.replace(".", "-", 1) else f"-{hashlib.sha256(engine.encode()).hexdigest()[:8]}"
    return f"c2d-{plain}{digest}-{what}"


def names(settings: KubernetesSettings) -> list[dict[str, Any]]:
    """The cluster's DNS: its pods, and the addresses it has besides. Port 53 of anybody would be a way out."""
    to: list[dict[str, Any]] = [{"ipBlock": {"cidr": each}} for each in settings.dns.get("addresses", ())]
    if settings.dns.get("namespace"):
        where = {"matchLabels": {"kubernetes.io/metadata.name": settings.dns["namespace"]}}
        chosen = {"matchLabels": dict(labels)} if (labels := settings.dns.get("pods")) else {}
        to.append({"namespaceSelector": where, "podSelector": chosen})
    port = settings.dns.get("port", DNS_PORT)
    return [{"to": to, "ports": [{"protocol": each, "port": port} for each in ("UDP", "TCP")]}] if to else []


def public() -> dict[str, Any]:
    """Every public address."""
    blocks = (("0.0.0.0/0", PRIVATE), ("::/0", PRIVATE_6))
    return {"to": [{"ipBlock": {"cidr": cidr, "except": list(but)}} for cidr, but in blocks]}


def private(settings: KubernetesSettings) -> list[dict[str, Any]]:
    """The networks that the operator lets inputs come from."""
    return [{"to": [{"ipBlock": {"cidr": each}} for each in settings.fetch_allow]}] if settings.fetch_allow else []


def node(settings: KubernetesSettings) -> list[dict[str, Any]]:
    """The node: its pods wherever they are, and the address in its URL where that is one."""
    if settings.pod_api_url is None:
        return []
    pods = {"namespaceSelector": {}, "podSelector": {"matchLabels": dict(settings.node_pods)}}
    parts = urlsplit(settings.pod_api_url)
    rules: list[dict[str, Any]] = [{"to": [pods]}]
    try:
        address = ipaddress.ip_address(parts.hostname or "")
    except ValueError:
        return rules
    port = parts.port or (443 if parts.scheme == "https" else 80)
    block = {"ipBlock": {"cidr": f"{address}/{address.max_prefixlen}"}}
    return [*rules, {"to": [block], "ports": [{"protocol": "TCP", "port": port}]}]
