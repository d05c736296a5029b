"""A Docker Engine for one test alone, which may kill and restart it: own socket, data and bridge."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.needs import require

READY_S = 60


@dataclass
class PrivateDocker:
    """A second engine. Its containers reach this machine at their bridge's gateway; it changes no firewall rules."""

    folder: Path
    name: str
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def connection(self) -> dict[str, Any]:
        """What a `DockerDriver` is made with."""
        return {"socket": str(self.folder / "sock"), "podNetwork": f"{self.name}-p"}

    def start(self) -> None:
        """Start the engine on the data it has, and wait until it answers."""
        assert self.process is None or self.process.poll() is not None, "it runs already"
        log = (self.folder / "log").open("ab")
        with log:
            self.process = subprocess.Popen(
                ["dockerd", *self.options()], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        end = time.monotonic() + READY_S
        while self.docker("version", check=False).returncode:
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the engine does not come up: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.1)

    def options(self) -> list[str]:
        """The engine's command line."""
        places = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
        return [
            *(f"--{option}={self.folder / place}" for option, place in places.items()),
            f"--host=unix://{self.folder / 'sock'}",
            f"--bridge={self.name}",
            "--iptables=false",
        ]

    def kill(self) -> None:
        """End the engine as a crash would; containers live on until it is started again."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.end_containerd()

    def stop(self) -> None:
        """End the engine and with it the containers, as a machine's shutdown does."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait()

    def load(self, *images: str) -> None:
        """Copy images from the machine's engine."""
        saved = subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE)
        self.docker("load", stdin=saved.stdout)
        assert saved.wait() == 0

    def docker(self, *arguments: str, check: bool = True, stdin: Any = subprocess.DEVNULL) -> Any:
        """Run the client on this engine."""
        command = ["docker", "--host", f"unix://{self.folder / 'sock'}", *arguments]
        return subprocess.run(command, check=check, stdin=stdin, capture_output=True, timeout=120)

    def end(self) -> None:
        """Stop everything and remove all traces."""
        if self.process is None or self.process.poll() is not None:
            self.start()  # an engine that was killed has left its containers behind
        for container in self.docker("ps", "-aq").stdout.decode().split():
            self.docker("rm", "-f", container, check=False)
        for network in self.docker("network", "ls", "-qf", "type=custom").stdout.decode().split():
            self.docker("network", "rm", network, check=False)
        self.stop()
        self.end_containerd()
        subprocess.run(["umount", "--lazy", str(self.folder / "data")], check=False, capture_output=True)
        shutil.rmtree(self.folder)  # the engine mounts its data on itself, and one that was killed leaves it so

    def end_containerd(self) -> None:
        """Wait until the engine's containerd is gone too, which dies with it: a new one must not take it for alive."""
        pid_file = self.folder / "exec" / "containerd" / "containerd.pid"
        end = time.monotonic() + 10
        while pid_file.exists() and Path("/proc", pid_file.read_text().strip()).exists() and time.monotonic() < end:
            time.sleep(0.02)
        pid_file.unlink(missing_ok=True)


@contextmanager
def private_docker(*images: str) -> Iterator[PrivateDocker]:
    """Give a running engine that has these images of the machine's; everything is gone at the end."""
    require("docker")
    missing = [program for program in ("dockerd", "ip") if not shutil.which(program)]
    if missing or os.geteuid() != 0:
        import pytest

        pytest.skip(f"needs an engine of its own: {', '.join(missing) or 'root'} is missing")
    name = f"c2dt{secrets.token_hex(3)}"
    engine = PrivateDocker(Path(tempfile.mkdtemp(prefix="c2d-engine-")), name)
    subprocess.run(["ip", "link", "add", name, "type", "bridge"], check=True)
    try:
        third = secrets.randbelow(200) + 20
        subprocess.run(["ip", "address", "add", f"10.213.{third}.1/24", "dev", name], check=True)
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
        engine.start()
        engine.load(*images)
        yield engine
    finally:
        engine.end()
        subprocess.run(["ip", "link", "delete", name], check=False)
