"""What a person types at a command may be a card number: it is nowhere in the log, in the clear."""

from pathlib import Path

import pytest

from extproc.local.issuer import RunningIssuer
from tests.audit.people import Place, make_place

PAN = "4111111111111111"
SPACED = "4111 1111 1111 1111"
SAID = ("--reason", "why")


@pytest.fixture
def place(shipped, tmp_path: Path, issuer: tuple[Path, RunningIssuer]) -> Place:
    return make_place(tmp_path, issuer, shredders=["privacy"])


@pytest.mark.parametrize("number", [PAN, SPACED], ids=["plain", "spaced"])
@pytest.mark.parametrize(
    "command",
    [
        ("list", "--person", "{}"),
        ("list", "--model", "card {}"),
        ("list", "--rule", "{}"),
        ("list", "--finding", "{}"),
        ("list", "--finding", "pan", "--finding", "{}"),
        ("show", "{}"),
        ("replay", "{}"),
        ("shred", "request", "{}", *SAID),
        ("shred", "confirm", "{}", *SAID),
        ("shred", "request", "x-1", "--reason", "{}"),
    ],
    ids=["person", "model", "rule", "finding", "findings", "show", "replay", "request", "confirm", "reason"],
)
def test_a_typed_card_number_is_masked_in_the_record(shipped, place, command, number):
    token = place.token("anna") if command[0] == "shred" else ""
    before = len(place.every_byte())
    result = place.audit(*(word.format(number) for word in command), token=token)
    shipped.ship()
    stored = place.every_byte()
    assert len(stored) > before, "the reading is recorded"
    assert number.encode() not in stored
    assert PAN.encode() not in stored
    assert number not in result.output


def test_what_is_no_card_number_is_recorded_as_it_was_typed(shipped, place, lines_of):
    assert place.audit("list", "--person", "analyst", "--since", "24h").exit_code == 0
    assert place.audit("show", "x-1").exit_code == 0
    shipped.ship()
    details = [line["detail"] for line in lines_of(shipped) if line["event_code"] == "audit.read"]
    assert len(details) == 2  # two epochs of one second are stored in any order
    for said in ({"since": "24h", "person": "analyst"}, {"exchange": "x-1"}):
        assert said in details
