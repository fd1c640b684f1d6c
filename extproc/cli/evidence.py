"""`extproc evidence`: the assessor's pack of a period, for people (HTML) and for programs (JSON).

Exit codes: 0 the log is proven for the period, 1 the verifier has a finding, 2 incomplete, empty, or wrong input. The
pack is written with each of them but for wrong input, and says the same.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from extproc.cli.audit_anchored import anchor_options, anchored_or_exit
from extproc.cli.audit_where import config_option, fail, find_where, since_ms, store_failures
from extproc.cli.output import say

if TYPE_CHECKING:
    from extproc.audit.evidence.pack import Pack
    from extproc.audit.evidence.rows import Clean
    from extproc.audit.evidence.subject import Subject
    from extproc.audit.verify.anchored import Anchored
    from extproc.audit.verify.report import Report
    from extproc.cli.audit_where import Where
    from extproc.core.masking.scanner import Scanner
    from extproc.edge.settings import Settings

JSON_FILE, HTML_FILE = "evidence.json", "evidence.html"


@click.command("evidence")
@config_option
@click.option(
    "--from", "begin", required=True, help="The period's start: a span like `90d`, or an ISO 8601 time (UTC)."
)
@click.option("--to", "end", default="", help="Its end, which is not in it. [default: now]")
@click.option(
    "--output", required=True, type=click.Path(path_type=Path), help="A folder that is not there yet, or is empty."
)
@anchor_options
def command(*, config: Path | None, begin: str, end: str, output: Path, anchor: Path | None, anchor_key: str) -> None:
    """Write evidence.html and evidence.json: requirement by requirement what is enforced, with its facts and limits.

    Exit 0 when the log is proven for the period, 1 when the verifier has a finding, 2 when it is incomplete or empty.
    """
    from extproc.audit.evidence.files import FolderTaken, check_folder, write_folder  # noqa: PLC0415
    from extproc.audit.evidence.pack import encode_pack  # noqa: PLC0415
    from extproc.audit.evidence.page import render_page  # noqa: PLC0415

    if config is None:
        raise click.UsageError("give --config (or EXTPROC_CONFIG)")
    now_ms = int(time.time() * 1000)
    from_ms, to_ms = since_ms(begin, "--from"), since_ms(end, "--to") if end else now_ms
    if not 0 < from_ms < min(to_ms, now_ms):
        fail("the period is empty: --from must be before --to, and before now")
    try:
        check_folder(output)
        pack = _make(config, (from_ms, to_ms), now_ms, anchored_or_exit(anchor, anchor_key))
        write_folder(output, {HTML_FILE: render_page(pack), JSON_FILE: encode_pack(pack)})
    except (FolderTaken, OSError) as error:
        fail(f"the pack cannot be written ({error})")
    _tell(pack, output)
    sys.exit(pack.exit_code)


def _make(config: Path, requested: tuple[int, int], now_ms: int, anchored: Anchored | None) -> Pack:
    """The reading is recorded first. A period that goes on is shown up to now, without this reading."""
    from extproc.audit.evidence.build import Occasion, build_pack  # noqa: PLC0415
    from extproc.cli.config import settings_or_exit  # noqa: PLC0415
    from extproc.cli.person import account  # noqa: PLC0415
    from extproc.core.masking.scanner import Scanner  # noqa: PLC0415
    from extproc.edge.settings_file import read_mask_keys  # noqa: PLC0415

    settings = settings_or_exit(config)
    where = find_where(config, None)
    from_ms, to_ms = requested
    subject = dataclasses.replace(_subject(settings, from_ms, min(to_ms, now_ms), now_ms), anchored=anchored)
    where.record_read("evidence", {"from_ms": from_ms, "to_ms": to_ms})
    report = _read(where, settings, subject)
    scanner = Scanner(subject.policy.masking, key=next(iter(read_mask_keys(settings)), None))
    subject = _answered(subject, scanner, report)
    occasion = Occasion(now_ms, f"os|{account()}", _program(), from_ms, to_ms)
    return build_pack(subject, occasion, report, _objects(where), _cleaner(scanner))


def _subject(settings: Settings, from_ms: int, to_ms: int, now_ms: int) -> Subject:
    """What is known before the log is read. Ends the command when a key or the policy cannot be read."""
    from extproc.audit.evidence.facts import Facts  # noqa: PLC0415
    from extproc.audit.evidence.subject import Listener, Subject  # noqa: PLC0415
    from extproc.audit.keys.keys import open_keys  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.core.policy_document import PolicyInvalid  # noqa: PLC0415
    from extproc.edge.key_inventory import key_facts  # noqa: PLC0415
    from extproc.edge.policy_file import Fitness, load_policy  # noqa: PLC0415

    try:
        policy = load_policy(settings.policy_file, Fitness.of(settings))
        keys = key_facts(settings, open_keys(settings.audit))
    except PolicyInvalid as invalid:
        fail(f"{settings.policy_file} has {len(invalid.problems)} problem(s): `extproc policy check` prints them")
    except (AuditRefused, OSError) as error:
        fail(f"the keys cannot be read ({error})")
    tls = settings.listener.tls
    return Subject(
        facts=Facts(from_ms, to_ms),
        settings=settings.audit,
        policy=policy,
        listener=Listener(tls is not None, tls is not None and tls.client_ca is not None),
        keys=keys,
        self_test=(),
        verify_exit=2,
        now_ms=now_ms,
    )


def _read(where: Where, settings: Settings, subject: Subject) -> Report:
    """Count every record of the period, and verify the log."""
    from extproc.audit.keys.public_keys import PUBLIC_KEY, load_public_key  # noqa: PLC0415
    from extproc.audit.reading.reader import Reader, Span  # noqa: PLC0415
    from extproc.audit.reading.span import Span as AskedSpan  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.audit.verify.anchored import report_alarms  # noqa: PLC0415
    from extproc.audit.verify.verify import verify  # noqa: PLC0415
    from extproc.cli.audit_progress import watch_on_terminal  # noqa: PLC0415

    facts = subject.facts
    span = Span(facts.from_ms, facts.to_ms)
    reader = Reader(where.look_at_evidence(span), span, facts.problems)
    with store_failures():
        for item in reader.records():
            facts.add(item)
    try:
        key = load_public_key(settings.audit.keys / PUBLIC_KEY)
    except AuditRefused as error:
        fail(str(error))
    asked = AskedSpan(facts.from_ms, facts.to_ms)
    with watch_on_terminal() as watch:
        report = verify(
            where.store,
            key,
            deployment=where.deployment,
            spool=where.spool,
            asked=asked,
            remembered=subject.anchored.remembered if subject.anchored else None,
            watch=watch,
        )
    if subject.anchored:
        report_alarms(report, subject.anchored)
    return report


def _answered(subject: Subject, scanner: Scanner, report: Report) -> Subject:
    from extproc.audit.evidence.self_test import run_self_test  # noqa: PLC0415

    return dataclasses.replace(subject, self_test=run_self_test(scanner), verify_exit=report.exit_code)


def _objects(where: Where) -> Counter[str]:
    """How many the store lists now, by plane."""
    from extproc.audit.names import parse_key  # noqa: PLC0415

    with store_failures():
        return Counter(
            stored.key.split("/")[1] for stored in where.store.list("v1/") if parse_key(stored.key) is not None
        )


def _cleaner(scanner: Scanner) -> Clean:
    """Foreign text may hold anything, so it goes through the same masking as a prompt."""
    from extproc.core.printable import printable_line  # noqa: PLC0415

    return lambda text: printable_line(scanner.masker().mask_text(text))


def _program() -> str:
    from importlib.metadata import version  # noqa: PLC0415

    return f"extproc {version('extproc')}"


def _tell(pack: Pack, output: Path) -> None:
    from extproc.audit.evidence.page import verdict_of  # noqa: PLC0415

    statuses = Counter(row.status for row in pack.requirements)
    told = ", ".join(f"{count} {status}" for status, count in statuses.items())
    say(f"{output / HTML_FILE}, {output / JSON_FILE}")
    say(f"{pack.records} record(s); requirements: {told}; the log: {verdict_of(pack)}")
    if pack.not_read:
        click.echo(f"Not every record could be read: {pack.not_read[0]}", err=True)
    if pack.empty:
        click.echo("No record was found in the period: the pack shows nothing.", err=True)
