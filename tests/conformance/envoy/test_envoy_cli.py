"""`extproc envoy`: exit codes and what is written where."""

import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from extproc.cli.envoy import command
from extproc.edge.bootstrap import render_bootstrap, render_following
from extproc.edge.settings_file import load_settings

GATE = "a-gate-secret-for-tests-0123456789abcdef"


@pytest.fixture
def bootstrap_file(make_settings: Any, tmp_path: Path) -> Path:
    path = tmp_path / "envoy.yaml"
    path.write_text(render_bootstrap(make_settings(), GATE))
    return path


def test_validate_accepts_what_envoy_accepts(bootstrap_file: Path) -> None:
    result = CliRunner().invoke(command, ["validate", str(bootstrap_file)])
    assert (result.exit_code, result.stdout) == (0, "")


def test_validate_exits_1_with_envoys_own_words(bootstrap_file: Path) -> None:
    bootstrap_file.write_text(bootstrap_file.read_text().replace("stat_prefix: edge", "stat_prefics: edge"))
    result = CliRunner().invoke(command, ["validate", str(bootstrap_file)])
    assert result.exit_code == 1
    assert "stat_prefics" in result.stderr


@pytest.mark.parametrize(
    "arguments", [["validate"], ["validate", "/nowhere"], ["config"], ["config", "--config", "/x"]]
)
def test_wrong_input_exits_2(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EXTPROC_CONFIG", raising=False)
    assert CliRunner().invoke(command, arguments).exit_code == 2


CONFIG = """\
apiVersion: extproc/v1
kind: Config
deployment: demo
run_directory: run
listener: {address: 127.0.0.1, port: 8080}
connections: [{name: model, upstream: "http://127.0.0.1:8000"}]
identity:
  issuers: [{issuer: "https://issuer.example", discovery: true, audiences: [extproc], algorithms: [ES256]}]
policy: policy.yaml
digest_key: digest.key
approvals: {database: "sqlite:///approvals.db"}
audit: {spool: spool, keys: keys, store: {directory: store}}
"""


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").touch()
    key = tmp_path / "digest.key"
    key.write_text("0123456789abcdef" * 4)
    key.chmod(0o600)
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


def test_config_prints_a_bootstrap_with_this_run_directorys_secret(config_file: Path) -> None:
    result = CliRunner().invoke(command, ["config"], env={"EXTPROC_CONFIG": str(config_file)})
    assert result.exit_code == 0, result.stderr
    secret = (config_file.parent / "run" / "gate").read_text().strip()
    assert result.stdout == render_following(load_settings(config_file), secret)


def test_config_writes_a_private_file(config_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.yaml"
    output.write_text("old")
    result = CliRunner().invoke(command, ["config", "--config", str(config_file), "--output", str(output)])
    assert (result.exit_code, result.stdout) == (0, "")
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert output.read_text().startswith("node:")


def test_config_exits_1_and_writes_nothing_when_envoy_refuses(config_file: Path, tmp_path: Path) -> None:
    config_file.write_text(
        CONFIG.replace("connections: [{name: model", "connections: [{path_prefix: '/a?b', name: model")
    )
    result = CliRunner().invoke(
        command, ["config", "--config", str(config_file), "--output", str(tmp_path / "out.yaml")]
    )
    assert result.exit_code in (1, 2)
    assert not (tmp_path / "out.yaml").exists()


def test_config_that_does_not_parse_exits_2(config_file: Path) -> None:
    config_file.write_text("deployment: [")
    assert CliRunner().invoke(command, ["config", "--config", str(config_file)]).exit_code == 2
