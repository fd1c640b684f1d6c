"""`extproc audit list` and `show`: find exchanges, and see every record of one."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from extproc.cli.audit_where import (
    config_option,
    find_where,
    json_option,
    no_such_exchange,
    span_of,
    span_options,
    store_failures,
    store_option,
)

EFFECTS = ("allow", "hold", "deny")
"""What the policy says. The other verdicts are how an exchange ended."""
KINDS = ("person", "service")
OUTCOMES = ("completed", "refused", "held", "abandoned", "cut", "failed", "recovered", "under_way")


@click.command("list")
@config_option
@store_option
@json_option
@span_options
@click.option("--person", default="", help="Part of a name or uid.")
@click.option("--kind", type=click.Choice(KINDS), help="Only people, or only service accounts.")
@click.option("--model", default="", help="The model's name.")
@click.option("--rule", default="", help="The policy's rule that determined the decision.")
@click.option("--shadow", default="", help="A rule in shadow that would have changed something.")
@click.option(
    "--verdict",
    "verdicts",
    multiple=True,
    type=click.Choice(EFFECTS + OUTCOMES),
    help="The policy's answer or how it ended; repeat it for any of several.",
)
@click.option("--finding", "findings", multiple=True, help="A kind such as `pan`; repeat it for any of several.")
@click.option("--limit", type=click.IntRange(1, sys.maxsize), help="Only the newest so many.")
def list_command(
    *,
    config: Path | None,
    store: Path | None,
    as_json: bool,
    since: str,
    until: str,
    person: str,
    kind: str | None,
    model: str,
    rule: str,
    shadow: str,
    verdicts: tuple[str, ...],
    findings: tuple[str, ...],
    limit: int | None,
) -> None:
    """Exchanges with a record in the span, as of its end: in the order in which they ended, those under way last."""
    from collections import deque  # noqa: PLC0415

    from extproc.audit.reading.exchanges import Query, find_exchanges  # noqa: PLC0415
    from extproc.audit.reading.reader import Reader  # noqa: PLC0415
    from extproc.cli.audit_view import print_list, print_problems  # noqa: PLC0415

    where = find_where(config, store)
    span = span_of(since, until)
    query = Query(
        person=person,
        kind=kind or "",
        model=model,
        rule=rule,
        shadow=shadow,
        effects=frozenset(verdicts) & frozenset(EFFECTS),
        outcomes=frozenset(verdicts) & frozenset(OUTCOMES),
        findings=frozenset(findings),
    )
    asked: dict[str, str | int | float | bool] = {
        "since": since,
        "until": until,
        "person": person,
        "kind": kind or "",
        "model": model,
        "rule": rule,
        "shadow": shadow,
        "verdicts": " ".join(verdicts),
        "findings": " ".join(findings),
        "limit": limit or 0,
    }
    where.record_read("audit.list", {name: value for name, value in asked.items() if value})
    with store_failures():
        reader = Reader(where.look_at_evidence(span), span)
        found = find_exchanges(reader, query)
        print_list(found if limit is None else deque(found, maxlen=limit), as_json=as_json)
    print_problems(reader.problems)


@click.command("show")
@click.argument("exchange_id")
@config_option
@store_option
@json_option
def show_command(*, exchange_id: str, config: Path | None, store: Path | None, as_json: bool) -> None:
    """Every record of one exchange, with its place in the log."""
    from extproc.audit.reading.exchanges import collect_exchange  # noqa: PLC0415
    from extproc.audit.reading.reader import Reader, span_of_exchange  # noqa: PLC0415
    from extproc.cli.audit_view import print_problems, print_records  # noqa: PLC0415

    where = find_where(config, store)
    where.record_read("audit.show", {"exchange": exchange_id[:128]})
    span = span_of_exchange(exchange_id)
    with store_failures():
        reader = Reader(where.look_at_evidence(span), span)
        exchange = collect_exchange(reader, exchange_id)
    if exchange is not None:
        print_records(exchange, as_json=as_json)
    print_problems(reader.problems)
    if exchange is None:
        no_such_exchange(exchange_id)
