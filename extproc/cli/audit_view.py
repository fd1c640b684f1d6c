"""How `extproc audit` shows exchanges and records. What comes from elsewhere steers no terminal."""

import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import click

from extproc.audit.reading.exchanges import ExchangeRecords
from extproc.audit.reading.reader import time_text
from extproc.cli.columns import align
from extproc.cli.config import EXIT_INPUT
from extproc.cli.output import say
from extproc.core.printable import printable_line

_ROWS_OF_A_PAGE = 1000
"""So many rows have the same columns; a longer list is not kept in memory to find the widest of all."""


def summary(exchange: ExchangeRecords) -> dict[str, Any]:
    last = exchange.last
    return {
        "exchange_id": exchange.exchange_id,
        "time": time_text(exchange.began_ms),
        "person": last.actor.name or last.actor.uid,
        "uid": last.actor.uid,
        "kind": last.actor.kind,
        "operation": last.resource.operation,
        "model": exchange.model,
        "effect": exchange.effect,
        "rule": exchange.rule,
        "shadow": exchange.shadow,
        "outcome": exchange.outcome,
        "status_detail": last.status_detail,
        "http_status": last.http_status,
        "findings": exchange.findings,
        "findings_request": last.findings_request,
        "findings_response": last.findings_response,
        "records": len(exchange.records),
        "shredded": str(exchange.shredded.detail.get("reason", "")) if exchange.shredded else None,
    }


_HEADINGS = ("TIME", "EXCHANGE", "PERSON", "OPERATION", "MODEL", "EFFECT", "OUTCOME", "IN REQUEST", "IN ANSWER")


def print_list(exchanges: Iterable[ExchangeRecords], *, as_json: bool) -> None:
    """A row each, or a JSON object each."""
    if as_json:
        for exchange in exchanges:
            say(json.dumps(summary(exchange)))
        return
    count = 0
    for page in _pages(exchanges):
        lines = list(align([_HEADINGS, *map(_row, page)]))
        for line in lines[1 if count else 0 :]:
            say(line)
        count += len(page)
    click.echo(f"{count} exchange(s)", err=True)


def print_records(exchange: ExchangeRecords, *, as_json: bool) -> None:
    """Each record as it is stored, in characters that every terminal and parser takes for themselves."""
    for item in exchange.records:
        document = json.loads(item.line)
        if as_json:
            say(json.dumps(document, separators=(",", ":")))
            continue
        say(f"{time_text(item.record.time_ms)}  {item.record.event_code}  {item.receipt}")
        for line in json.dumps(document, indent=2).splitlines()[1:-1]:
            say("  " + line)


def print_problems(problems: list[str]) -> None:
    """What a reader noted; with anything there, what was shown is incomplete and the exit code 2."""
    for problem in problems:
        click.echo(printable_line(problem), err=True)
    if problems:
        click.echo("not everything could be read; `extproc audit verify` says what does not hold", err=True)
        sys.exit(EXIT_INPUT)


def _row(exchange: ExchangeRecords) -> tuple[str, ...]:
    row = summary(exchange)
    found = (
        " ".join(f"{kind}:{count}" for kind, count in row[name].items()) or "-"
        for name in ("findings_request", "findings_response")
    )
    person = row["person"] + (" (service)" if row["kind"] == "service" else "")
    words = [row["time"], row["exchange_id"], person, row["operation"], row["model"], row["effect"]]
    outcome = row["outcome"] + (f"({row['status_detail']})" if row["status_detail"] else "")
    if row["shredded"] is not None:
        outcome += f", shredded: {printable_line(row['shredded'])}"
    return (*(printable_line(word) or "-" for word in words), printable_line(outcome), *map(printable_line, found))


def _pages(exchanges: Iterable[ExchangeRecords]) -> Iterator[list[ExchangeRecords]]:
    remaining = iter(exchanges)
    while page := list(islice(remaining, _ROWS_OF_A_PAGE)):
        yield page
