"""The files made from the commands there are say of each what they should; kustomize is not asked."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from engines.drivers.base import Capabilities
from engines.environments import documents
from infra.cluster import INSIDE, KUBERNETES, name_of
from infra.routing import HANDLERS as HANDLERS_FOLDER
from infra.routing import PARAMETER, SIGNING, STORING, commands
from shared.engine_config import parse_engines
from shared.placement import complete

HANDLERS = list(yaml.safe_load_all((KUBERNETES / "base/handlers.yaml").read_text()))
ROUTES = list(yaml.safe_load_all((KUBERNETES / "parts/gateway/routes.yaml").read_text()))
NGINX = (KUBERNETES / "parts/nginx/nginx.conf").read_text()
MODULES = {module for module, _ in commands()}


def test_each_handler_has_a_deployment_a_service_and_a_budget() -> None:
    for kind in ("Deployment", "Service", "PodDisruptionBudget"):
        names = [each["metadata"]["name"] for each in HANDLERS if each["kind"] == kind]
        assert sorted(names) == sorted(name_of(module) for module in MODULES), kind


def test_each_deployment_runs_its_own_command_alone() -> None:
    apps = {each["metadata"]["name"]: containers(each)[0]["args"] for each in of_kind("Deployment")}
    assert apps == {name_of(module): [f"handlers.{module}:create_app()"] for module in MODULES}


def test_the_wallet_is_given_to_those_who_sign_alone() -> None:
    given = {
        each["metadata"]["name"] for each in of_kind("Deployment") if "c2d.node/wallet" in each["metadata"]["labels"]
    }
    assert given == {name_of(module) for module in SIGNING & MODULES}


def test_the_stores_keys_are_given_to_those_who_have_to_do_with_results_alone() -> None:
    use = {module for module in MODULES if ".storage" in (HANDLERS_FOLDER / f"{module}.py").read_text()}
    assert use | {"direct_command"} == STORING
    given = {
        each["metadata"]["name"] for each in of_kind("Deployment") if "c2d.node/storage" in each["metadata"]["labels"]
    }
    assert given == {name_of(module) for module in STORING}


def test_the_gateway_leads_every_method_and_path_to_its_own_handler() -> None:
    for module, command in commands():
        for path in command.paths:
            to = routed(command.method, PARAMETER.sub("x1", path))
            assert to == ("root" if module in INSIDE else name_of(module)), (command.method, path)


def test_an_unknown_method_of_a_known_path_goes_to_who_answers_it() -> None:
    assert routed("DELETE", "/api/services/compute") in ("status", "stop")
    assert routed("HEAD", "/api/services/computeEnvironments") == "environments"
    assert routed("GET", "/nothing/here") == "root"


def test_no_route_has_more_matches_than_the_gateway_api_allows() -> None:
    assert all(len(rule["matches"]) <= 64 for route in ROUTES for rule in route["spec"]["rules"])


def test_figures_are_not_reached_from_outside() -> None:
    assert "/metrics" not in NGINX and "upstream metrics" not in NGINX
    assert routed("GET", "/metrics") == "root"


@pytest.mark.parametrize("overlay", ["minimal", "production", "production-nginx"])
def test_what_an_overlay_offers_is_read_and_can_be_had_for_free(overlay: str) -> None:
    [engine] = parse_engines(str(KUBERNETES / "overlays" / overlay / "engines.yaml"))
    machine = Capabilities("kubernetes", "1", False, 8.0, 32 << 30, 200 << 30, "x86_64")
    [offered] = documents(engine, machine, "0x0")
    assert complete(offered, {"cpu": 0.5, "ram": 1, "disk": 5}, is_free=True) == {"cpu": 500, "ram": 1000, "disk": 5000}


@pytest.mark.parametrize("part", ["passes", "settlement"])
def test_a_pass_is_alive_until_its_loop_stands_still(part: str, tmp_path: Path) -> None:
    [deployment, _] = yaml.safe_load_all((KUBERNETES / f"parts/{part}/{part}.yaml").read_text())
    [container] = containers(deployment)
    pulse = tmp_path / "pulse"
    assert container["command"][-2:] == ["--pulse", "/tmp/pulse"]

    def says(probe: str) -> bool:
        command = [word.replace("/tmp/pulse", str(pulse)) for word in container[probe]["exec"]["command"]]
        return subprocess.run(command, check=False).returncode == 0

    assert (says("livenessProbe"), says("readinessProbe")) == (True, False)  # it waits for its database, perhaps
    pulse.touch()
    assert says("livenessProbe") and says("readinessProbe")
    os.utime(pulse, (time.time() - 600,) * 2)
    assert not says("livenessProbe")


def routed(method: str, path: str) -> str:
    """Where the Gateway API's rules lead: an exact path before the longest prefix, then one with a method."""
    found = [(*rank, name) for name, each in matches() if (rank := matched(each, method, path)) is not None]
    best = max(found)
    assert [each for each in found if each[:3] == best[:3]] == [best], "two routes mean the same call"
    return str(best[3])


def matched(match: dict[str, Any], method: str, path: str) -> tuple[bool, int, bool] | None:
    """How exactly a match means the call; null where it does not."""
    kind, value = match["path"]["type"], match["path"]["value"]
    is_below = path == value or path.startswith(value.rstrip("/") + "/")
    if match.get("method", method) != method or not (path == value if kind == "Exact" else is_below):
        return None
    return kind == "Exact", len(value), "method" in match


def matches() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every match there is, with where it leads."""
    for route in ROUTES:
        for rule in route["spec"]["rules"]:
            for match in rule["matches"]:
                yield rule["backendRefs"][0]["name"], match


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [each for each in HANDLERS if each["kind"] == kind]


def containers(deployment: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = deployment["spec"]["template"]["spec"]["containers"]
    return found
