"""How a verifier's report is shown."""

import datetime as dt
import json
from typing import Any

from extproc.audit.reading.reader import time_text
from extproc.audit.reading.span import EVERYTHING
from extproc.audit.verify.anchored import Anchored
from extproc.audit.verify.report import FINDING, MAX_FINDINGS, UNPROVEN, Report
from extproc.cli.output import say
from extproc.core.printable import printable_line

UNANCHORED = (
    "no anchor: tamper-evident against non-administrators. Whoever can delete from the store could have dropped the "
    "newest epochs together with their registry entries, and nothing here would show it; `--anchor` does."
)
MAX_SPANS = 5
"""Shown to a person; JSON has all."""
_VERDICTS = ("proven", "not proven: findings", "incomplete")


def print_report(report: Report, *, as_json: bool, anchored: Anchored | None = None) -> None:
    """Findings, what was asked and what is proven, the verdict as the last line; or all of it as one JSON object."""
    if as_json:
        say(json.dumps(report_body(report, anchored)))
        return
    for finding in report.findings:
        # `where` may be an object's key, which whoever can write to the store has chosen.
        say(printable_line(f"{finding.name} - {finding.where} - {finding.told}"))
    if report.more_findings:
        say(f"and {report.more_findings} more")
    say(f"{report.epochs} epoch(s), {report.segments} segment(s), {report.records} record(s)")
    asked = report.asked
    everything = asked == EVERYTHING
    say(f"requested: {'everything' if everything else _text(asked.from_ms, asked.to_ms)}")
    say(f"proven: {_proven(report)}")
    if hint := provable_to(report):
        what = "something has no end yet (OPEN), and all is proven up to then"
        say(f"give `--to {hint}` to ask for what can be proven now: {what}")
    say(printable_line(anchor_sentence(anchored)))
    say(_VERDICTS[report.exit_code])


def _proven(report: Report) -> str:
    """Spans of time; which findings have no time is not looked at, so that they stand whenever there is one."""
    spans = report.spans()
    shown = ", ".join(_text(*each) for each in spans[:MAX_SPANS])
    more = f", and {len(spans) - MAX_SPANS} more span(s)" if len(spans) > MAX_SPANS else ""
    but = ", but for what the findings name" if shown and report.exit_code == FINDING else ""
    return (shown or "-") + more + but


def provable_to(report: Report) -> str:
    """The newest moment that could be asked for, where only what has no end yet keeps a later one from being proven."""
    spans, begin = report.spans(), report.asked.from_ms or report.first_ms
    if report.exit_code != UNPROVEN or not report.records or not spans:
        return ""
    newest = min(report.open_ms, spans[-1][1])  # an epoch that has only begun is open after all that is proven
    return time_text(newest) if newest > begin else ""


def anchor_sentence(anchored: Anchored | None) -> str:
    """What stands behind the proof that the newest epochs are there."""
    if anchored is None:
        return UNANCHORED
    heads, moment = len(anchored.remembered.heads), dt.datetime.fromtimestamp(anchored.seconds, dt.UTC)
    quiet = ", ".join(sorted(where for name, where in anchored.open_alarms if name == "SILENT"))
    return f"anchor: {anchored.name} co-signed {heads} head(s), the last of them at {moment.isoformat()}" + (
        f"; it has heard nothing from {quiet}" if quiet else ""
    )


def report_body(report: Report, anchored: Anchored | None = None) -> dict[str, Any]:
    """For JSON. A range's end is null where it is open, and both are where nothing is proven.

    `proven` reaches from the first to the last proven moment, and its `spans` are what is proven of it.
    """
    spans = report.spans()
    proven = (spans[0][0], spans[-1][1]) if spans else (None, None)
    return {
        "verdict": _VERDICTS[report.exit_code],
        "exit_code": report.exit_code,
        "epochs": report.epochs,
        "segments": report.segments,
        "records": report.records,
        "requested": _range(report.asked.from_ms, report.asked.to_ms),
        "proven": {**_range(*proven), "spans": [_range(*each) for each in spans[:MAX_FINDINGS]]},
        "provable_to": provable_to(report) or None,
        "findings": [
            {"name": str(f.name), "level": f.level.name.lower(), "where": f.where, "what": f.what, "key": f.key or None}
            for f in report.findings
        ],
        "more_findings": report.more_findings,
        "anchor": None if anchored is None else _anchor_body(anchored),
        "limits": anchor_sentence(anchored),
    }


def _anchor_body(anchored: Anchored) -> dict[str, Any]:
    return {
        "name": anchored.name,
        "signed": time_text(anchored.seconds * 1000),
        "heads": len(anchored.remembered.heads),
        "open_alarms": [
            {"name": name, "where": where, "what": what} for (name, where), what in anchored.open_alarms.items()
        ],
    }


def _range(begin: int | None, end: int | None) -> dict[str, str | None]:
    return {
        "from": None if begin is None else time_text(begin),
        "to": None if end is None else time_text(end),
    }


def _text(begin: int | None, end: int | None) -> str:
    return f"{'' if begin is None else time_text(begin)} .. {'' if end is None else time_text(end)}".strip()
