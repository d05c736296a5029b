"""The shipped proxy and compose files route and run exactly the commands there are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from infra.deployment import files
from infra.routing import INFRA, PARAMETER, commands

NGINX = (INFRA / "nginx.conf").read_text()


def test_the_shipped_files_are_those_the_handlers_ask_for() -> None:
    stale = [str(path) for path, text in files().items() if path.read_text() != text]
    assert not stale, f"type: python -m infra.deployment ({stale})"


def test_every_method_and_path_is_routed_to_its_own_module() -> None:
    block = NGINX.split('map "$verb $uri" $exact {')[1].split("}\n    map ")[0]
    routed = dict(re.findall(r'"([^"]+)" (\w+);', block))
    wanted = {f"{command.method} {path}": module for module, command in commands() for path in command.paths}
    assert len(routed) == len(wanted)
    for call, module in wanted.items():
        example = PARAMETER.sub("x1", call)
        assert {found for key, found in routed.items() if is_matched(key, example)} == {module}, call


def test_compose_runs_one_process_a_handler() -> None:
    services = yaml.safe_load((INFRA / "compose.yaml").read_text())["services"]
    apps = {
        name: service["command"][-1] for name, service in services.items() if "gunicorn" in str(service.get("command"))
    }
    assert apps == {module: f"handlers.{module}:create_app()" for module, _ in commands()}


def test_a_handler_that_is_away_is_told_of_in_json() -> None:
    [body] = re.findall(r"return 503 '(.*)';", NGINX)
    assert (json.loads(body)["code"], json.loads(body)["status"]) == ("unavailable", 503)


def test_every_handler_can_be_served_alone() -> None:
    sources = {module: (Path("handlers") / f"{module}.py").read_text() for module, _ in commands()}
    assert [module for module, text in sources.items() if "create_app = " not in text] == []


def is_matched(key: str, call: str) -> bool:
    """Whether nginx's key, a text or an expression, means this call."""
    return re.search(key[1:], call) is not None if key.startswith("~") else key == call
