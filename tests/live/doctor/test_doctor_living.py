"""`extproc doctor` on a whole installation that runs: what it says, its exit codes, and parts of it that are broken."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from extproc.cli.doctor import command
from extproc.edge.settings import HealthSettings, Settings
from extproc.live.check import Check, State
from extproc.live.console_checks import check_console
from extproc.live.examination import Terms, examine
from extproc.live.policy_checks import check_policy
from extproc.live.telemetry_checks import check_telemetry
from extproc.live.worker_checks import check_workers
from extproc.local.ports import free_port
from tests.conformance.service.conftest import POLICY, World
from tests.live.doctor.unwell import mode, unwell


@pytest.fixture
def settings(patient: World) -> Settings:
    """Of what runs."""
    return patient.guard.settings


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
    assert any(line.startswith("FAIL envoy, models: ") and "extproc envoy config" in line for line in lines)
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


def test_a_policy_that_not_every_worker_has_taken_over(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY.replace("name: conformance", "name: newer"), "utf-8")
    found = unwell(check_policy(replace(settings, policy_file=path)))
    assert (
        found["policy, in force"].said == "worker 0 has not taken the file over; worker 1 has not taken the file over"
    )


def test_a_worker_that_is_not_there(settings: Settings) -> None:
    found = unwell(check_workers(replace(settings, workers=3)))
    assert set(found) == {"workers"}
    assert found["workers"].said.startswith("worker 2 does not answer")


def test_a_run_directory_that_others_get_into(settings: Settings) -> None:
    with mode(settings.run_directory, 0o705):
        assert set(unwell(check_workers(settings))) == {"run directory"}
    with mode(settings.run_directory, 0o770):  # a pod's emptyDir
        assert unwell(check_workers(settings)) == {}


def test_a_console_that_is_away(settings: Settings) -> None:
    assert settings.console is not None
    away = replace(settings, console=replace(settings.console, url=f"http://127.0.0.1:{free_port()}"))
    assert set(unwell(check_console(away))) == {"console"}


def test_a_console_that_is_somebody_else(patient: World, settings: Settings) -> None:
    assert settings.console is not None
    other = replace(settings, console=replace(settings.console, url=patient.guard.issuer.url))
    assert "answers 404" in unwell(check_console(other))["console"].said


def test_scraped_addresses_that_do_not_answer_or_are_somebody_else(patient: World, settings: Settings) -> None:
    issuer = httpx.URL(patient.guard.issuer.url).port
    assert issuer is not None
    other = replace(settings.telemetry, metrics_port=issuer, supervisor_metrics_port=free_port())
    found = unwell(check_telemetry(replace(settings, telemetry=other, workers=1)))
    assert set(found) == {"metrics, worker 0", "metrics, supervisor"}
    assert "answers 404" in found["metrics, worker 0"].said
    deaf = replace(settings.envoy, status_port=free_port())
    assert set(unwell(check_telemetry(replace(settings, envoy=deaf)))) == {"envoy, ready"}
    dead = replace(settings, health=HealthSettings(port=free_port()))
    assert set(unwell(check_telemetry(dead))) == {"health"}


def test_a_question_that_breaks_hides_no_other(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Settings) -> Iterator[Check]:
        raise RuntimeError("secret words")

    monkeypatch.setattr("extproc.live.examination.check_workers", broken)
    found = list(examine(settings, Terms()))
    (told,) = [each for each in found if each.name == "workers"]
    assert (told.state, "secret words" in told.line()) == (State.FAIL, False)
    assert {"policy", "console"} <= {each.name for each in found}
