"""`extproc console` and `rotate-keys`: wrong use ends with 2 and a sentence that says what to do."""

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec

from extproc.approvals.database import open_database
from extproc.approvals.sessions import Sessions
from extproc.audit.keys.keys import AuditKeys
from extproc.audit.reading.holdings import Holdings
from extproc.audit.reading.reader import find_records
from extproc.audit.stores.store import open_store
from extproc.cli.main import main
from extproc.core.principal import Principal
from extproc.core.reasons import REFUSALS, Reason, Unavailable
from extproc.core.record import EventCode, Outcome
from extproc.edge.settings_file import load_settings
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


def test_the_sessions_of_one_person_end_everywhere_and_that_is_recorded_first(tmp_path: Path) -> None:
    config = write_config(tmp_path, console=CONSOLE, approvals={"database": f"sqlite:///{tmp_path}/approvals.db"})
    (tmp_path / "store").mkdir()
    database = open_database(f"sqlite:///{tmp_path}/approvals.db")
    sessions, now = Sessions(database, 900.0), time.time()
    people = {name: Principal("https://idp", name, name, ("approvers",)) for name in ("paula", "pau")}
    for secret, name in (("one", "paula"), ("two", "paula"), ("three", "pau")):
        sessions.begin(secret, msgspec.json.encode(people[name]).decode(), now + 3600, now)
    sessions.begin("four", "of another version", now + 3600, now)
    arguments = ("end-sessions", "https://idp|Paula", "--config", str(config))

    def live() -> set[str]:
        return {secret for secret in ("one", "two", "three", "four") if sessions.peek(secret, now)}

    unrecorded = run(*arguments)
    assert (unrecorded[0], "no session was ended" in unrecorded[1]) == (2, True)
    assert live() == {"one", "two", "three", "four"}
    AuditKeys.load_or_create(tmp_path / "keys")
    assert run(*arguments) == (0, "2 ended.\n")
    assert live() == {"three", "four"}
    assert run(*arguments) == (1, "Nobody of that name has a session in the console.\n")
    assert run("end-sessions", "paula", "--config", str(config))[0] == 2
    database.close()
    settings = load_settings(config).audit
    holdings = Holdings.look(open_store(settings), settings.spool, settings.deployment)
    records = [each.record for each in find_records(holdings)]
    ended = [dict(each.detail) for each in records if each.event_code is EventCode.ADMIN_SESSIONS_END]
    assert ended == [{"person": "https://idp|Paula"}] * 2


def test_sessions_that_the_store_keeps_from_ending_are_recorded_as_not_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config(tmp_path, console=CONSOLE, approvals={"database": f"sqlite:///{tmp_path}/approvals.db"})
    (tmp_path / "store").mkdir()
    AuditKeys.load_or_create(tmp_path / "keys")
    monkeypatch.setattr(Sessions, "end_all", Mock(side_effect=Unavailable(Reason.APPROVALS_UNAVAILABLE)))
    arguments = ("end-sessions", "https://idp|paula", "--config", str(config))
    code, output = run(*arguments)
    assert (code, output) == (2, REFUSALS[Reason.APPROVALS_UNAVAILABLE].sentence + "\n")
    settings = load_settings(config).audit
    found = [
        each.record for each in find_records(Holdings.look(open_store(settings), settings.spool, settings.deployment))
    ]
    ended = {each.status: each for each in found if each.event_code is EventCode.ADMIN_SESSIONS_END}
    assert set(ended) == {Outcome.SUCCEEDED, Outcome.FAILED}
    assert ended[Outcome.FAILED].status_detail == "approvals_unavailable"
    assert ended[Outcome.FAILED].detail == {"person": "https://idp|paula", "refused": "approvals_unavailable"}
    monkeypatch.setattr("extproc.cli.console.record_act", Mock())
    shutil.rmtree(tmp_path / "keys")
    code, output = run(*arguments)
    assert (code, "no session was ended, and that could not be recorded" in output) == (2, True)


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
