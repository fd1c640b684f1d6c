"""`extproc doctor` on a whole installation: what it says, in which form, and with which exit code."""

import json
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result

from extproc.cli.doctor import command
from extproc.local.ports import free_port
from tests.conformance.service.conftest import World


def doctor(world: World, *options: str, config: Path | None = None) -> Result:
    return CliRunner().invoke(command, ["--config", str(config or world.guard.config), *options])


WELL = (
    "policy", "policy, in force", "policy, shadow rules", "run directory", "workers", "core dumps", "envoy, version",
    "envoy, bootstrap", "envoy, modes", "envoy, failure mode", "envoy, overrides", "envoy, request lock",
    "envoy, response lock", "envoy, retries", "envoy, timeouts", "envoy, ways in", "model server model", "keys",
    "keys, public", "secrets, modes", "spool, room", "spool, lag", "store", "approvals", "metrics, worker 0",
    "metrics, worker 1", "envoy, ready", "console",
)  # fmt: skip


def test_an_installation_that_is_well_is_told_so_and_nothing_secret_with_it(patient: World) -> None:
    whole = [sys.executable, "-m", "extproc", "doctor", "--config", str(patient.guard.config), "--json"]
    done = subprocess.run(whole, capture_output=True, text=True, check=False, timeout=100)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    document = json.loads(done.stdout)
    states = {check["name"]: check["state"] for check in document["checks"]}
    assert document["exit_code"] == 0
    assert {name: states.get(name) for name in WELL} == dict.fromkeys(WELL, "ok")
    assert "fail" not in states.values()
    assert states["store, lock"] == "warn"  # a directory
    assert states["store, rules"] == "left"
    for secret in ("model.key", "digest.key", "mask.key", "run/gate"):
        assert (patient.directory / secret).read_text().strip() not in done.stdout


def test_what_is_wrong_is_a_line_with_what_mends_it_and_exit_code_1(patient: World, tmp_path: Path) -> None:
    config = patient.directory / "other.yaml"
    dead = free_port()
    text = patient.guard.config.read_text("utf-8")
    config.write_text(text.replace(patient.upstream.url, f"http://127.0.0.1:{dead}"), "utf-8")
    try:
        done = doctor(patient, config=config)
    finally:
        config.unlink()
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert any(line.startswith(f"FAIL model server model: 127.0.0.1:{dead} takes no connection") for line in lines)
    assert any(line.startswith("FAIL envoy, bootstrap: ") and "extproc envoy config" in line for line in lines)
    assert lines[-1].endswith("not asked")
    assert ", 2 wrong, " in lines[-1]


def test_what_cannot_be_looked_at_is_exit_code_2(patient: World, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("kind: Config\n", "utf-8")
    done = doctor(patient, config=config)
    assert done.exit_code == 2
    assert "problem(s) in the configuration" in done.stderr


def test_the_store_is_asked_to_break_its_rules_only_when_told_and_that_is_recorded(patient: World) -> None:
    done = doctor(patient, "--probe-store", "--json")
    assert done.exit_code == 1
    found = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert "whoever may delete in it can delete the log" in found["store, rules"]["said"]
    assert patient.await_record(lambda record: record["event_code"] == "store.inspect")
