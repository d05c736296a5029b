"""Own the Docker engine: the driver's verbs as calls of the Engine API, over a socket or TCP with TLS."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import docker
import docker.tls

from engines.drivers.base import Capabilities, ImageRef, PhaseSpec
from engines.drivers.docker_api import (
    QUICK_S,
    SLOW_S,
    DockerApi,
    demultiplexed,
    from_offset,
    gathered,
    label_filter,
    refused,
)
from engines.drivers.docker_events import watch_containers
from engines.drivers.docker_images import DockerImages, wire_architecture
from engines.drivers.docker_network import DEFAULT_NAME, PodNetwork
from engines.drivers.docker_seen import STATES, DockerSeen, time_ms
from engines.drivers.manifests import POD_NETWORK, DockerHost, create_body
from engines.observation import ContainerSeen, ContainerState, Seen
from shared import names
from shared.disk_usage import folder_bytes
from shared.errors import SettingsError, Unavailable
from shared.files.base import Network
from shared.names import JobId, Phase

DEFAULT_SOCKET = "/var/run/docker.sock"
CONNECTIONS = 64
"Kept open, one for each thread that talks at once."
LOG_CHUNK_BYTES = 1 << 16
TRIES, BETWEEN_TRIES_S = 50, 0.1
ALL_PHASES = frozenset(phase.value for phase in Phase)
"What a build leaves while it runs has the job's label and no phase."


class DockerDriver:
    """Drive one Docker Engine. Threads share it; nothing is sent before the first verb.

    `connection`: `socket` (a path), or `host` (`tcp://…`) and `tls` (`ca`, `cert`, `key`: paths); `podNetwork`: the
    name of the network for pods. `fetch_allow`: private networks whose registries may be pulled from.
    """

    def __init__(self, engine: str, connection: Mapping[str, Any], fetch_allow: Iterable[Network] = ()) -> None:
        self._engine = engine
        client = connect(connection)
        self._connection, self._last_id = connection, ""
        self._is_local = "host" not in connection
        self._api = DockerApi(client, str(client.base_url))
        self._images = DockerImages(self._api, engine, tuple(fetch_allow))
        self._seen = DockerSeen(self._api)
        self._network = PodNetwork(self._api, str(connection.get("podNetwork", DEFAULT_NAME)))
        self._has_quota: bool | None = None

    def daemon_id(self) -> str:
        """The engine's own id and its data folder: up to 20.10 all engines of one machine have the same id.

        Asked of who listens now, not over a connection kept open; those are dropped when it is another engine.
        """
        client = connect(self._connection)
        try:
            info = DockerApi(client, str(client.base_url)).call("GET", "/info").body
        finally:
            client.close()
        found = f"{info['ID']} {info['DockerRootDir']}"
        if self._last_id not in ("", found):
            self._api.drop_connections()
        self._last_id = found
        return found

    def capabilities(self) -> Capabilities:
        """What the engine has; makes the pods' network, whose gateway it tells."""
        info = self._api.call("GET", "/info").body
        root = str(info.get("DockerRootDir", ""))
        is_here = self._is_local and os.path.isdir(root)
        has_quota = self._enforces_quota()
        notes = () if has_quota else ("Disk limits are watched from outside: the engine's volumes have no quotas.",)
        return Capabilities(
            kind="docker",
            version=str(info.get("ServerVersion", "")),
            enforces_disk_quota=has_quota,
            cpu_cores=float(info.get("NCPU", 0)),
            memory_bytes=int(info.get("MemTotal", 0)),
            disk_bytes=shutil.disk_usage(root).total if is_here else 0,
            architecture=wire_architecture(str(info.get("Architecture", ""))),
            os=str(info.get("OSType", "linux")),
            notes=notes if is_here else (*notes, "The size of the engine's disk cannot be seen from here."),
            pod_gateway=self._network.gateway() if self._is_local else None,
        )

    def ensure_image(self, job_id: JobId, image: ImageRef, note: Callable[[str], None]) -> str:
        """Pull or build, and return the image's id."""
        return self._images.ensure(job_id, image, note)

    def ensure_surroundings(self) -> None:
        """Nothing: a network that is in use cannot be removed, and containers without one need none."""

    def ensure_volume(self, job_id: JobId, size_bytes: int, placement: Mapping[str, Any] | None = None) -> None:
        """Have the volume; one that is there keeps the size it has."""
        body: dict[str, Any] = {"Name": names.volume_name(job_id), "Labels": names.labels(job_id, self._engine)}
        if self._enforces_quota():
            body["DriverOpts"] = {"size": str(size_bytes)}
        answer = self._api.attempt("/volumes/create", body=body)
        if answer.status >= 400 and answer.status != 409:
            raise refused("The job's volume cannot be made", answer)

    def ensure_created(self, spec: PhaseSpec) -> None:
        """Create; a name that is taken by a container is success."""
        name = names.container_name(spec.job_id, spec.phase)
        if spec.network == POD_NETWORK:
            self._network.ensure()
        if spec.home_defaults:
            self._images.knows(spec.image)
        for _ in range(TRIES):
            answer = self._api.attempt("/containers/create", query={"name": name}, body=self._body(spec))
            if answer.status < 400:
                return
            if answer.status != 409:
                raise refused("The container cannot be made", answer)
            if self._api.is_there(f"/containers/{name}/json") is not None:
                return
            threading.Event().wait(BETWEEN_TRIES_S)  # the name is taken: somebody is just making or removing it
        raise Unavailable(f"The container {name} is being made or removed by somebody else.")

    def recreate(self, spec: PhaseSpec) -> None:
        """Remove the phase's container if it has ended, and make a new one."""
        name = names.container_name(spec.job_id, spec.phase)
        found = self._api.is_there(f"/containers/{name}/json")
        if found is not None and STATES.get(found["State"]["Status"]) is ContainerState.EXITED:
            self._remove_container(name)
        self.ensure_created(spec)

    def start(self, spec: PhaseSpec) -> None:
        """Start what never was: the engine itself would start an ended container again."""
        path = f"/containers/{names.container_name(spec.job_id, spec.phase)}"
        if not self._is_unstarted(path):
            return
        answer = self._api.attempt(f"{path}/start")
        if answer.status >= 400 and self._is_unstarted(path):
            raise refused("The container cannot be started", answer)

    def observe(self, job_id: JobId) -> Seen:
        """List the job's containers and look at those that have changed; at the volume only if there are none."""
        listed = self._list({names.LABEL_JOB: job_id})
        containers: dict[Phase, ContainerSeen] = {}
        for entry in listed:
            label = entry["Labels"].get(names.LABEL_PHASE)
            seen = self._seen.container(entry, Phase(label)) if label in ALL_PHASES else None
            if seen is not None:
                containers[Phase(label)] = seen
        return Seen(has_volume=bool(containers) or self._volume(job_id) is not None, containers=containers)

    def measure_disk(self, job_id: JobId) -> int | None:
        """Bytes of the volume and of what the algorithm wrote elsewhere in its container, which no quota bounds."""
        return self._volume_bytes(job_id) + self._layer_bytes(names.container_name(job_id, Phase.RUN))

    def stop(self, job_id: JobId, phase: Phase, grace_s: int) -> None:
        """SIGTERM, and SIGKILL after the grace; what is not running or not there is stopped."""
        path = f"/containers/{names.container_name(job_id, phase)}/stop"
        self._api.call("POST", path, query={"t": grace_s}, accept=(404,), timeout_s=grace_s + QUICK_S)

    def read_log(self, job_id: JobId, phase: Phase, offset: int = 0) -> Iterator[bytes]:
        """Read from the start and skip: the engine keeps no offsets. No container, no bytes."""
        path = f"/containers/{names.container_name(job_id, phase)}/logs"
        with self._api.stream("GET", path, query={"stdout": 1, "stderr": 1}, timeout_s=QUICK_S) as response:
            if response.status_code == 404:
                return
            if response.status_code != 200:
                raise Unavailable(f"The Docker Engine does not give the log: status {response.status_code}.")
            plain = demultiplexed(response.iter_content(LOG_CHUNK_BYTES))
            yield from gathered(from_offset(plain, offset), LOG_CHUNK_BYTES)

    def remove(self, job_id: JobId) -> None:
        """Remove the containers at once, then volume and built image. Raises: Unavailable while one is in use."""
        containers = [names.container_name(job_id, phase) for phase in Phase]
        with ThreadPoolExecutor(len(containers)) as pool:
            list(pool.map(self._remove_container, containers))
        volume = f"/volumes/{names.volume_name(job_id)}"
        self._api.call("DELETE", volume, query={"force": "true"}, accept=(404,), timeout_s=SLOW_S)
        self._images.remove_built(job_id)

    def list_jobs(self) -> Mapping[JobId, int]:
        """Look for the engine's label on containers, volumes and images."""
        query = {"filters": label_filter(label=[f"{names.LABEL_ENGINE}={self._engine}"])}
        volumes = self._api.call("GET", "/volumes", query=query).body["Volumes"] or []
        things = [(entry["Labels"], int(entry["Created"]) * 1000) for entry in self._list({})]
        things += [(entry["Labels"], time_ms(entry.get("CreatedAt")) or 0) for entry in volumes]
        things += [(entry["Labels"], int(entry["Created"]) * 1000) for entry in self._images.built(query)]
        youngest: dict[JobId, int] = {}
        for labels, made_at in things:
            job_id = JobId(labels.get(names.LABEL_JOB, ""))
            youngest[job_id] = max(made_at, youngest.get(job_id, 0))
        return {job_id: made_at for job_id, made_at in youngest.items() if job_id}

    def watch(self, wake: Callable[[JobId], None], is_stopped: Callable[[], bool]) -> None:
        """Follow the engine's events; looks up every second whether to stop, and takes up where it left off."""
        watch_containers(self._api, self._engine, wake, is_stopped)

    def manifest(self, spec: PhaseSpec) -> dict[str, Any]:
        """The create body with the container's name; secrets as they are in `spec`."""
        return {"Name": names.container_name(spec.job_id, spec.phase), **self._body(spec)}

    def _body(self, spec: PhaseSpec) -> dict[str, Any]:
        return create_body(spec, DockerHost(self._network.name, self._images.configs))

    def _is_unstarted(self, path: str) -> bool:
        found = self._api.is_there(f"{path}/json")
        return found is not None and found["State"]["Status"] == "created"

    def _remove_container(self, name: str) -> None:
        query = {"force": "true", "v": "true"}
        self._api.call("DELETE", f"/containers/{name}", query=query, accept=(404, 409), timeout_s=SLOW_S)

    def _list(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        wanted = {names.LABEL_ENGINE: self._engine, **labels}
        query = {"all": 1, "filters": label_filter(label=[f"{name}={value}" for name, value in wanted.items()])}
        found: list[dict[str, Any]] = self._api.call("GET", "/containers/json", query=query).body
        return found

    def _volume(self, job_id: JobId) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._api.is_there(f"/volumes/{names.volume_name(job_id)}")
        labels = (found or {}).get("Labels") or {}
        return found if labels.get(names.LABEL_ENGINE) == self._engine else None

    def _volume_bytes(self, job_id: JobId) -> int:
        found = self._volume(job_id)
        if found is None:
            return 0
        if self._is_local and os.access(found["Mountpoint"], os.R_OK | os.X_OK):
            return folder_bytes(found["Mountpoint"])
        volumes = self._api.call("GET", "/system/df", timeout_s=SLOW_S).body["Volumes"] or []
        sizes = [int(entry["UsageData"]["Size"]) for entry in volumes if entry["Name"] == found["Name"]]
        return max(0, *sizes, 0)

    def _layer_bytes(self, container: str) -> int:
        found = self._api.is_there(f"/containers/{container}/json")
        if found is None:
            return 0
        layer = str(((found.get("GraphDriver") or {}).get("Data") or {}).get("UpperDir", ""))
        if self._is_local and layer and os.access(layer, os.R_OK | os.X_OK):
            return folder_bytes(layer)
        sized = self._api.call("GET", f"/containers/{container}/json", query={"size": 1}, accept=(404,))
        return int((sized.body or {}).get("SizeRw") or 0)

    def _enforces_quota(self) -> bool:
        """Whether volumes can have a size, found out once by making one."""
        if self._has_quota is None:
            name = f"c2d-quota-probe-{os.getpid()}"
            probe = {"Name": name, "DriverOpts": {"size": "1048576"}}
            answer = self._api.call("POST", "/volumes/create", body=probe, accept=(400, 500))
            if answer.status < 400:
                self._api.call("DELETE", f"/volumes/{name}", accept=(404,))
            self._has_quota = answer.status < 400
        return self._has_quota


def connect(connection: Mapping[str, Any]) -> Any:
    """Make the session; nothing is sent yet. Raises: SettingsError."""
    host = connection.get("host")
    address = str(host) if host else f"unix://{connection.get('socket') or DEFAULT_SOCKET}"
    try:
        client = docker.APIClient(
            base_url=address, version="1.41", tls=tls_of(connection.get("tls")), max_pool_size=CONNECTIONS
        )
    except docker.errors.DockerException as error:
        raise SettingsError(f"The Docker Engine's connection {address} cannot be used: {error}") from error
    client.trust_env = False  # a proxy of the environment is for the outside, not for the engine
    return client


def tls_of(paths: Mapping[str, str] | None) -> Any:
    """TLS with the engine's CA and our certificate; false for none."""
    if not paths:
        return False
    pair = (paths["cert"], paths["key"]) if "cert" in paths else None
    return docker.tls.TLSConfig(client_cert=pair, ca_cert=paths.get("ca"), verify=True)
