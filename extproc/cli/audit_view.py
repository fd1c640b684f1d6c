"""How `extproc audit` shows exchanges, transcripts and reports. What comes from elsewhere steers no terminal."""

import json
import time
from typing import Any

import click

from extproc.audit.content import Piece
from extproc.audit.reader import ExchangeRecords, time_text
from extproc.cli.columns import align
from extproc.core.printable import printable, printable_line


def summary(exchange: ExchangeRecords) -> dict[str, Any]:
    last = exchange.last
    return {
        "exchange_id": exchange.exchange_id,
        "time": time_text(exchange.first.time_ms),
        "person": last.actor.name or last.actor.uid,
        "uid": last.actor.uid,
        "operation": last.resource.operation,
        "model": exchange.model,
        "effect": exchange.effect,
        "outcome": str(last.status),
        "status_detail": last.status_detail,
        "http_status": last.http_status,
        "findings": exchange.findings,
        "records": len(exchange.records),
        "shredded": str(exchange.shredded.detail.get("reason", "")) if exchange.shredded else None,
    }


_HEADINGS = ("TIME", "EXCHANGE", "PERSON", "OPERATION", "MODEL", "EFFECT", "OUTCOME", "FINDINGS")


def print_list(exchanges: list[ExchangeRecords], *, as_json: bool) -> None:
    """A row each, or a JSON object each."""
    if as_json:
        for exchange in exchanges:
            click.echo(json.dumps(summary(exchange)))
        return
    for line in align([_HEADINGS, *map(_row, exchanges)] if exchanges else []):
        click.echo(line)
    click.echo(f"{len(exchanges)} exchange(s)", err=True)


def _row(exchange: ExchangeRecords) -> tuple[str, ...]:
    row = summary(exchange)
    findings = " ".join(f"{kind}:{count}" for kind, count in row["findings"].items()) or "-"
    words = [row["time"], row["exchange_id"], row["person"], row["operation"], row["model"], row["effect"]]
    outcome = row["outcome"] + (f"({row['status_detail']})" if row["status_detail"] else "")
    if row["shredded"] is not None:
        outcome += f", shredded: {printable_line(row['shredded'])}"
    return (*(printable_line(word) or "-" for word in words), outcome, findings)


def play(pieces: tuple[Piece, ...], pace: float, *, as_json: bool) -> None:
    start = pieces[0].at_us if pieces else 0
    begun = time.monotonic()
    for piece in pieces:
        at = (piece.at_us - start) / 1e6
        if (wait := begun + at * pace - time.monotonic()) > 0 and pace:
            time.sleep(wait)
        text = piece.data.decode("utf-8", "backslashreplace")
        if as_json:
            click.echo(json.dumps({"at_seconds": at, "direction": str(piece.direction), "data": text}))
            continue
        arrow = "->" if piece.direction == "to_model" else "<-"
        for line in filter(None, text.splitlines()):  # a stream's events end with empty lines
            click.echo(f"{at:9.3f}s {arrow} {printable(line)}")
