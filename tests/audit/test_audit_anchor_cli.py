"""`extproc audit anchor`: its settings, its key, and the exit codes of one pass."""

import dataclasses
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from extproc.audit.anchor.note import VerifierKey
from extproc.audit.anchor.settings import AnchorSettings, load_anchor_settings
from extproc.audit.keys.public_keys import PUBLIC_KEY
from extproc.audit.settings import S3Store
from extproc.audit.verify.anchored import read_anchored
from extproc.cli.main import main
from tests.audit.anchoring import NAME


@pytest.fixture
def config(log, tmp_path: Path):
    """Writes `anchor.yaml`, and gives its path."""

    def write(**changes: object) -> Path:
        document = {
            "apiVersion": "extproc/v1",
            "kind": "Anchor",
            "name": NAME,
            "deployment": "test",
            "public_key": str(log.settings.keys / PUBLIC_KEY),
            "store": {"directory": str(log.store_path)},
            "key": "anchor.key",
            "memory": "memory",
            **changes,
        }
        path = tmp_path / "anchor" / "anchor.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump({key: value for key, value in document.items() if value is not None}))
        return path

    return write


def run(path: Path, *arguments: str):
    result = CliRunner().invoke(main, ["audit", "anchor", "--config", str(path), *arguments])
    lines = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    return result, lines


def drop_last(log) -> None:
    last = max(path for path in log.store_path.rglob("*.json") if "/registry/" in path.as_posix())
    for path in log.store_path.rglob("*"):
        if path.is_file() and last.stem in path.as_posix():
            path.unlink()


def test_one_pass_exits_0_when_nothing_is_wrong_1_with_an_open_alarm_2_when_it_is_not_finished(
    log, shipped, config, tmp_path
):
    result, (line,) = run(config(), "--once")
    assert (result.exit_code, line["state"], line["epochs"], line["open_alarms"]) == (0, "complete", 2, 0)
    drop_last(log)
    result, (alarm, line) = run(config(), "--once")
    assert (result.exit_code, alarm["alarm"], line["open_alarms"]) == (1, "WRITER_MISSING", 1)
    assert (alarm["where"], alarm["what"]) == (
        "test/worker-1",
        "all of its 1 epoch(s) are gone: its evidence is gone",
    )
    assert run(config(), "--reason", "told the auditor")[0].exit_code == 2, "of which alarm?"
    (result, lines) = run(config(), "--acknowledge", alarm["id"], "--reason", "told the auditor")
    assert (result.exit_code, lines[0]["reason"]) == (0, "told the auditor")
    assert run(config(), "--once")[0].exit_code == 0
    (tmp_path / "blocked").write_text("no directory")
    result, lines = run(config(copies={"directory": str(tmp_path / "blocked" / "copies")}), "--once")
    assert (result.exit_code, lines) == (2, [])


class TestVerify:
    """`extproc audit verify --anchor DIR --anchor-key KEY`"""

    @pytest.fixture
    def key(self, shipped, config) -> str:
        assert run(config(), "--once")[0].exit_code == 0
        return run(config(), "--show-key")[0].output.strip()

    @pytest.fixture
    def verify(self, log, tmp_path):
        def verify(*arguments: str):
            public = str(log.settings.keys / PUBLIC_KEY)
            return CliRunner().invoke(
                main, ["audit", "verify", "--store", str(log.store_path), "--public-key", public, *arguments]
            )

        return verify

    @pytest.fixture
    def memory(self, tmp_path) -> Path:
        return tmp_path / "anchor" / "memory"

    def test_a_dropped_epoch_is_found_with_the_anchor_and_without_it_the_report_says_what_it_cannot_see(
        self, log, verify, key, memory
    ):
        whole = verify("--anchor", str(memory), "--anchor-key", key)
        assert (whole.exit_code, whole.stdout.splitlines()[-1]) == (0, "proven")
        assert f"anchor: {NAME} co-signed 2 head(s)" in whole.stdout
        drop_last(log)
        alone = verify()
        assert (alone.exit_code, alone.stdout.splitlines()[-1]) == (0, "proven")
        assert "tamper-evident against non-administrators" in alone.stdout
        assert json.loads(verify("--json").stdout)["anchor"] is None
        found = verify("--anchor", str(memory), "--anchor-key", key, "--json")
        body = json.loads(found.stdout)
        assert (found.exit_code, [each["name"] for each in body["findings"]]) == (1, ["WRITER_MISSING"])
        assert (body["anchor"]["name"], body["anchor"]["heads"]) == (NAME, 2)

    def test_an_open_alarm_of_the_anchor_is_a_finding_until_it_is_acknowledged(self, log, verify, key, memory, config):
        held = [(path, path.read_bytes()) for path in log.store_path.rglob("*") if path.is_file()]
        drop_last(log)
        alarm = run(config(), "--once")[1][0]
        for path, data in held:
            path.write_bytes(data)
        found = verify("--anchor", str(memory), "--anchor-key", key)
        assert (found.exit_code, f"an open alarm of {NAME}" in found.stdout) == (1, True)
        run(config(), "--acknowledge", alarm["id"], "--reason", "restored")
        assert verify("--anchor", str(memory), "--anchor-key", key).exit_code == 0

    def test_a_silence_is_told(self, verify, key, memory, config):
        assert run(config(silence="1ms"), "--once")[0].exit_code == 1
        told = verify("--anchor", str(memory), "--anchor-key", key)
        assert (told.exit_code, "it has heard nothing from test" in told.stdout) == (0, True)

    def test_what_another_key_signed_is_not_believed(self, verify, key, memory, config):
        other = run(config(key="other.key"), "--show-key")[0].output.strip()
        result = verify("--anchor", str(memory), "--anchor-key", other)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "has no signature" in result.stderr

    @pytest.mark.parametrize("damage", ["changed", "taken", "other"])
    @pytest.mark.parametrize("name", ["log.jsonl", "log.note", "epoch.note"])
    def test_a_damaged_copy_of_the_anchor_is_not_believed(self, verify, key, memory, name, damage):
        notes = sorted((memory / "checkpoints").rglob("*.note"))
        path = notes[0] if name == "epoch.note" else memory / name
        match damage:
            case "changed":
                path.write_bytes(path.read_bytes().replace(b"/", b"_", 1))
            case "taken":
                path.unlink()
            case "other":
                path.write_bytes(notes[1].read_bytes())
        result = verify("--anchor", str(memory), "--anchor-key", key)
        assert (result.exit_code, result.stdout) == (2, "")

    def test_the_newest_lines_of_its_log_cannot_be_left_out(self, verify, key, memory):
        lines = (memory / "log.jsonl").read_bytes().splitlines(keepends=True)
        (memory / "log.jsonl").write_bytes(b"".join(lines[:-1]))
        assert verify("--anchor", str(memory), "--anchor-key", key).exit_code == 2

    def test_both_options_belong_together(self, verify, key, memory):
        assert verify("--anchor", str(memory)).exit_code == 2
        assert verify("--anchor-key", key).exit_code == 2
        assert verify("--anchor", str(memory), "--anchor-key", "no key").exit_code == 2


