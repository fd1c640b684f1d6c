"""`extproc mask-tokens`: the tokens of known values under every key, and no value in what it prints."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from extproc.cli.mask_tokens import command
from extproc.core.masking.aliases import MaskKey, token_of
from extproc.core.trust import Secret

PAN = "4111111111111111"
POLICY = """
apiVersion: extproc/v1
kind: Policy
name: tokens
masking: {profile: pci-pii, rules: [{name: order, pattern: 'ORD-[0-9]{8}'}], styles: {pan: token, iban: token}}
rules: [{name: all, effect: allow, match: {}}]
"""
KEYS = {"k2": bytes(reversed(range(32))), "k1": bytes(range(1, 40))}


@pytest.fixture
def config(folder: Path, minimal: dict[str, Any], put: Callable[[dict[str, Any]], Path]) -> Path:
    """A configuration with two keys for tokens, the newer one first."""
    for name, data in KEYS.items():
        (folder / f"{name}.key").write_bytes(data)
    (folder / "policy.yaml").write_text(POLICY, "utf-8")
    return put({**minimal, "mask_keys": [{"id": name, "file": f"{name}.key"} for name in KEYS]})


def run(config: Path, *arguments: str, stdin: str) -> Result:
    return CliRunner().invoke(command, ["--config", str(config), *arguments], input=stdin)


def expected(tenant: str, kind: str, value: str) -> str:
    keys = [MaskKey(name, Secret(data.hex())) for name, data in KEYS.items()]
    return " ".join(f"[{kind.upper()}_{key.id}_{token_of(key, tenant, kind, value)}]" for key in keys)


def test_every_value_has_a_line_and_every_key_a_token(config: Path) -> None:
    result = run(config, "--tenant", "acme", stdin=f"4111 1111 1111 1111\n{PAN[:15]}2\n")
    assert result.exit_code == 0
    assert result.output.splitlines() == [expected("acme", "pan", PAN), expected("acme", "pan", PAN[:15] + "2")]
    assert "4111" not in result.output


def test_other_kinds(config: Path) -> None:
    result = run(config, "--kind", "iban", stdin="de89 3704 0044 0532 0130 00")
    assert result.output.splitlines() == [expected("", "iban", "DE89370400440532013000")]


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        ((), f"{PAN}\nno digits\n", "line 2 of standard input is no pan"),
        ((), "4" * 5000, "line 1 of standard input is no pan"),
        (("--kind", "security_code"), "123", "no token stands for `security_code` under"),
        (("--kind", PAN), "1", "no token stands for `…` under"),
        (("--kind", "ordr"), "ORD-12345678", "did you mean `order`?"),
    ],
)
def test_what_has_no_token(config: Path, arguments: tuple[str, ...], stdin: str, message: str) -> None:
    result = run(config, *arguments, stdin=stdin)
    assert result.exit_code == 2
    assert message in result.output
    assert "no digits" not in result.output
    assert "4111" not in result.output


def test_without_keys(folder: Path, minimal: dict[str, Any], put: Callable[[dict[str, Any]], Path]) -> None:
    result = run(put(minimal), stdin=PAN)
    assert result.exit_code == 2
    assert "has no `mask_keys`" in result.output
