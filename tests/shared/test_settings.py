"""Settings: defaults, ocean-node's names, and errors that name the setting, the fault and an example."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any

import pytest

from shared import setting_values
from shared.chain_config import parse_chains
from shared.engine_config import parse_engines
from shared.errors import SettingsError
from shared.settings import EngineSettings, HandlerSettings

KEY = "11" * 32


def handlers(folder: Path, **given: str) -> HandlerSettings:
    """Settings from these variables alone."""
    return HandlerSettings.from_environment({"C2D_DATA_DIR": str(folder), **given})


def test_without_any_setting_everything_lies_in_the_data_folder(tmp_path: Path) -> None:
    found = handlers(tmp_path)
    assert found.database_url == f"sqlite:///{tmp_path}/c2d.sqlite"
    assert found.storage_url == f"file://{tmp_path}/results"
    assert (found.rate_limit, found.metrics_public, found.fetch_allow, found.private_key) == (600, False, (), None)
    (engine,) = found.engines
    assert engine.name == "local" and engine.type in ("docker", "process")


def test_a_process_without_a_key_refuses_to_start_and_says_how_to_give_it_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"C2D_PRIVATE_KEY.*Example"):
        handlers(tmp_path).require_key()
    handlers(tmp_path, C2D_SECRETS_KEY="00" * 64).require_key()
    (tmp_path / "node.key").write_text(f"0x{KEY}\n")
    assert handlers(tmp_path).private_key == bytes.fromhex(KEY)


def test_settings_of_an_ocean_node_are_understood(tmp_path: Path) -> None:
    environments = [{"socketPath": "/run/d.sock", "environments": [{"maxJobDuration": 60, "free": {"maxJobs": 1}}]}]
    older = [{"host": "10.0.0.1", "port": 2376, "caPath": "/ca.pem", "maxJobDuration": 60, "storageExpiry": 1}]
    found = handlers(
        tmp_path, PRIVATE_KEY=f"0x{KEY}", RPCS='{"11155111": {"rpc": "http://127.0.0.1:8545"}, "8996": {"rpc": "http://127.0.0.1:8546"}}',
        DOCKER_COMPUTE_ENVIRONMENTS=json.dumps(environments + older),
    )  # fmt: skip
    assert found.private_key == bytes.fromhex(KEY)
    assert [chain.chain_id for chain in found.chains] == [11155111]  # the other has no published escrow
    first, second = found.engines
    assert (first.type, first.connection["socket"]) == ("docker", "/run/d.sock")
    assert second.connection == {"host": "tcp://10.0.0.1:2376", "tls": {"ca": "/ca.pem"}}
    assert second.environments[0]["storageExpiry"] == 1


@pytest.mark.parametrize("inline", [True, False], ids=["inline", "file"])
def test_engines_are_read_as_yaml_or_json_inline_or_from_a_file(tmp_path: Path, inline: bool) -> None:
    text = (
        "engines:\n  - name: big\n    type: kubernetes\n    namespace: c2d\n    environments: [{maxJobDuration: 60}]\n"
    )
    (tmp_path / "engines.yaml").write_text(text)
    found = EngineSettings.from_environment({"C2D_ENGINES": text if inline else str(tmp_path / "engines.yaml")})
    assert found.engine("big").connection == {"namespace": "c2d"}
    with pytest.raises(SettingsError, match="big"):
        found.engine("small")


SHARED: list[tuple[dict[str, object], dict[str, object], bool]] = [
    ({"volume": "emptyDir"}, {}, False),
    ({"volume": "claim"}, {}, True),
    ({"volume": "emptyDir", "sharedNetwork": True}, {}, True),
    ({"volume": "emptyDir", "sharedNetwork": True}, {"kubernetes": {"sharedNetwork": False}}, False),
    ({"volume": "emptyDir"}, {"kubernetes": {"volume": "claim"}}, True),
    ({"volume": "emptyDir"}, {"kubernetes": {"sharedNetwork": True}}, True),
    ({}, {"kubernetes": {"volume": "emptyDir"}}, False),
    ({"volume": "emptyDir", "sharedNetwork": True, "networkGate": True}, {}, False),
    ({"volume": "emptyDir"}, {"enableNetwork": True}, False),
    ({"volume": "emptyDir"}, {"enableNetwork": True, "network": "open"}, True),
]


@pytest.mark.parametrize(("engine", "environment", "is_accepted"), SHARED)
def test_an_algorithm_shares_its_pods_network_only_where_that_is_said(
    engine: dict[str, object], environment: dict[str, object], is_accepted: bool
) -> None:
    chosen = {
        "name": "k",
        "type": "kubernetes",
        **engine,
        "environments": [{"id": "e", "maxJobDuration": 60, **environment}],
    }
    if is_accepted:
        assert parse_engines(json.dumps([chosen]))
        return
    with pytest.raises(SettingsError, match=r"environment 'e' of 'k'.*one pod.*sharedNetwork"):
        parse_engines(json.dumps([chosen]))


@pytest.mark.parametrize(
    "wrong",
    [
        '[{"chainId": 1, "rpc": "https://rpc.example.org/KEY" "more"}]',
        '- chainId: 1\n  rpc: "https://rpc.example.org/KEY\n',
        '[{"chainId": 1, "rpc": ["https://rpc.example.org/KEY"]}]',
        '[{"chainId": 1, "rpc": {"url": "KEY"}}]',
        '[{"chainId": 1, "rpc": "wss://rpc.example.org/KEY"}]',
        '["https://rpc.example.org/KEY"]',
        '{"chains": "https://rpc.example.org/KEY"}',
        "https://rpc.example.org/KEY",
    ],
)
@pytest.mark.parametrize("variable", ["C2D_CHAINS", "RPCS"])
def test_no_error_shows_the_address_of_an_rpc(tmp_path: Path, variable: str, wrong: str) -> None:
    with pytest.raises(SettingsError) as stopped:
        handlers(tmp_path, **{variable: wrong})
    shown = "".join(traceback.format_exception(stopped.value))
    assert "KEY" not in stopped.value.detail and "KEY" not in shown and variable in stopped.value.detail
    assert "KEY" not in repr(parse_chains('[{"chainId": 1, "rpc": "https://rpc.example.org/KEY"}]'))


WRONG: list[tuple[str, str]] = [
    ("C2D_PRIVATE_KEY", "12"),
    ("C2D_PRIVATE_KEY", "zz" * 32),
    ("C2D_PRIVATE_KEY", "00" * 32),
    ("PRIVATE_KEY", "nonsense"),
    ("C2D_PUBLIC_URL", "node.example.org"),
    ("C2D_POD_API_URL", "http://[::1"),
    ("C2D_FETCH_ALLOW", "10.0.0.0/99"),
    ("C2D_RATE_LIMIT", "many"),
    ("C2D_METRICS_PUBLIC", "perhaps"),
    ("C2D_TRUSTED_PROXIES", "proxy"),
    ("C2D_THREADS", "-1"),
    ("C2D_ENGINES", "/nowhere/engines.yaml"),
    ("C2D_ENGINES", "[{"),
    ("C2D_ENGINES", '[{"name": "A B", "type": "docker"}]'),
    ("C2D_ENGINES", '[{"name": "a", "type": "mainframe"}]'),
    ("C2D_ENGINES", '[{"name": "a", "type": "docker"}, {"name": "a", "type": "docker"}]'),
    ("C2D_ENGINES", '[{"name": "a", "type": "docker", "environments": [{}]}]'),
    ("C2D_ENGINES", '[{"name": "a", "type": "kubernetes", "volume": "emptyDir"}]'),
    ("C2D_ENGINES", '[{"name": "a", "type": "kubernetes", "volume": "memory"}]'),
    ("DOCKER_COMPUTE_ENVIRONMENTS", '{"a": 1}'),
    ("C2D_CHAINS", '[{"chainId": "x"}]'),
    ("C2D_CHAINS", '[{"chainId": 8996, "rpc": "http://127.0.0.1:8545"}]'),
    ("C2D_CHAINS", '[{"chainId": 1, "rpc": "ws://127.0.0.1:8545"}]'),
    ("C2D_CHAINS", '[{"chainId": 1, "rpc": "http://a"}, {"chainId": 1, "rpc": "http://b"}]'),
    ("C2D_CHAINS", '[{"chainId": 1, "rpc": "http://a", "kind": "bank"}]'),
    ("C2D_CHAINS", '[{"chainId": 1, "rpc": "http://a", "escrow": "0x12"}]'),
    ("RPCS", '["a"]'),
]


@pytest.mark.parametrize(("variable", "value"), WRONG, ids=[f"{name}={value[:24]}" for name, value in WRONG])
def test_a_wrong_setting_stops_the_start_with_its_name_and_an_example(
    tmp_path: Path, variable: str, value: str
) -> None:
    with pytest.raises(SettingsError) as stopped:
        handlers(tmp_path, **{variable: value})
    assert variable in stopped.value.detail and "xample" in stopped.value.detail
    assert "KEY" not in variable or value not in stopped.value.detail


def test_dotenv_is_read_and_the_environment_comes_before_it(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# comment\nexport A='one two'\nB=3 # three\nC=\"x\"\nnonsense\nD=\n")
    found = setting_values.with_dotenv({"C": "own", "B": ""}, file)
    assert found == {"A": "one two", "B": "3", "C": "own", "D": ""}


def test_secrets_do_not_show_when_settings_are_printed(tmp_path: Path) -> None:
    given: dict[str, Any] = {"C2D_PRIVATE_KEY": KEY, "C2D_SECRETS_KEY": "ab" * 64}
    shown = repr(handlers(tmp_path, C2D_DATABASE_URL="postgresql://c2d:hush@db/c2d", **given))
    assert KEY not in shown and "abab" not in shown and "hush" not in shown
    assert repr(bytes.fromhex(KEY)) not in shown


TOKEN = "0x" + "de" * 20


@pytest.mark.parametrize(
    ("fees", "said"),
    [
        ({"8996": [{"feeToken": TOKEN, "prices": [{"id": "cpu", "price": 0.1}]}]}, "fees on chain 8996"),
        ({"8996": [{"feeToken": "OCEAN", "prices": []}]}, "feeToken"),
        ({"8996": [{"prices": []}]}, "feeToken"),
        ({"8996": [{"feeToken": TOKEN, "prices": [{"id": "cpu", "price": -1}]}]}, "price"),
        ({"mainnet": []}, "fees"),
    ],
)
def test_prices_that_nobody_could_pay_stop_the_start(tmp_path: Path, fees: dict[str, object], said: str) -> None:
    environments = [{"id": "main", "maxJobDuration": 60, "fees": fees}]
    engines = json.dumps([{"name": "local", "type": "memory", "environments": environments}])
    given = {"C2D_DATA_DIR": str(tmp_path), "C2D_PRIVATE_KEY": "11" * 32, "C2D_ENGINES": engines}
    with pytest.raises(SettingsError, match=said):
        HandlerSettings.from_environment(given)


def test_prices_on_a_chain_that_is_set_are_good(tmp_path: Path) -> None:
    fees = {"8996": [{"feeToken": TOKEN, "prices": [{"id": "cpu", "price": 0.1}]}]}
    engines = json.dumps([{"name": "l", "type": "memory", "environments": [{"maxJobDuration": 60, "fees": fees}]}])
    chains = json.dumps([{"chainId": 8996, "rpc": "http://localhost:8545", "escrow": TOKEN}])
    given = {"C2D_DATA_DIR": str(tmp_path), "C2D_PRIVATE_KEY": "11" * 32, "C2D_ENGINES": engines, "C2D_CHAINS": chains}
    assert HandlerSettings.from_environment(given).chains[0].chain_id == 8996
