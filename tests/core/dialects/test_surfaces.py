"""Every surface of the table, both ways, streamed and not. The table in the README of the package is this one."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from extproc.core.dialects import operations, routing
from extproc.core.dialects.request import parse_request
from extproc.core.dialects.response import open_response
from extproc.core.dialects.routing import find_operation
from extproc.core.policy import Operation
from extproc.core.reasons import Malformed
from extproc.core.snapshot import Limits

README = Path(routing.__file__).with_name("README.md")
CARD = "pay 4111 1111 1111 1111 now"
MASKED = "pay [PAN] now"
CLEAN = "pay a big bill, all"
JSON = "application/json"


def answered(surface: Any, body: bytes, masker: object) -> bytes:
    whole = open_response(surface.operation, 200, JSON, masker, Limits())
    return bytes(whole.feed(body)) + bytes(whole.finish())


def test_each_path_asks_for_what_the_table_says(surface: Any) -> None:
    for path in surface.paths:
        assert find_operation(surface.method, path) is surface.operation


def test_a_request_is_masked_in_every_place(surface: Any, make_masker: Callable) -> None:
    body = surface.fill(surface.request or '{"k": "§"}', CARD)
    masked = parse_request(surface.operation, JSON, body, Limits()).mask(make_masker())
    assert masked.changed
    assert json.loads(masked.body) == json.loads(surface.fill(surface.request or '{"k": "§"}', MASKED))
    assert masked.stripped == ()


def test_a_request_without_findings_goes_on_byte_for_byte(surface: Any, make_masker: Callable) -> None:
    body = surface.fill(surface.request or '{"k": "§"}', CLEAN)
    assert parse_request(surface.operation, JSON, body, Limits()).mask(make_masker()).body is body


def test_a_whole_answer_is_masked_in_every_place(surface: Any, make_masker: Callable) -> None:
    template, masked = (surface.answer, surface.masked_answer) if surface.answer else ('{"k": "§"}',) * 2
    out = answered(surface, surface.fill(template, CARD), make_masker())
    assert json.loads(out) == json.loads(surface.fill(masked, MASKED))
    clean = surface.fill(template, CLEAN)
    assert (answered(surface, clean, make_masker()) == clean) is (template == masked)


def test_what_the_table_refuses_is_refused(surfaces: list[Any]) -> None:
    refused = [(surface, *each) for surface in surfaces for each in surface.refused]
    assert refused
    for surface, reason, body in refused:
        with pytest.raises(Malformed) as raised:
            parse_request(surface.operation, JSON, body.encode(), Limits())
        assert raised.value.reason.value == reason


def thirds(text: str) -> list[str]:
    return [text[at : at + 3] for at in range(0, len(text), 3)]


def test_a_stream_is_masked_as_if_each_of_its_texts_were_whole(surface_stream: Any) -> None:
    cut = (lambda text: [text, text]) if surface_stream.whole_texts else thirds
    wire = surface_stream.wire(CARD, cut)
    out = surface_stream.documents(surface_stream.passed(wire, []))
    for text in surface_stream.texts:
        expected = surface_stream.expected(text, CARD) * (2 if surface_stream.whole_texts else 1)
        assert surface_stream.joined(out, text) == expected
        assert "[PAN]" in expected
    assert "4111" not in json.dumps(out)
    for path in surface_stream.again:
        (again,) = {value for document in out for value in surface_stream.find(document, path)} - {""}
        assert again == surface_stream.expected_again(CARD)


def test_the_events_of_a_stream_keep_their_order_counters_and_envelope(surface_stream: Any) -> None:
    wire = surface_stream.wire(CARD, thirds if not surface_stream.whole_texts else lambda text: [text])
    came = surface_stream.blank(surface_stream.documents(wire))
    went = surface_stream.blank(surface_stream.documents(surface_stream.passed(wire, [])))
    # Where choices end, a tail may come in an event of its own, which looks like its neighbours.
    made = [event for event in went if event not in came]
    assert [event for event in went if event not in made] == came
    assert all(event["choices"][0]["finish_reason"] is None for event in made)


def test_a_stream_without_findings_goes_on_byte_for_byte(surface_stream: Any) -> None:
    wire = surface_stream.wire(CLEAN, lambda text: [text] if surface_stream.whole_texts else thirds(text))
    assert surface_stream.passed(wire, []) == wire


def test_streamed_json_parses_once_it_is_whole(surface_stream: Any) -> None:
    texts = [text for text in surface_stream.texts if text.json]
    out = surface_stream.documents(surface_stream.passed(surface_stream.wire(CARD, list), [])) if texts else []
    for text in texts:
        assert json.loads(surface_stream.joined(out, text)) == {"what": MASKED, "ok": True}


# -- the table ----------------------------------------------------------------------------------------------------------


def row(surface: Any) -> str:
    method = "" if surface.method == "POST" else f"{surface.method} "
    paths = "<br>".join(f"`{method}{path}`" for path in surface.paths)
    way = "refused" if surface.refused else ("masked" if surface.request else "")
    answer = "masked" if surface.answer else ""
    removed = ", fields removed" if surface.answer != surface.masked_answer else ""
    streams = "<br>".join(stream.name for stream in surface.streams)
    cells = (surface.name, paths, f"`{surface.operation.value}`", way, answer + removed, streams, surface.says)
    return "| " + " | ".join(cells) + " |"


def test_the_readme_shows_this_table(surfaces: list[Any]) -> None:
    shown = re.findall(
        r"^\| (?!surface )(?!---).*\|$", README.read_text("utf-8").partition("<!-- table -->")[2], re.MULTILINE
    )
    assert shown == [row(surface) for surface in surfaces]


def test_the_table_has_every_path_that_is_routed(surfaces: list[Any]) -> None:
    named = {(surface.method, path) for surface in surfaces for path in surface.paths}
    """But for what administers a server: `test_operations.py` has all of it."""
    found = {operations.TABLE.find(method, path) for method, path in named}
    routed = [route for route in operations.TABLE.routes if route.method == "POST"]
    assert [route for route in routed if route.operation is not Operation.MODEL_ADMIN and route not in found] == []
