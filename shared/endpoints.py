"""Own the names under which the root document advertises services (wire §3); clients find their paths by them.

Only what is built is listed. The bucket routes with an id in their path never are: clients would use it literally.
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
