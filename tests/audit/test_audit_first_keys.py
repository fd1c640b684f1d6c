"""Who may make keys: a service that begins a log. A wrong `audit.keys` never signs into another deployment's log."""

import shutil
import time
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from extproc.audit.keys.first_keys import first_keys
from extproc.audit.keys.keys import AuditKeys, open_keys
from extproc.audit.keys.rotation import rotate_keys
from extproc.audit.log.journal import Journal, write_once
from extproc.audit.log.registry import Registry
from extproc.audit.names import Origin
from extproc.audit.refusal import AuditRefused
from extproc.audit.settings import DirectoryStore
from extproc.cli.main import main
from extproc.core.record import EventCode

COMMANDS = {
    "list": ("audit", "list"),
    "show": ("audit", "show", "x-1"),
    "replay": ("audit", "replay", "x-1"),
    "export": ("audit", "export", "--format", "ocsf-jsonl", "--output", "exported"),
    "retention-check": ("audit", "retention-check"),
    "keys": ("audit", "keys"),
    "rotate-keys": ("audit", "rotate-keys"),
    "inspect-store": ("audit", "inspect-store"),
    "shred": ("audit", "shred", "list"),
    "open-sealed": ("audit", "open-sealed", "list"),
    "evidence": ("evidence", "--from", "1d", "--output", "pack"),
}


def files_of(log) -> dict[Path, bytes]:
    found = (*log.settings.spool.rglob("*"), *log.store_path.rglob("*"))
    return {path: path.read_bytes() for path in found if path.is_file()}


@pytest.fixture
def with_keys(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs a command whose configuration has other words at `audit.keys`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.yaml").write_bytes(
        (Path(__file__).parents[2] / "extproc" / "local" / "policy.yaml").read_bytes()
    )

    def invoke(keys: str, *arguments: str):
        document = yaml.safe_load(config.read_text())
        document["audit"]["keys"] = keys
        config.write_text(yaml.safe_dump(document))
        return CliRunner().invoke(main, arguments, env={"EXTPROC_CONFIG": str(config)})

    return invoke


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_makes_keys(shipped, with_keys, tmp_path, command):
    before = files_of(shipped)
    result = with_keys("kyes", *COMMANDS[command])
    assert result.exit_code == 2, result.output
    assert f"there are no keys in {tmp_path / 'kyes'}: is `audit.keys` right?" in result.stderr
    assert not (tmp_path / "kyes").exists()
    assert files_of(shipped) == before
    assert shipped.verify().exit_code == 0


def test_another_deployments_keys_write_nothing_into_this_log(shipped, with_keys, tmp_path):
    AuditKeys.load_or_create(tmp_path / "others")
    before = files_of(shipped)
    result = with_keys("others", "audit", "list")
    assert result.exit_code == 2
    assert f"the log in {shipped.settings.spool} was begun with another key" in result.stderr
    assert files_of(shipped) == before
    assert with_keys("keys", "audit", "list").exit_code == 0
    shipped.ship()
    assert shipped.verify().exit_code == 0


@pytest.mark.parametrize("lost", ["store", "spool"])
def test_a_service_makes_no_keys_beside_a_log(shipped, tmp_path, lost):
    settings = shipped.with_(keys=tmp_path / "kyes").settings
    shutil.rmtree(tmp_path / lost)
    with pytest.raises(AuditRefused, match=r"there are no keys in .*kyes.* begun with another key"):
        first_keys(settings)
    assert not settings.keys.exists()


def test_a_service_does_not_start_with_another_deployments_keys(shipped, tmp_path):
    settings = shipped.with_(keys=tmp_path / "others").settings
    AuditKeys.load_or_create(settings.keys)
    with pytest.raises(AuditRefused, match="begun with another key"):
        first_keys(settings)


def test_a_service_makes_the_first_keys_once(log, tmp_path):
    place = {"keys": tmp_path / "new", "spool": tmp_path / "fresh", "store": DirectoryStore(tmp_path / "empty")}
    settings = log.with_(**place).settings
    made = first_keys(settings)
    Journal.open(settings, made, writer="w", deliver=lambda run: run()).close()
    assert first_keys(settings).signing.public_key() == open_keys(settings).signing.public_key()
    assert first_keys(settings).signing.public_key() == made.signing.public_key()


def test_a_process_with_the_keys_before_a_rotation_goes_on(shipped, record):
    """A command rotates and records it with the new key; the service that runs has the old one in memory."""
    rotate_keys(shipped.settings, int(time.time() * 1000))
    write_once(shipped.settings, open_keys(shipped.settings), "cli", [record(EventCode.AUDIT_READ)])
    shipped.open("worker-0").close()
    first_keys(shipped.settings)
    shipped.open("worker-1").close()


def test_a_register_does_not_go_on_with_another_key(log, tmp_path):
    log.open().close()
    other = Registry(log.settings.spool, AuditKeys.load_or_create(tmp_path / "others"))
    with pytest.raises(AuditRefused, match="begun with another key"):
        other.register(Origin.parse("test/cli/20260101T000000Z-00000000000000aa"), 1)
