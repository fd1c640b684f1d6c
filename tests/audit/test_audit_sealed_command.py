"""`extproc audit open-sealed` for two people with tokens, and the private key elsewhere."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from extproc.audit.retention.sealed import Sealer, load_custodian_key, write_custodian_keys
from extproc.cli import two_people
from extproc.core.originals import OriginalPlace
from extproc.core.reasons import Reason, Unavailable
from extproc.core.record import Direction, EventCode
from extproc.core.trust import Masked, Unmasked
from extproc.local.issuer import RunningIssuer
from tests.audit.people import Place, make_place

PAN = "4111 1111 1111 1111"
ASKED = f'{{"messages":[{{"role":"user","content":"card {PAN} cvv [CVV]"}}]}}'
SAID = [b"data: fine\n\n", f"data: {PAN}\n\n".encode(), b"data: [DONE]\n\n"]


@pytest.fixture
def place(shipped, record, acks, tmp_path: Path, issuer: tuple[Path, RunningIssuer]) -> Place:
    """The exchange `s-1` has originals in both directions; the private key is elsewhere."""
    vault = tmp_path.parent / f"{tmp_path.name}-custodian"
    vault.mkdir()
    write_custodian_keys(vault / "custodian.key")
    journal = shipped.open("worker-2")
    seal = Sealer(load_custodian_key(vault / "custodian.key.pub"), journal.origin)
    content = journal.open_content("s-1")
    waiting = 0

    def put(direction: Direction, masked: bytes, original: bytes, offset: int) -> None:
        nonlocal waiting
        content.append(direction, waiting + 1, Masked(masked), acks)
        waiting += 1
        if original != masked:
            sealed = seal(OriginalPlace("s-1", direction, offset, len(masked)), Unmasked(original))
            content.append(direction.sealed, waiting, sealed, acks)
            waiting += 1

    put(Direction.TO_MODEL, ASKED.replace(PAN, "[PAN]").encode(), ASKED.encode(), 0)
    journal.append_record(record(EventCode.INFERENCE_REQUEST, "s-1"), acks)
    offset = 0
    for event in SAID:
        masked = event.replace(PAN.encode(), b"[PAN]")
        put(Direction.TO_CLIENT, masked, event, offset)
        offset += len(masked)
    journal.append_record(record(EventCode.INFERENCE_END, "s-1", http_status=200), acks)
    assert all(acks.wait(waiting + 2))
    journal.close()
    shipped.ship()
    public = str(vault / "custodian.key.pub")
    return make_place(
        tmp_path, issuer, openers=["privacy"], shredders=["privacy"], sealed_originals={"public_key": public}
    )


@pytest.fixture
def key(tmp_path: Path) -> str:
    return str(tmp_path.parent / f"{tmp_path.name}-custodian" / "custodian.key")


def request(place: Place, exchange: str = "s-1") -> str:
    asked = place.audit("open-sealed", "request", exchange, "--reason", "a dispute", token=place.token("anna"))
    assert asked.exit_code == 0, asked.output
    return asked.stdout.strip()


def confirm(place: Place, wanted: str, key: str, *more: str, person: str = "bert", groups: tuple[str, ...] = ()):
    words = ("open-sealed", "confirm", wanted, "--reason", "agreed", "--key", key, *more)
    return place.audit(*words, token=place.token(person, *groups))


def codes(place: Place) -> list[str]:
    shown = place.audit("show", "s-1", "--json").stdout
    return [code for code in ("sealed.open_request", "sealed.open_refused", '"sealed.open"') if code in shown]


def test_two_people_open_what_arrived_and_the_log_tells_who(place: Place, key: str) -> None:
    wanted = request(place)
    (listed,) = [json.loads(line) for line in place.audit("open-sealed", "list", "--json").stdout.splitlines()]
    assert (listed["request"], listed["exchange"], listed["reason"]) == (wanted, "s-1", "a dispute")
    opened = confirm(place, wanted, key, "--direction", "to_model")
    assert (opened.exit_code, opened.stdout) == (0, ASKED), opened.output
    opened = confirm(place, wanted, key, "--direction", "to_client")
    assert opened.stdout_bytes == b"".join(SAID)
    both = confirm(place, wanted, key)
    assert both.stdout_bytes == ASKED.encode() + b"\n" + b"".join(SAID) + b"\n"
    assert codes(place) == ["sealed.open_request", '"sealed.open"']
    assert place.audit("verify").exit_code in {0, 2}
    replayed = place.audit("replay", "s-1", "--raw", "--no-wait").stdout
    assert "[PAN]" in replayed
    assert PAN not in replayed
    for form in (PAN, PAN.replace(" ", "")):
        assert form.encode() not in place.every_byte()


@pytest.mark.parametrize(
    ("person", "groups", "words"),
    [("anna", (), "another person"), ("carl", ("other",), "none of the groups of `audit.openers`")],
    ids=["alone", "no opener"],
)
def test_who_may_not_sees_nothing(place: Place, key: str, person: str, groups: tuple[str, ...], words: str) -> None:
    result = confirm(place, request(place), key, person=person, groups=groups)
    assert (result.exit_code, result.stdout) == (1, "")
    assert words in result.stderr
    assert b'"sealed.open_refused"' in place.every_byte()
    assert b'"sealed.open"' not in place.every_byte()


def test_a_request_to_shred_is_none_to_open(place: Place, key: str) -> None:
    other = place.audit("shred", "request", "s-1", "--reason", "why", token=place.token("anna")).stdout.strip()
    result = confirm(place, other, key)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no such request" in result.stderr


def test_without_its_record_nothing_is_shown(place: Place, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = request(place)

    def full(*arguments: object) -> str:
        raise Unavailable(Reason.AUDIT_UNAVAILABLE)

    original: Callable[..., str] = two_people.write_records

    def failing(*arguments: object) -> str:
        monkeypatch.setattr("extproc.audit.log.journal.write_once", full)
        return original(*arguments)

    monkeypatch.setattr("extproc.cli.two_people.write_records", failing)
    result = confirm(place, wanted, key)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Nothing is shown without its record" in result.stderr


def test_another_key_opens_nothing_and_that_is_no_opening(place: Place, tmp_path: Path) -> None:
    write_custodian_keys(tmp_path / "other.key")
    result = confirm(place, request(place), str(tmp_path / "other.key"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "this is another one" in result.stderr
    assert b'"sealed.open"' not in place.every_byte()


def test_an_exchange_without_an_original_has_nothing_to_open(place: Place, key: str) -> None:
    result = confirm(place, request(place, "x-3"), key)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no sealed original" in result.stderr


def test_shredding_the_exchange_is_the_end_of_its_originals(place: Place, key: str) -> None:
    wanted = request(place)
    shred = place.audit("shred", "request", "s-1", "--reason", "why", token=place.token("anna")).stdout.strip()
    done = place.audit("shred", "confirm", shred, "--reason", "agreed", token=place.token("bert"))
    assert done.exit_code == 0, done.output
    result = confirm(place, wanted, key)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "was shredded on" in result.stderr


def test_the_key_pair_of_a_custodian(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "new.key"
    made = place.audit("sealed-key", "--out", str(path))
    assert made.exit_code == 0, made.output
    assert len(made.stdout.strip()) == 16
    again = place.audit("sealed-key", "--out", str(path))
    assert again.exit_code == 2
    assert f"({path}). Nothing is overwritten" in again.stderr


def test_a_private_key_in_the_configuration_is_refused_in_words(place: Place, key: str) -> None:
    path = place.folder / "config.yaml"
    path.write_text(path.read_text().replace("custodian.key.pub", "custodian.key"))
    result = place.audit("list")
    assert result.exit_code == 2
    assert "holds a private key" in result.stderr
