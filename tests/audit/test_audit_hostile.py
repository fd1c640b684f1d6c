"""Names, numbers and files by somebody who wants to be taken for another, or a command to give up."""

import os
import pwd

import pytest

from extproc.audit.reader import Reader
from extproc.cli.person import account, mask_reason
from extproc.core.record import EventCode

PAN = "4111111111111111"


def readings(log) -> list:
    """The newest record of a reading, first."""
    records = [item.record for item in Reader(log.look()).records() if item.record.event_code is EventCode.AUDIT_READ]
    return sorted(records, key=lambda record: record.time_ms, reverse=True)


def test_who_reads_is_what_the_machine_says_and_not_the_environment(run, living, log, monkeypatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    assert run("list").exit_code == 0
    assert readings(log)[0].actor.name == pwd.getpwuid(os.getuid()).pw_name != "somebody-else"


def test_an_account_without_a_name_is_its_number(monkeypatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_123)
    assert account() == "4000000123"


def test_an_argument_that_is_no_text_is_recorded_as_its_bytes(run, living, log) -> None:
    assert "there is no exchange `\\udcff`" in run("show", "\udcff").stderr
    assert readings(log)[0].detail["exchange"] == "\\udcff"


@pytest.mark.parametrize("name", [f"019ac0a1b2c3-{PAN}", f"20261128T144702Z-{PAN}"])
def test_an_id_of_ours_is_never_taken_for_a_card_number(name: str) -> None:
    assert mask_reason(name) == name
    assert PAN not in mask_reason(f"{name} ") + mask_reason(PAN) + mask_reason(f"x{name}")