def test_an_open_alarm_is_said_also_when_a_pass_is_not_finished(log, shipped, config, monkeypatch):
    def fails(*_: object) -> None:
        raise OSError(5, "dies here")

    run(config(), "--once")
    with monkeypatch.context() as context:
        context.setattr("extproc.audit.stores.store.Directory.list", fails)
        result, (line,) = run(config(), "--once")
        assert (result.exit_code, line["state"]) == (2, "incomplete")
    drop_last(log)
    run(config(), "--once")
    monkeypatch.setattr("extproc.audit.stores.store.Directory.list", fails)
    result, lines = run(config(), "--once")
    assert (result.exit_code, [line.get("alarm") for line in lines]) == (1, [None, "WRITER_MISSING"])


def test_the_key_is_made_once_and_is_for_its_owner(config, tmp_path):
    first, _ = run(config(), "--show-key")
    again, _ = run(config(), "--show-key")
    assert first.output == again.output
    key = VerifierKey.parse(first.output.strip())
    assert (key.name, key.algorithm) == (NAME, 4)
    file = tmp_path / "anchor" / "anchor.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    refused, _ = run(config(), "--show-key")
    assert (refused.exit_code, "0600" in refused.stderr) == (2, True)
    assert not (tmp_path / "anchor" / "memory").exists()


def test_a_store_where_nothing_is_yet_or_another_deployment_is_not_called_right(log, shipped, config):
    result, (line,) = run(config(deployment="tset"), "--once")
    assert (result.exit_code, line["state"]) == (2, "empty")


def test_the_store_is_only_read(log, shipped, config):
    before = sorted((path, path.stat().st_mtime_ns) for path in log.store_path.rglob("*"))
    run(config(), "--once")
    assert sorted((path, path.stat().st_mtime_ns) for path in log.store_path.rglob("*")) == before


def test_a_store_that_is_not_there_is_no_loss_and_the_pass_is_not_finished(log, shipped, config, tmp_path):
    assert run(config(), "--once")[0].exit_code == 0
    log.store_path.rename(tmp_path / "elsewhere")
    result, (line,) = run(config(), "--once")
    assert (result.exit_code, line["state"]) == (2, "incomplete")
    assert f"{log.store_path} is not there" in line["why"]
    (tmp_path / "elsewhere").rename(log.store_path)
    assert run(config(), "--once")[0].exit_code == 0


def test_several_alarms_are_acknowledged_at_once_all_or_none(log, shipped, config):
    run(config(), "--once")
    for path in log.store_path.rglob("0000000001.jsonl"):
        path.unlink()
    result, (one, other, _) = run(config(), "--once")
    assert result.exit_code == 1
    wrong, _ = run(config(), "--acknowledge", one["id"], "--acknowledge", "0123", "--reason", "told")
    assert (wrong.exit_code, "0123" in wrong.stderr) == (2, True)
    assert len(run(config(), "--once")[1]) == 3, "nothing was acknowledged"
    result, lines = run(config(), "--acknowledge", one["id"], "--acknowledge", other["id"], "--reason", "told")
    assert (result.exit_code, {line["where"] for line in lines}) == (0, {one["where"], other["where"]})
    assert run(config(), "--once")[0].exit_code == 0


