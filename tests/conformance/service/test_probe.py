"""`extproc probe` through the real Envoy, the real workers and the real console, with the probe as the model server."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from extproc.cli.probe import command
from extproc.live.echo_model import EchoModel
from extproc.local.ports import free_port

RULE = {"name": "probe", "effect": "allow", "match": {"groups": ["system:probe"], "models": ["extproc-probe"]}}
POLICY = {
    "apiVersion": "extproc/v1",
    "kind": "Policy",
    "name": "probe",
    "masking": {"profile": "pci-strict", "styles": {"pan": "label"}},
    "rules": [RULE],
}


@dataclass
class Probed:
    world: Any
    port: int
    folder: Path

    def probe(self, *more: str, groups: tuple[str, ...] = ("system:probe", "readers")) -> Result:
        (self.folder / "token").write_text(self.world.token("probe", groups))
        where = ["--gateway", self.world.guard.url, "--token-file", str(self.folder / "token")]
        return CliRunner().invoke(command, [*where, "--model", "extproc-probe", *more])


@pytest.fixture(scope="module")
def probed(make_world: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probed]:
    folder, port = tmp_path_factory.mktemp("probe"), free_port()
    connections = [{"name": "probe", "upstream": f"http://127.0.0.1:{port}", "models": ["extproc-probe"]}]
    world, stop = make_world(
        folder / "guard",
        workers=1,
        console_port=free_port(),
        policy_text=yaml.safe_dump(POLICY),
        overrides={"connections": connections},
    )
    yield Probed(world, port, folder)
    stop()


def test_all_that_is_promised_is_found_kept(probed: Probed) -> None:
    ran = probed.probe("--echo", str(probed.port), "--console", probed.world.guard.console_url, "--wait", "60")
    assert ran.exit_code == 0, ran.output
    lines = ran.output.splitlines()
    assert lines[-1] == "15 OK, 0 FAIL, 0 not asked"
    assert sum(line == "OK   record: answered by rule probe, 1 + 1 PAN found" for line in lines) == 2, ran.output


def test_who_may_not_read_the_record_is_told_what_to_give(probed: Probed) -> None:
    where = ("--echo", str(probed.port), "--console", probed.world.guard.console_url, "--wait", "60")
    ran = probed.probe(*where, groups=("system:probe",))
    assert ran.exit_code == 1
    assert "FAIL record: the console answered 403 (give a group of the probe's identity the role `reader`" in ran.output


def test_a_policy_that_does_not_allow_the_probe_is_named(probed: Probed) -> None:
    ran = probed.probe("--wait", "1", groups=("analysts",))
    assert ran.exit_code == 1
    assert "the gateway answered 403, policy_" in ran.output


def test_a_way_around_the_gateway_is_found(probed: Probed) -> None:
    """The model server itself, asked in place of the gateway."""
    port = free_port()
    with EchoModel(port):
        ran = CliRunner().invoke(
            command,
            ["--gateway", f"http://127.0.0.1:{port}", "--token-file", str(probed.folder / "token"), "--model", "m"],
        )
    assert ran.exit_code == 1
    for line in ("FAIL whole, guarded", "FAIL whole, answer masked", "FAIL streamed, answer masked", "FAIL stranger"):
        assert line in ran.output
