"""A node of the cluster behind which there is no machine: the API server, the scheduler and the controllers are real.

It says that it is well as a kubelet would, and that its pods run; a configuration pod it really runs, as a process.
Then it falls silent, or is deleted. Other people's pods do not come to it: it has a taint of its own.
"""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engines.drivers.kubernetes_api import STRATEGIC, KubernetesApi
from engines.drivers.kubernetes_connect import connect
from engines.drivers.kubernetes_one_manifests import HELD
from engines.drivers.kubernetes_seen import NO_IMAGE
from shared.errors import C2DError
from shared.names import LABEL_PHASE, Phase
from tests.services.kubernetes import GHOST, HOME, machines

NODES = "/api/v1/nodes"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
ROOT = Path(__file__).parents[2]
EVERY_S = 0.3
BEAT_S = 5.0
Json = dict[str, Any]
Place = tuple[str, str]
"A pod's uid and the name of a container of it."


@dataclass
class Ghost:
    """One such node."""

    api: KubernetesApi
    name: str
    door: socket.socket
    "Where its kubelet would listen: who asks is refused, and gets no answer at all once it is silent."
    folder: Path
    "Volumes of pods that have their own."
    is_heard: bool = False
    ended: threading.Event = field(default_factory=threading.Event)
    states: dict[Place, Json] = field(default_factory=dict)
    at_work: dict[Place, subprocess.Popen[bytes]] = field(default_factory=dict)
    used: set[Path] = field(default_factory=set)
    "Volumes that have been worked on here."
    told: dict[str, str] = field(default_factory=dict)
    "What it last said of each pod."

    @property
    def path(self) -> str:
        """Where its object is."""
        return f"{NODES}/{self.name}"

    @property
    def tolerated(self) -> Json:
        """What a pod needs that is to come here."""
        return {"key": GHOST, "operator": "Equal", "value": self.name, "effect": "NoSchedule"}

    def appear(self) -> None:
        """Register, and be well; once more, after a silence, too."""
        about = {"name": self.name, "labels": {GHOST: self.name, "kubernetes.io/hostname": self.name}}
        taints = [{"key": GHOST, "value": self.name, "effect": "NoSchedule"}]
        self.api.create(NODES, {"kind": "Node", "metadata": about, "spec": {"taints": taints}})
        self.told.clear()
        self.is_heard = True
        self.beat()

    def beat(self) -> None:
        """Say that it lives, in both ways."""
        lease = {"holderIdentity": self.name, "leaseDurationSeconds": 40, "renewTime": f"{stamp()[:-1]}.000000Z"}
        body = {"kind": "Lease", "metadata": {"name": self.name}, "spec": lease}
        if not self.api.create(LEASES, body):
            self.api.patch(f"{LEASES}/{self.name}", {"spec": lease})
        self.say("True", "KubeletReady")

    def say(self, ready: str, reason: str) -> None:
        """Its status, with this for the condition `Ready`."""
        room = {"cpu": "4", "memory": "8Gi", "pods": "40", "ephemeral-storage": "50Gi"}
        condition = {
            "type": "Ready", "status": ready, "reason": reason, "message": "a test's",
            "lastHeartbeatTime": stamp(), "lastTransitionTime": stamp(),
        }  # fmt: skip
        status = {
            "capacity": room, "allocatable": room, "conditions": [condition],
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self.door.getsockname()[1]}},
            "nodeInfo": {"architecture": "amd64", "operatingSystem": "linux"},
        }  # fmt: skip
        self.api.patch(f"{self.path}/status", {"status": status}, content_type=STRATEGIC)

    def fall_silent(self, *, is_noticed: bool) -> None:
        """Be heard of no more. `is_noticed` spares the cluster its 40 s; it then says nothing of the pods itself."""
        self._die()
        self.door.listen()
        if is_noticed:
            self.say("Unknown", "NodeStatusUnknown")

    def vanish(self) -> None:
        """Be deleted, as the node of a machine that was given back; what ran there is no more."""
        self._die()
        self.api.delete(self.path)
        self.api.delete(f"{LEASES}/{self.name}")

    def _die(self) -> None:
        """End what runs here; what it wrote is everybody's, as if it had been written by who acts in pods."""
        self.is_heard = False
        for process in self.at_work.values():
            process.kill()
            process.wait()
        for path in [each for folder in self.used for each in (folder, *folder.rglob("*"))]:
            with contextlib.suppress(FileNotFoundError):
                path.chmod(0o777)

    def take(self, label: str) -> None:
        """Have a label that no other node has: pods that ask for it come here from now on."""
        self._label(label, "yes", None)

    def leave(self, label: str) -> None:
        """Have the machines that exist have the label: the same pods go there."""
        self._label(label, None, "yes")

    def _label(self, label: str, own: str | None, others: str | None) -> None:
        labels = {self.name: own} | {each["metadata"]["name"]: others for each in machines(self.api)}
        for name, value in labels.items():
            self.api.patch(f"{NODES}/{name}", {"metadata": {"labels": {label: value}}})

    def pods(self) -> list[Json]:
        """All that were put on it."""
        found = self.api.call("GET", "/api/v1/pods", query={"fieldSelector": f"spec.nodeName={self.name}"}).body
        items: list[Json] = found["items"]
        return items

    def live(self) -> None:
        """Be a kubelet until the end: beat, and do what pods ask for."""
        rounds = 0
        while not self.ended.wait(EVERY_S):
            with contextlib.suppress(C2DError, OSError):
                if self.is_heard and rounds % round(BEAT_S / EVERY_S) == 0:
                    self.beat()
                for pod in self.pods() if self.is_heard else ():
                    self.serve(pod)
            rounds += 1

    def serve(self, pod: Json) -> None:
        """Have one pod as it should be, and tell of it where that is news."""
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
        is_leaving = bool(pod["metadata"].get("deletionTimestamp"))
        for each in pod["spec"]["containers"]:
            self.states[pod["metadata"]["uid"], each["name"]] = self._next(pod, each, is_leaving)
        status = self._status(pod)
        if self.told.get(pod["metadata"]["uid"]) != str(status["containerStatuses"]):
            self.told[pod["metadata"]["uid"]] = str(status["containerStatuses"])
            self.api.patch(f"{path}/status", {"status": status}, content_type=STRATEGIC)
        if is_leaving:
            self.api.delete(path, grace_s=0)

    def end(self, pod: Json, exit_code: int) -> None:
        """Have the containers that run end by themselves."""
        for each in pod["spec"]["containers"]:
            place = pod["metadata"]["uid"], each["name"]
            if "running" in self.states[place]:
                self.states[place] = end(self.states[place], exit_code)

    def _next(self, pod: Json, container: Json, is_leaving: bool) -> Json:
        """A container's state from now on."""
        place = pod["metadata"]["uid"], container["name"]
        state = self.states.get(place, {})
        if "terminated" in state:
            return state
        if container["image"] in (HELD, NO_IMAGE) or is_leaving:
            return end(state, 143) if "running" in state else {"waiting": {"reason": "InvalidImageName"}}
        if "running" in state:
            code = self.at_work[place].poll() if place in self.at_work else None
            return state if code is None else end(state, code)
        if Phase.PROVISION in (container["name"], (pod["metadata"].get("labels") or {}).get(LABEL_PHASE)):
            self.at_work[place] = self._begun(pod, container)
        return {"running": {"startedAt": stamp()}}

    def _begun(self, pod: Json, container: Json) -> subprocess.Popen[bytes]:
        """Run a configuration pod's program here, on the pod's volume."""
        told = {each["name"]: each.get("value") or self._secret(pod, each) for each in container["env"]}
        command, environment = [sys.executable, "-m", "pods.configuration"], {"C2D_DATA": str(self.volume_of(pod))}
        return subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **told, **environment},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def _secret(self, pod: Json, variable: Json) -> str:
        chosen = variable["valueFrom"]["secretKeyRef"]
        found = self.api.find(f"/api/v1/namespaces/{pod['metadata']['namespace']}/secrets/{chosen['name']}")
        assert found is not None
        return base64.b64decode(found["data"][chosen["key"]]).decode()

    def volume_of(self, pod: Json) -> Path:
        """Where the files of a pod's volume are on this machine."""
        [volume] = pod["spec"]["volumes"]
        if "emptyDir" in volume:
            own = self.folder / pod["metadata"]["uid"]
            own.mkdir(exist_ok=True)
            self.used.add(own)
            return own
        name = volume["persistentVolumeClaim"]["claimName"]
        claim = self.api.find(f"/api/v1/namespaces/{pod['metadata']['namespace']}/persistentvolumeclaims/{name}")
        assert claim is not None
        self.used.add(HOME / str(claim["spec"]["volumeName"]))
        return HOME / str(claim["spec"]["volumeName"])

    def _status(self, pod: Json) -> Json:
        """A pod's status as a kubelet writes it."""
        uid, containers = pod["metadata"]["uid"], pod["spec"]["containers"]
        states = {each["name"]: self.states[uid, each["name"]] for each in containers}
        told = [
            {
                "name": each["name"], "image": each["image"], "imageID": "", "restartCount": 0,
                "ready": "running" in states[each["name"]], "state": states[each["name"]],
            }
            for each in containers
        ]  # fmt: skip
        is_ready = all("running" in state for state in states.values())
        ready = {"type": "Ready", "status": str(is_ready), "lastTransitionTime": stamp()}
        ready |= {"reason": None if is_ready else "ContainersNotReady"}
        has_ended = all("terminated" in state for state in states.values())
        failed = any(state["terminated"]["exitCode"] for state in states.values()) if has_ended else False
        phase = ("Failed" if failed else "Succeeded") if has_ended else "Running"
        began = pod["metadata"]["creationTimestamp"]
        return {"phase": phase, "startTime": began, "conditions": [ready], "containerStatuses": told}


def end(state: Json, exit_code: int) -> Json:
    """What a running container's state becomes."""
    began, reason = state["running"]["startedAt"], "Error" if exit_code else "Completed"
    return {"terminated": {"exitCode": exit_code, "reason": reason, "startedAt": began, "finishedAt": stamp()}}


def stamp() -> str:
    """Now, as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextlib.contextmanager
def ghost() -> Iterator[Ghost]:
    """A node for as long as the block lasts."""
    api = connect({})
    with socket.socket() as door, tempfile.TemporaryDirectory() as folder:
        door.bind(("127.0.0.1", 0))
        found = Ghost(api, f"zz-ghost-{secrets.token_hex(3)}", door, Path(folder))
        found.appear()
        thread = threading.Thread(target=found.live, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            found.ended.set()
            thread.join(10)
            found.vanish()
            let_go_of(found)


def let_go_of(found: Ghost) -> None:
    """Remove the pods that nobody will end."""
    for pod in found.pods():
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
        found.api.delete(path, grace_s=0)
        found.api.patch(path, {"metadata": {"finalizers": None}})
