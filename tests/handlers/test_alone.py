"""Every command runs alone under a real gunicorn, and none loads what it does not need."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from handlers import all_in_one, registry
from tests.handlers.gunicorns import serving, variables

ENTRIES = (*registry.ENTRIES, *all_in_one.ABOUT_ALL)
HEAVY = ("web3", "eth_account", "boto3", "botocore", "docker", "kubernetes", "rich", "requests")


@pytest.mark.full
@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.command.name for entry in ENTRIES])
def test_a_command_runs_alone(entry, quick_database: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    app = f"{entry.respond.__module__}:create_app()"
    with serving(app, variables(tmp_path / "data", quick_database), tmp_path / "log") as url:
        request = urllib.request.Request(f"{url}{entry.command.path}", method=entry.command.method)
        status, body = ask(request)
        other, refusal = ask(urllib.request.Request(f"{url}/somewhere/else"))
    assert status in (200, 400, 401, 404, 503), body
    assert (other, json.loads(refusal)["code"]) == (404, "not_available")


def ask(request: urllib.request.Request) -> tuple[int, bytes]:
    """Status and body, of errors too."""
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.mark.parametrize("module", sorted({entry.respond.__module__ for entry in ENTRIES}))
def test_a_handler_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


CHAINS = json.dumps([{"chainId": 8996, "rpc": "http://127.0.0.1:9", "escrow": "0x" + "e5" * 20}])


@pytest.mark.parametrize(
    ("module", "chains", "is_loaded"),
    [
        ("handlers.all_in_one", "", False),
        ("handlers.start_compute", "", False),
        ("handlers.status", CHAINS, False),
        pytest.param("handlers.start_compute", CHAINS, True, marks=pytest.mark.full),
    ],
)
def test_the_chains_libraries_are_loaded_as_a_process_starts_that_needs_them(
    quick_database: str, tmp_path: Path, module: str, chains: str, is_loaded: bool
) -> None:
    code = f"import sys, {module}; {module}.create_app(); print('shared.escrow.rpc' in sys.modules)"
    given = variables(tmp_path / "data", quick_database, C2D_CHAINS=chains)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=given)
    assert done.stdout.splitlines()[-1:] == [str(is_loaded)], done.stderr
