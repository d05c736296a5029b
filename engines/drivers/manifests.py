"""Own the documents handed to engines: a phase's spec as a Docker create body; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engines.drivers.base import GpuRequest, PhaseSpec
from shared import names

POD_NETWORK = "pod"
DATA_DIR = "/data"
LOG_FILE_MAX = {"max-size": "64m", "max-file": "2"}
"A flood of output keeps its last 64 to 128 MiB and never fills the host."
WRITABLE_HOME = {
    "HOME": "/tmp",
    "MPLCONFIGDIR": "/tmp/matplotlib",
    "XDG_CACHE_HOME": "/tmp/cache",
    "NUMBA_CACHE_DIR": "/tmp/numba",
}
"Container contract §5.3: user 1000 would have `/`, which it cannot write."
ADVANCED_ONE = ("IpcMode", "ShmSize")
"Settings of a raw device request that a later one replaces; the others add up."


@dataclass(frozen=True)
class ImageConfig:
    """What matters of an image's own configuration."""

    user: str = ""
    environment: tuple[str, ...] = ()
    "`NAME=value`, as the image has it."

    @property
    def own_user(self) -> str | None:
        """The image's user where it is numeric and not root: the one it keeps."""
        uid = self.user.split(":")[0]
        return self.user if uid.isdecimal() and int(uid) != 0 else None

    @property
    def variables(self) -> frozenset[str]:
        """The names the image sets."""
        return frozenset(entry.split("=", 1)[0] for entry in self.environment)


@dataclass(frozen=True)
class DockerHost:
    """What a create body needs to know of its engine."""

    pod_network: str = "c2d-pods"
    images: Mapping[str, ImageConfig] = field(default_factory=dict)


def create_body(spec: PhaseSpec, host: DockerHost = DockerHost()) -> dict[str, Any]:
    """The body of Docker's `POST /containers/create` for a phase; its name goes beside it."""
    image = host.images.get(spec.image, ImageConfig())
    user = chosen_user(spec, image)
    body: dict[str, Any] = {
        "Image": spec.image,
        "Env": environment(spec, image),
        "Labels": {**names.labels(spec.job_id, spec.engine), names.LABEL_PHASE: spec.phase.value},
        "HostConfig": host_config(spec, host),
    }
    if spec.command is not None:
        body |= {"Entrypoint": list(spec.command), "Cmd": []}
    if user is not None:
        body["User"] = user
    return body


def chosen_user(spec: PhaseSpec, image: ImageConfig) -> str | None:
    """The spec's user; an algorithm's image keeps its own where that is numeric and not root (contract §6)."""
    return (image.own_user or spec.user) if spec.home_defaults else spec.user


def environment(spec: PhaseSpec, image: ImageConfig) -> list[str]:
    """Defaults for HOME and caches, then what the job sets, then secrets; the image's own are left alone."""
    home = WRITABLE_HOME if spec.home_defaults and image.own_user is None else {}
    defaults = {name: value for name, value in home.items() if name not in image.variables}
    return [f"{name}={value}" for name, value in (defaults | {**spec.environment, **spec.secret_environment}).items()]


def host_config(spec: PhaseSpec, host: DockerHost) -> dict[str, Any]:
    """Limits, hardening, network, volume and devices."""
    config: dict[str, Any] = {
        "NetworkMode": network_mode(spec.network, host.pod_network),
        "Mounts": [data_mount(spec)],
        "NanoCpus": round(spec.cpu_cores * 1e9),
        "Memory": spec.memory_bytes,
        "MemorySwap": spec.memory_bytes,  # the same: no swap
        "OomKillDisable": False,
        "PidsLimit": spec.pids,
        "CapDrop": ["ALL"],
        "CapAdd": list(spec.capabilities),
        "SecurityOpt": ["no-new-privileges"],
        "ReadonlyRootfs": False,
        "Init": True,  # SIGTERM reaches programs that set no handler, and orphans are reaped
        "LogConfig": {"Type": "json-file", "Config": dict(LOG_FILE_MAX)},
    }
    return with_devices(config, spec.gpu)


def network_mode(network: str | None, pod_network: str) -> str:
    """No network unless asked; the pods' own for `pod`; else what the operator named."""
    if network is None:
        return "none"
    return pod_network if network == POD_NETWORK else network


def data_mount(spec: PhaseSpec) -> dict[str, Any]:
    """The job's volume at /data, as it is: nothing of the image is copied into it."""
    return {
        "Type": "volume",
        "Source": names.volume_name(spec.job_id),
        "Target": DATA_DIR,
        "VolumeOptions": {"NoCopy": True, "Labels": names.labels(spec.job_id, spec.engine)},
    }


def with_devices(config: dict[str, Any], gpu: GpuRequest) -> dict[str, Any]:
    """Add the granted devices (wire §20.5): requests as they are, and the raw settings of `advanced`."""
    if gpu.device_requests:
        config["DeviceRequests"] = [dict(request) for request in gpu.device_requests]
    for advanced in gpu.advanced:
        add_to(config, "Devices", [device(entry) for entry in advanced.get("Devices") or ()])
        add_to(config, "SecurityOpt", security_options(advanced.get("SecurityOpt") or ()))
        for name in ("GroupAdd", "CapAdd", "CapDrop", "Binds"):
            add_to(config, name, advanced.get(name) or ())
        config.update({name: advanced[name] for name in ADVANCED_ONE if advanced.get(name)})
    return config


def add_to(config: dict[str, Any], name: str, more: Iterable[Any]) -> None:
    """Append what is not there yet; a list nobody needs is not made."""
    missing = [entry for entry in more if entry not in config.get(name, ())]
    if missing:
        config[name] = [*config.get(name, ()), *missing]


def device(entry: str | Mapping[str, Any]) -> dict[str, Any]:
    """A raw device, given as a path or as Docker's own three fields."""
    if not isinstance(entry, str):
        return dict(entry)
    return {"PathOnHost": entry, "PathInContainer": entry, "CgroupPermissions": "rwm"}


def security_options(options: Iterable[str] | Mapping[str, str]) -> list[str]:
    """`key=value` strings, from a list of them or from a mapping."""
    if isinstance(options, Mapping):
        return [f"{key}={value}" for key, value in options.items()]
    return list(options)
