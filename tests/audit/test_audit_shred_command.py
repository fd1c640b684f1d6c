"""`extproc audit shred` with a real configuration and an issuer: two tokens, one transcript."""

import json
from pathlib import Path

import pytest
import yaml

from extproc.core.record import EventCode, Outcome
from extproc.local.issuer import RunningIssuer
from tests.audit.people import Place, make_place

PAN = "4111 1111 1111 1111"


@pytest.fixture
def place(shipped, tmp_path: Path, issuer: tuple[Path, RunningIssuer]) -> Place:
    return make_place(tmp_path, issuer, shredders=["privacy"])


def test_two_people_shred_and_the_log_tells_why(place: Place) -> None:
    asked = place.audit("shred", "request", "x-3", "--reason", f"holds {PAN}, missed", token=place.token("anna"))
    assert asked.exit_code == 0, asked.output
    request = asked.stdout.strip()
    (listed,) = [json.loads(line) for line in place.audit("shred", "list", "--json").stdout.splitlines()]
    assert (listed["request"], listed["exchange"], listed["requester"]) == (request, "x-3", "Anna")
    assert request in place.audit("shred", "list").stdout

    alone = place.audit("shred", "confirm", request, "--reason", "me too", token=place.token("anna"))
    assert (alone.exit_code, alone.stdout) == (1, "")
    assert "another person" in alone.stderr
    assert place.audit("replay", "x-3", "--no-wait").exit_code == 0

    done = place.audit("shred", "confirm", request, "--reason", "agreed", token=place.token("bert"))
    assert (done.exit_code, done.stdout) == (0, "x-3 shredded\n"), done.output
    again = place.audit("shred", "confirm", request, "--reason", "agreed", token=place.token("bert"))
    assert (again.exit_code, again.stdout) == (0, "x-3 was shredded already\n")

    replay = place.audit("replay", "x-3", "--no-wait")
    assert replay.exit_code == 1
    assert "was shredded on" in replay.stderr
    assert "missed" in replay.stderr
    shown = place.audit("show", "x-3").stdout
    assert all(word in shown for word in ("admin.shred_request", "admin.shred_refused", "admin.shred_done", "agreed"))
    rows = {row["exchange_id"]: row for row in map(json.loads, place.audit("list", "--json").stdout.splitlines())}
    assert "missed" in rows["x-3"]["shredded"]
    assert rows["x-2"]["shredded"] is None
    assert rows["x-3"]["outcome"] == "completed"
    assert "shredded: holds" in place.audit("list").stdout
    for form in (PAN, PAN.replace(" ", "")):
        assert form.encode() not in place.every_byte()


@pytest.mark.parametrize(
    ("arguments", "groups", "code", "words"),
    [
        (("request", "x-3"), ("other",), 1, "none of the groups"),
        (("request", "x-9"), (), 2, "no such exchange"),
        (("confirm", "20260101T000000Z-00000000000000aa"), (), 2, "no such request"),
        (("confirm", "../../x"), ("other",), 1, "none of the groups"),
    ],
    ids=["wrong group", "no exchange", "no request", "no request and wrong group"],
)
def test_what_is_refused_is_recorded(place: Place, arguments, groups, code, words) -> None:
    result = place.audit("shred", *arguments, "--reason", "why", token=place.token("anna", *groups))
    assert (result.exit_code, result.stdout) == (code, "")
    assert words in result.stderr
    assert b'"admin.shred_refused"' in place.every_byte()


def test_an_exchange_without_transcript_is_not_asked_for(place: Place, shipped, record) -> None:
    journal = shipped.open()
    journal.append_record(record(EventCode.POLICY_DENY, "x-no", status=Outcome.REFUSED, status_detail="policy_denied"))
    journal.close()
    result = place.audit("shred", "request", "x-no", "--reason", "why", token=place.token("anna"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "has no transcript" in result.stderr


def test_without_a_group_in_the_configuration_nobody_may(place: Place) -> None:
    path = place.folder / "config.yaml"
    document = yaml.safe_load(path.read_text())
    del document["audit"]["shredders"]
    path.write_text(yaml.safe_dump(document))
    result = place.audit("shred", "request", "x-3", "--reason", "why", token=place.token("anna"))
    assert result.exit_code == 2
    assert "`audit.shredders` names no group" in result.stderr


@pytest.mark.parametrize(
    ("reason", "token"),
    [(" ", None), ("a\x1b[2J", None), ("why", "a.b.c"), ("why", "")],
    ids=["empty", "control characters", "no token of the issuer", "no token"],
)
def test_a_bad_reason_or_token_changes_nothing(place: Place, reason: str, token: str | None) -> None:
    given = place.token("anna") if token is None else token
    result = place.audit("shred", "request", "x-3", "--reason", reason, token=given)
    assert (result.exit_code, result.stdout) == (2, "")
    assert b"admin.shred" not in place.every_byte()
