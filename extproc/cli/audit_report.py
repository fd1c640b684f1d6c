"""How a verifier's report is shown."""

import json

import click

from extproc.audit.reader import time_text
from extproc.audit.verify import Report
from extproc.core.printable import printable_line


def print_report(report: Report, *, as_json: bool) -> None:
    verdict = ("proven", "not proven: findings", "incomplete")[report.exit_code]
    span = f"{time_text(report.first_ms)} .. {time_text(report.last_ms)}" if report.records else "-"
    if as_json:
        body = {
            "verdict": verdict,
            "exit_code": report.exit_code,
            "epochs": report.epochs,
            "segments": report.segments,
            "records": report.records,
            "range": span,
            "findings": [{"name": str(f.name), "where": f.where, "what": f.what} for f in report.findings],
        }
        click.echo(json.dumps(body))
        return
    for finding in report.findings:
        # `where` may be an object's key, which whoever can write to the store has chosen.
        click.echo(printable_line(f"{finding.name} - {finding.where} - {finding.what}"))
    click.echo(f"{report.epochs} epoch(s), {report.segments} segment(s), {report.records} record(s), {span}")
    click.echo(verdict)
