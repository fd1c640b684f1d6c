"""`extproc console` and `rotate-keys`: wrong use ends with 2 and a sentence that says what to do."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec

from extproc.audit.keys.keys import AuditKeys
from extproc.cli.main import main
from tests.audit.configured import write_config
from tests.console.idp import Keys, ec_keys, write_metadata
from tests.console.live import ROOT, write_pem

CONSOLE: dict[str, Any] = {"url": "https://c.example", "keys": "console", "saml": {"metadata": "idp.xml"}}
TOKEN = CONSOLE | {"token": {"audience": "extproc"}}


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["console", *arguments], env={"EXTPROC_CONFIG": ""})
    return result.exit_code, result.output


def test_without_a_configuration_there_is_nothing_to_serve() -> None:
    assert run()[0] == 2
    assert "give --config" in run()[1]


@pytest.mark.parametrize("command", [[], ["rotate-keys"]], ids=["serve", "rotate"])
def test_a_configuration_without_a_console_says_where_one_is_shown(tmp_path: Path, command: list[str]) -> None:
    code, output = run(*command, "--config", str(write_config(tmp_path)))
    assert code == 2
    assert "has no `console` section; extproc/console/README.md shows one" in output


def test_a_console_that_makes_no_tokens_has_no_keys_to_rotate(tmp_path: Path) -> None:
    code, output = run("rotate-keys", "--config", str(write_config(tmp_path, console=CONSOLE)))
    assert (code, "`console.token` is not configured" in output) == (2, True)


def test_keys_that_others_may_read_are_not_rotated(tmp_path: Path) -> None:
    config = str(write_config(tmp_path, console=TOKEN))
    AuditKeys.load_or_create(tmp_path / "keys")
    assert run("rotate-keys", "--config", config)[0] == 0
    (file,) = (tmp_path / "console").glob("token-*.pem")
    file.chmod(0o644)
    code, output = run("--config", config, "rotate-keys")
    assert code == 2
    assert "it must have mode 0600" in output


def test_a_rotation_that_cannot_be_recorded_says_so(tmp_path: Path) -> None:
    code, output = run("rotate-keys", "--config", str(write_config(tmp_path, console=TOKEN)))
    assert code == 2
    assert "the keys are rotated, and that could not be recorded" in output
    assert len(list((tmp_path / "console").glob("token-*.pem"))) == 1


def test_a_key_that_cannot_sign_requests_is_told_with_its_place(tmp_path: Path) -> None:
    write_metadata(tmp_path / "idp.xml", ec_keys())
    key, certificate = write_pem(tmp_path, "sp", Keys.make(ec.generate_private_key(ec.SECP256K1())))
    saml = {"metadata": "idp.xml", "signing": {"certificate": str(certificate), "key": str(key)}}
    config = write_config(tmp_path, console=CONSOLE | {"saml": saml})
    ended = subprocess.run(
        [sys.executable, "-m", "extproc", "console", "--config", str(config)],
        check=False, cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith("console.saml.signing: the key is neither RSA of 2048 bits")
