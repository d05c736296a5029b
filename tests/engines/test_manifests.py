"""The documents handed to engines, compared whole."""

from __future__ import annotations

from dataclasses import replace

from engines.drivers.base import GpuRequest, PhaseSpec
from engines.drivers.manifests import DockerHost, ImageConfig, create_body
from shared.names import JobId, Phase

JOB = JobId("ab" * 32)
RUN = PhaseSpec(
    job_id=JOB,
    engine="local",
    phase=Phase.RUN,
    image="sha256:1234",
    command=("python", "/data/transformations/algorithm"),
    environment={"DIDS": "[]"},
    user="1000:1000",
    cpu_cores=1.5,
    memory_bytes=2 << 30,
    pids=512,
    home_defaults=True,
)
BODY = {
    "Image": "sha256:1234",
    "Entrypoint": ["python", "/data/transformations/algorithm"],
    "Cmd": [],
    "User": "1000:1000",
    "Env": [
        "HOME=/tmp",
        "MPLCONFIGDIR=/tmp/matplotlib",
        "XDG_CACHE_HOME=/tmp/cache",
        "NUMBA_CACHE_DIR=/tmp/numba",
        "DIDS=[]",
    ],
    "Labels": {"c2d.job_id": JOB, "c2d.engine": "local", "c2d.phase": "run"},
    "HostConfig": {
        "NetworkMode": "none",
        "Mounts": [
            {
                "Type": "volume",
                "Source": f"c2d-{'ab' * 20}-data",
                "Target": "/data",
                "VolumeOptions": {"NoCopy": True, "Labels": {"c2d.job_id": JOB, "c2d.engine": "local"}},
            }
        ],
        "NanoCpus": 1_500_000_000,
        "Memory": 2 << 30,
        "MemorySwap": 2 << 30,
        "OomKillDisable": False,
        "PidsLimit": 512,
        "CapDrop": ["ALL"],
        "CapAdd": [],
        "SecurityOpt": ["no-new-privileges"],
        "ReadonlyRootfs": False,
        "Init": True,
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "64m", "max-file": "2"}},
    },
}
HOST = BODY["HostConfig"]
assert isinstance(HOST, dict)


def test_an_algorithm_is_bounded_and_has_no_rights_and_no_network() -> None:
    assert create_body(RUN) == BODY


def test_a_pod_has_its_network_its_rights_and_its_secrets() -> None:
    pod = replace(
        RUN,
        phase=Phase.PROVISION,
        user="0:0",
        network="pod",
        capabilities=("CHOWN", "DAC_OVERRIDE"),
        secret_environment={"privateKey": "0x01"},
        home_defaults=False,
    )
    assert create_body(pod, DockerHost(pod_network="pods-here")) == BODY | {
        "User": "0:0",
        "Env": ["DIDS=[]", "privateKey=0x01"],
        "Labels": {"c2d.job_id": JOB, "c2d.engine": "local", "c2d.phase": "provision"},
        "HostConfig": HOST | {"NetworkMode": "pods-here", "CapAdd": ["CHOWN", "DAC_OVERRIDE"]},
    }
    assert "0x01" not in str(create_body(pod.without_secrets()))


def test_a_granted_network_is_the_one_the_operator_named() -> None:
    assert create_body(replace(RUN, network="fenced")) == BODY | {"HostConfig": HOST | {"NetworkMode": "fenced"}}


def test_without_a_command_the_image_keeps_its_own() -> None:
    body = create_body(replace(RUN, command=None))
    assert body == {name: value for name, value in BODY.items() if name not in ("Entrypoint", "Cmd")}


def test_an_image_keeps_its_numeric_user_and_its_home() -> None:
    host = DockerHost(images={RUN.image: ImageConfig(user="1001:0")})
    assert create_body(RUN, host) == BODY | {"User": "1001:0", "Env": ["DIDS=[]"]}


def test_an_image_of_root_or_of_a_named_user_runs_as_1000() -> None:
    for user in ("", "0", "0:0", "root", "app", "0:1000"):
        assert create_body(RUN, DockerHost(images={RUN.image: ImageConfig(user=user)})) == BODY


def test_what_the_image_or_the_job_sets_is_left_alone() -> None:
    host = DockerHost(images={RUN.image: ImageConfig(environment=("HOME=/home/me", "PATH=/bin"))})
    spec = replace(RUN, environment={"DIDS": "[]", "NUMBA_CACHE_DIR": "/data/x"})
    assert create_body(spec, host)["Env"] == [
        "MPLCONFIGDIR=/tmp/matplotlib",
        "XDG_CACHE_HOME=/tmp/cache",
        "NUMBA_CACHE_DIR=/data/x",
        "DIDS=[]",
    ]


def test_devices_are_requested_as_the_resource_describes_them() -> None:
    request = {"Driver": "nvidia", "DeviceIDs": ["GPU-aaaa"], "Capabilities": [["gpu"]]}
    spec = replace(RUN, gpu=GpuRequest(device_requests=(request, {**request, "DeviceIDs": ["GPU-bbbb"]})))
    wanted = [request, {**request, "DeviceIDs": ["GPU-bbbb"]}]
    assert create_body(spec) == BODY | {"HostConfig": HOST | {"DeviceRequests": wanted}}


def test_raw_devices_add_to_the_limits_and_never_replace_the_hardening() -> None:
    first = {
        "Devices": [{"PathOnHost": "/dev/kfd", "PathInContainer": "/dev/kfd", "CgroupPermissions": "rw"}, "/dev/dri"],
        "GroupAdd": ["video"],
        "CapAdd": ["SYS_PTRACE"],
        "CapDrop": ["NET_RAW"],
        "SecurityOpt": {"seccomp": "unconfined"},
        "Binds": ["/opt/rocm:/opt/rocm:ro"],
        "IpcMode": "host",
        "ShmSize": 8 << 30,
    }
    second = {"Devices": ["/dev/dri", "/dev/second"], "SecurityOpt": ["no-new-privileges", "apparmor=x"], "Binds": None}
    assert create_body(replace(RUN, gpu=GpuRequest(advanced=(first, second)))) == BODY | {
        "HostConfig": HOST
        | {
            "Devices": [
                {"PathOnHost": "/dev/kfd", "PathInContainer": "/dev/kfd", "CgroupPermissions": "rw"},
                {"PathOnHost": "/dev/dri", "PathInContainer": "/dev/dri", "CgroupPermissions": "rwm"},
                {"PathOnHost": "/dev/second", "PathInContainer": "/dev/second", "CgroupPermissions": "rwm"},
            ],
            "GroupAdd": ["video"],
            "CapAdd": ["SYS_PTRACE"],
            "CapDrop": ["ALL", "NET_RAW"],
            "SecurityOpt": ["no-new-privileges", "seccomp=unconfined", "apparmor=x"],
            "Binds": ["/opt/rocm:/opt/rocm:ro"],
            "IpcMode": "host",
            "ShmSize": 8 << 30,
        }
    }
