"""`extproc approvals notifications`: what could not be told shows, and is told once more when a person says so."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest
from click.testing import CliRunner, Result

from extproc.approvals.notify import outbox
from extproc.approvals.notify.deliveries import Deliveries, DeliveryState, Notification, Spread
from extproc.approvals.notify.events import Event
from extproc.approvals.store import ApprovalStore
from extproc.audit.keys.keys import AuditKeys
from extproc.audit.reading.holdings import Holdings
from extproc.audit.reading.reader import find_records
from extproc.audit.stores.store import open_store
from extproc.cli.approvals import command
from extproc.core.approval import ApprovalRequest
from extproc.core.reasons import REFUSALS, Reason, Unavailable
from extproc.core.record import EventCode
from extproc.edge.settings_file import load_settings
from tests.audit.configured import write_config


@pytest.fixture
def dead(tmp_path: Path, sqlite_store: ApprovalStore, ask: Callable[..., ApprovalRequest]) -> Deliveries:
    """Three channels could not tell of one approval, a fourth did."""
    write_config(tmp_path)
    (tmp_path / "store").mkdir()
    AuditKeys.load_or_create(tmp_path / "keys")
    deliveries, approval = sqlite_store.deliveries(), sqlite_store.open(ask("apr-\x1b[1m"))
    with sqlite_store._database.transaction() as connection:
        outbox.add(connection, approval, Event.EMERGENCY, 1000.0)
    name = outbox.notification_id(approval, Event.EMERGENCY)
    notification = Notification(name, "", Event.EMERGENCY, "", 1000.0)
    deliveries.spread([Spread(notification, ("a", "b", "c", "d"), 9000.0)], 1000.0)
    for channel in "abcd":
        delivery = deliveries.lease(channel, 1000.0)
        assert delivery is not None
        if channel == "d":
            deliveries.sent(delivery, 1000.0)
        else:
            deliveries.dead(delivery, "http_400", 1000.0)
    return deliveries


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(command, ["notifications", *arguments, "--config", str(folder / "config.yaml")])


def test_what_could_not_be_told_is_listed_with_why(tmp_path: Path, dead: Deliveries) -> None:
    shown = run(tmp_path, "list")
    assert shown.exit_code == 0, shown.output
    heading, *lines = shown.output.splitlines()
    assert heading.split()[:3] == ["ID", "CHANNEL", "WHAT"]
    assert [line.split()[1:4] for line in lines] == [[channel, "emergency", "dead"] for channel in "abc"]
    assert lines[0].endswith("http_400")
    assert "\x1b" not in shown.output
    told = json.loads(run(tmp_path, "list", "--state", "sent", "--json").output)
    assert [(each["channel"], each["failure"], each["attempts"]) for each in told] == [("d", "", 1)]
    assert "No notifications" in run(tmp_path, "list", "--state", "moot").output


def test_dead_letters_are_tried_again_one_of_a_channel_or_all(tmp_path: Path, dead: Deliveries) -> None:
    (name,) = {each.notification.notification_id for each in dead.search([DeliveryState.DEAD], 9)}
    assert run(tmp_path, "retry", name, "--channel", "b").output == "1 to be told again.\n"
    assert [each.channel for each in dead.search([DeliveryState.WAITING], 9)] == ["b"]
    assert run(tmp_path, "retry", "--all").output == "2 to be told again.\n"
    again = run(tmp_path, "retry", name)
    assert (again.exit_code, again.output) == (1, "There is no such dead letter.\n")
    none_left = run(tmp_path, "retry", "--all")
    assert (none_left.exit_code, none_left.output) == (1, "There are no dead letters.\n")
    assert run(tmp_path, "retry").exit_code == 2
    assert run(tmp_path, "retry", name, "--all").exit_code == 2
    settings = load_settings(tmp_path / "config.yaml").audit
    holdings = Holdings.look(open_store(settings), settings.spool, settings.deployment)
    records = [each.record for each in find_records(holdings)]
    told = [dict(each.detail) for each in records if each.event_code is EventCode.ADMIN_NOTIFY_RETRY]
    one = {"deliveries": 1, "notification": name, "channel": "b"}
    assert sorted(told, key=str) == sorted([one, {"deliveries": 2}], key=str)
    assert {
        each.actor.uid.partition("|")[0] for each in records if each.event_code is EventCode.ADMIN_NOTIFY_RETRY
    } == {"os"}


def test_without_a_record_nothing_is_told_again(tmp_path: Path, dead: Deliveries) -> None:
    shutil.rmtree(tmp_path / "keys")
    kept = run(tmp_path, "retry", "--all")
    assert kept.exit_code == 2
    assert "Nothing more is told again, because that cannot be recorded" in kept.output
    assert len(dead.search([DeliveryState.DEAD], 9)) == 3


def test_what_the_store_keeps_from_being_told_again_is_on_the_record(
    tmp_path: Path, dead: Deliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Unavailable(Reason.APPROVALS_UNAVAILABLE)
    monkeypatch.setattr(Deliveries, "retry", Mock(side_effect=[True, away]))
    kept = run(tmp_path, "retry", "--all")
    assert (kept.exit_code, kept.output) == (2, REFUSALS[Reason.APPROVALS_UNAVAILABLE].sentence + "\n")
    settings = load_settings(tmp_path / "config.yaml").audit
    holdings = Holdings.look(open_store(settings), settings.spool, settings.deployment)
    records = [each.record for each in find_records(holdings)]
    told = {each.status: each.detail for each in records if each.event_code is EventCode.ADMIN_NOTIFY_RETRY}
    assert told == {
        "succeeded": {"deliveries": 3},
        "failed": {"deliveries": 2, "refused": "approvals_unavailable"},
    }
    monkeypatch.setattr(Deliveries, "retry", Mock(side_effect=[True, away]))
    monkeypatch.setattr("extproc.cli.acts.record_act", Mock())
    shutil.rmtree(tmp_path / "keys")
    unrecorded = run(tmp_path, "retry", "--all")
    assert (unrecorded.exit_code, "Of 3 only 1 are told again, and that" in unrecorded.output) == (2, True)
