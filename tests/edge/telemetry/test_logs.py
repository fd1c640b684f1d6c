"""What a process with `setup_logging` writes to standard error. A process each: the set-up is of the whole process."""

import json
import re
import subprocess
import sys
from typing import Any

PAN = "4111 1111 1111 1111"
PREAMBLE = """
import logging, sys, threading
from extproc.edge.logs import bind_trace, setup_logging
setup_logging("guard", 3)
log = logging.getLogger("extproc.edge.session")
"""


def run(program: str) -> tuple[list[dict[str, Any]], str]:
    """The lines of a program's standard error, parsed, and the raw text."""
    command = [sys.executable, "-c", PREAMBLE + program]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()], done.stderr


def test_a_line_is_json_with_service_worker_trace_and_facts() -> None:
    (line,), _ = run(
        'bind_trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "019a9d8c1234-0123456789abcdef")\n'
        'log.info("stream refused", extra={"reason": "modes_unsafe", "count": 2, "kinds": ["pan"]})'
    )
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "extproc.edge.session",
        "message": "stream refused",
        "service": "guard",
        "worker": 3,
        "exchange_id": "019a9d8c1234-0123456789abcdef",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "span_id": "00f067aa0ba902b7",
        "reason": "modes_unsafe",
        "count": 2,
        "kinds": ["pan"],
    }


def test_an_exception_is_logged_by_types_and_places_only() -> None:
    (line,), text = run(
        f"""
def inner(body):
    raise ValueError("cannot parse " + body)
def outer(body):
    try:
        inner(body)
    except ValueError as error:
        raise KeyError(body) from error
try:
    outer({PAN!r})
except KeyError:
    log.exception("unexpected failure")
"""
    )
    assert [entry["type"] for entry in line["exception"]] == ["builtins.KeyError", "builtins.ValueError"]
    assert line["exception"][1]["frames"][-1].endswith(" inner")
    assert re.search(r"4111\D?1111", text) is None
    assert "cannot parse" not in text


def test_an_uncaught_exception_anywhere_prints_no_text() -> None:
    lines, text = run(
        f"""
def fail(): raise ValueError({PAN!r})
thread = threading.Thread(target=fail); thread.start(); thread.join()
class Bad:
    def __del__(self): fail()
bad = Bad(); del bad
async def go():
    import asyncio
    async def forgotten(): fail()
    task = asyncio.create_task(forgotten()); await asyncio.sleep(0); del task
import asyncio; asyncio.run(go())
try:
    raise ExceptionGroup({PAN!r}, [ValueError({PAN!r})])
except ExceptionGroup:
    log.exception("several")
fail()
"""
    )
    assert re.search(r"4111\D?1111", text) is None
    assert [line["logger"] for line in lines] == [
        "extproc.crash",
        "extproc.crash",
        "asyncio",
        "extproc.edge.session",
        "extproc.crash",
    ]
    assert lines[3]["exception"][0]["members"][0]["type"] == "builtins.ValueError"


def test_messages_of_other_packages_come_without_what_was_filled_in() -> None:
    lines, text = run(
        f"""
other = logging.getLogger("vendor.client")
other.warning("cannot reach %s", {PAN!r})
other.warning(f"body was {PAN}")
other.info("chatter")
"""
    )
    assert [line["message"] for line in lines] == ["cannot reach %s", "a message of another package"]
    assert re.search(r"4111\D?1111", text) is None
    assert all("at" in line for line in lines)


def test_a_number_that_could_be_an_account_is_withheld_even_from_our_own_lines() -> None:
    lines, text = run(
        f"""
log.warning("value %s", {PAN!r})
log.warning("fact", extra={{"text": "card {PAN} seen", "number": 4111111111111111, "body": b"{PAN}", "obj": object()}})
log.warning("id", extra={{"exchange_id": "123456789012-1234567890123456"}})
log.warning("list", extra={{"items": ["card {PAN}", "b"], "pairs": [("{PAN}", 1)]}})
"""
    )
    assert lines[0]["message"] == "value [withheld]"
    assert lines[1]["text"] == "card [withheld] seen"
    assert (lines[1]["number"], lines[1]["body"], lines[1]["obj"]) == ("[withheld]", "<bytes>", "<object>")
    assert lines[2]["exchange_id"] == "123456789012-1234567890123456"
    assert (lines[3]["items"], lines[3]["pairs"]) == (["card [withheld]", "b"], "<list>")
    assert re.search(r"4111\D?1111", text) is None


def test_a_record_that_cannot_be_formatted_prints_nothing_of_its_arguments() -> None:
    lines, text = run(f'log.warning("%d", {PAN!r})\nlog.warning("after")')
    assert re.search(r"4111\D?1111", text) is None
    assert lines[-1]["message"] == "after"