def test_a_damaged_memory_ends_with_2(shipped, config, tmp_path):
    run(config(), "--once")
    (tmp_path / "anchor" / "memory" / "memory.sqlite3").write_bytes(b"no database")
    result, lines = run(config(), "--once")
    assert (result.exit_code, lines) == (2, [])
    assert "is refused" in result.stderr


def test_the_readmes_example_is_one(tmp_path):
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    (block,) = [part for part in readme.split("```") if part.startswith("yaml\n# anchor.yaml")]
    (tmp_path / "anchor.yaml").write_text(block.removeprefix("yaml\n"))
    settings = load_anchor_settings(tmp_path / "anchor.yaml")
    assert (settings.name, settings.retention_days, settings.interval_seconds) == ("anchor.example/prod", 400, 60)
    assert isinstance(settings.copies, S3Store)
    defaults = {field.name: field.default for field in dataclasses.fields(AnchorSettings)}
    assert settings.silence_seconds == defaults["silence_seconds"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "../other"}, ":6:7: name: must be letters, digits and `._-`, with `/` between"),
        ({"name": None}, ":1:1: name: is missing (the name in its signatures)"),
        ({"deployment": "a/b"}, ":2:13: deployment: must be a name"),
        ({"store": {}}, ":8:8: store: must not be empty (give `directory` or `s3`)"),
        (
            {"store": {"directory": "a", "s3": {"bucket": "bucket"}}},
            ":9:3: store: must have only 1 of its keys (give `directory` or `s3`)",
        ),
        ({"interval": "soon"}, ":3:11: interval: must be a duration such as"),
        ({"interval": "0s"}, ":3:11: interval: must be more than nothing (such as `60s`)"),
        ({"unknown": 1}, ":10:1: unknown: unknown key (known: "),
        ({"memery": "m", "memory": None}, "memery: unknown key (did you mean `memory`?)"),
        ({"kind": "Config"}, ":4:7: kind: must be `Anchor` (write `kind: Anchor`)"),
        ({"copies": {"s3": {"bucket": "UPPER"}}}, "copies.s3.bucket: must be an S3 bucket name"),
        ({"public_key": "missing.pub"}, "missing.pub is not there; copy the gateway's deployment.pub there"),
    ],
    ids=[
        *("name", "no-name", "deployment", "no-store", "two-stores", "interval", "no-interval", "field", "typo"),
        *("kind", "bucket", "key"),
    ],
)
def test_wrong_settings_end_with_2_and_name_file_place_and_remedy(config, changes, says):
    path = config(**changes)
    result, _ = run(path, "--once")
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stderr.startswith("public_key: " if "public_key" in changes else f"{path}:")


def test_copies_are_not_kept_where_the_gateway_writes(log, config):
    for same in (log.store_path, Path("..", log.store_path.name)):
        result, _ = run(
            config(store={"directory": f"../{log.store_path.name}"}, copies={"directory": str(same)}), "--once"
        )
        assert (result.exit_code, "copies: is the gateway's own store (" in result.stderr) == (2, True)


def test_an_acknowledgement_needs_a_reason_and_an_open_alarm(shipped, config):
    assert run(config(), "--acknowledge", "0" * 12)[0].exit_code == 2
    result, _ = run(config(), "--acknowledge", "0" * 12, "--reason", "why not")
    assert (result.exit_code, "no open alarm" in result.stderr) == (2, True)


def test_it_goes_on_until_it_is_told_to_stop(shipped, config, tmp_path):
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from extproc.cli.main import main; main()",
            "audit",
            "anchor",
            "--config",
            str(config(interval="20ms")),
        ],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    try:
        lines = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.stdout.close()
    assert [line["moved"] for line in lines] == [2, 0, 0]
    key = VerifierKey.parse(run(config(), "--show-key")[0].output.strip())
    assert len(read_anchored(tmp_path / "anchor" / "memory", key).remembered.heads) == 2


def test_a_card_number_in_a_reason_is_kept_nowhere(log, shipped, config, tmp_path):
    assert run(config(), "--once")[0].exit_code == 0
    drop_last(log)
    alarm = run(config(), "--once")[1][0]
    result, (line,) = run(config(), "--acknowledge", alarm["id"], "--reason", "asked about 4111 1111 1111 1111 by mail")
    assert result.exit_code == 0
    assert line["reason"].startswith("asked about ")
    assert line["reason"].endswith(" by mail")
    kept = b"".join(path.read_bytes() for path in (tmp_path / "anchor").rglob("*") if path.is_file())
    assert b"by mail" in kept
    assert b"4111 1111 1111 1111" not in kept
    assert "4111 1111 1111 1111" not in result.output
