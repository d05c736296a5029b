"""Own the names under which the root document advertises services (wire §3), and which routes the node has at all.

Clients find their paths by those names; a process tells by the routes what another of the node's serves. Only what is
built is listed. The bucket routes with an id in their path never are: clients would use it literally.
"""

from __future__ import annotations

SERVICE_ENDPOINTS: dict[str, tuple[str, str]] = {
    "nonce": ("GET", "/api/services/nonce"),
    "encrypt": ("POST", "/api/services/encrypt"),
    "encryptFile": ("POST", "/api/services/encryptFile"),
    "fileInfo": ("POST", "/api/services/fileInfo"),
    "computeEnvironments": ("GET", "/api/services/computeEnvironments"),
    "initializeCompute": ("POST", "/api/services/initializeCompute"),
    "computeStart": ("POST", "/api/services/compute"),
    "freeCompute": ("POST", "/api/services/freeCompute"),
    "computeStop": ("PUT", "/api/services/compute"),
    "computeStatus": ("GET", "/api/services/compute"),
    "computeResult": ("GET", "/api/services/computeResult"),
    "computeStreamableLogs": ("GET", "/api/services/computeStreamableLogs"),
    "computeEvents": ("GET", "/api/services/computeEvents"),
    "generateAuthToken": ("POST", "/api/services/auth/token"),
    "invalidateAuthToken": ("POST", "/api/services/auth/token/invalidate"),
    "jobs": ("GET", "/api/services/jobs"),
    "directCommand": ("POST", "/directCommand"),
    "logs": ("POST", "/logs"),
}

ROUTES: frozenset[tuple[str, str]] = frozenset(SERVICE_ENDPOINTS.values()) | {
    ("GET", "/"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
    ("GET", "/api/services/status"),
    ("GET", "/api/services/jobs/{job}"),
    ("POST", "/log/{id}"),
    ("POST", "/api/services/c2dJobProvision"),
    ("POST", "/api/services/c2dJobStatusUpdate"),
    ("POST", "/api/services/c2dJobPublishResult"),
}
"""Every method and path that a proxy leads to some process of the node; `/metrics` is not: no route leads there."""

NOT_BUILT = frozenset(
    {
        "stopJob", "download", "decryptDDO", "getDDO", "query", "detailedStatus",
        "findDDO", "getFees", "validateDDO", "stopNode", "reindexTx", "reindexChain", "handleIndexingThread",
        "collectFees", "PolicyServerPassthrough", "initializePSVerification", "getP2PPeer", "getP2PPeers",
        "getP2PNetworkStats", "findPeer", "fetchConfig", "pushConfig", "getAccessList", "searchAccessList",
        "getEscrowEvents", "persistentStorageCreateBucket", "persistentStorageUpdateBucket",
        "persistentStorageGetBuckets", "persistentStorageListFiles", "persistentStorageUploadFile",
        "persistentStorageGetFileObject", "persistentStorageDeleteFile",
    }
)  # fmt: skip
"Commands of the field's nodes that this one knows of and does not have."

NOT_BUILT_ROUTES = frozenset({("DELETE", "/api/services/compute")})
"Methods of the field's nodes that this one does not have, at paths it does have."


def is_routed(path: str, method: str = "") -> bool:
    """Whether the node has such a path, or that very method at it, whichever of its processes serves it."""
    return any(method in ("", verb) and _means(route, path) for verb, route in ROUTES)


def _means(route: str, path: str) -> bool:
    """Whether a path is a route's: the same parts, a parameter being any part that is not empty."""
    wanted, given = route.split("/"), path.split("/")
    return len(wanted) == len(given) and all(
        here == there or (here.startswith("{") and there) for here, there in zip(wanted, given, strict=True)
    )
