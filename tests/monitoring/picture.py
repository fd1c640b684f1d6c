"""Dashboards as a person sees them, drawn from what a real Prometheus answers: Grafana itself is not needed to look at them.

A page of HTML and SVG a dashboard, with Grafana's grid, units, thresholds and legends as far as they matter to the eye.
"""

import html
import math
import re
from collections.abc import Callable
from typing import Any

from tests.monitoring.panels import Dashboard, grafana

Range = Callable[[str], list[dict[str, Any]]]
"""Series of an expression over the time that is shown: what Prometheus' `query_range` answers."""
COLUMN, ROW = 60, 38
COLOURS = (
    "#3274d9",
    "#56a64b",
    "#e02f44",
    "#f2cc0c",
    "#8f3bb8",
    "#ff780a",
    "#37872d",
    "#b877d9",
    "#1f60c4",
    "#c4162a",
    "#fade2a",
    "#705da0",
)
_UNITS = {
    "percentunit": (100, " %"),
    "s": (1, " s"),
    "ms": (1, " ms"),
    "reqps": (1, " req/s"),
    "cps": (1, " /s"),
    "ops": (1, " op/s"),
}
_STYLE = """
body{background:#111217;color:#ccd;font:12px sans-serif;margin:12px;width:1480px;position:relative}
h1{font-size:18px;margin:4px 0 12px}.grid{position:relative}.panel{position:absolute;background:#181b1f;border:1px solid #2c3235;
box-sizing:border-box;padding:6px;overflow:hidden}.row{position:absolute;font-weight:bold;padding:8px 2px}
.title{font-weight:bold}.big{font-size:26px;text-align:center;padding-top:24px}table{border-spacing:0 1px;font-size:10px}
td{padding:0 6px}.none{color:#e02f44;text-align:center;padding-top:40px}
"""


def page(dashboard: Dashboard, ask: Range) -> str:
    made = grafana(dashboard)
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in made["panels"]) * ROW
    parts = [_panel(panel, ask) for panel in made["panels"]]
    body = f'<h1>{html.escape(made["title"])}</h1><div class="grid" style="height:{height}px">{"".join(parts)}</div>'
    return f'<!doctype html><meta charset="utf-8"><style>{_STYLE}</style><body>{body}</body>'


def _panel(panel: dict[str, Any], ask: Range) -> str:
    place = panel["gridPos"]
    box = f"left:{place['x'] * COLUMN}px;top:{place['y'] * ROW}px;width:{place['w'] * COLUMN - 6}px;height:{place['h'] * ROW - 6}px"
    title = html.escape(panel["title"])
    if panel["type"] == "row":
        return f'<div class="row" style="{box}">▾ {title}</div>'
    series = [
        (_legend(target["legendFormat"], found["metric"]), _points(found["values"]))
        for target in panel["targets"]
        for found in ask(target["expr"])
    ]
    series = [(name, points) for name, points in series if points]
    body = _body(panel, series) if series else '<div class="none">No data</div>'
    return f'<div class="panel" style="{box}" title="{html.escape(panel["description"])}"><div class="title">{title}</div>{body}</div>'


Points = list[tuple[float, float]]


def _points(values: list[list[Any]]) -> Points:
    return [(float(at), float(value)) for at, value in values if not math.isnan(float(value))]


def _legend(text: str, labels: dict[str, str]) -> str:
    for name in ("gen_ai_request_model", "error_type", "envoy_cluster_name", *labels):
        text = text.replace("{{" + name + "}}", labels.get(name, ""))
    return re.sub(r"\{\{\w+\}\}", "", text).strip()


def _body(panel: dict[str, Any], series: list[tuple[str, Points]]) -> str:
    defaults = panel["fieldConfig"]["defaults"]
    shown = _shown(defaults["unit"])
    match panel["type"]:
        case "stat":
            value = series[0][1][-1][1]
            passed = [
                step["color"]
                for step in defaults["thresholds"]["steps"]
                if step["value"] is None or value >= step["value"]
            ]
            return f'<div class="big" style="color:{passed[-1]}">{shown(value)}</div>'
        case "table":
            rows = "".join(
                f"<tr><td>{html.escape(name)}</td><td>{shown(points[-1][1])}</td></tr>" for name, points in series
            )
            return f"<table>{rows}</table>"
        case _:
            return _lines(panel, series, shown)


def _shown(unit: str) -> Callable[[float], str]:
    factor, sign = _UNITS.get(unit, (1, ""))
    if unit == "bool_yes_no":
        return lambda value: "Yes" if value else "No"
    return lambda value: f"{value * factor:.4g}{sign}"


def _lines(panel: dict[str, Any], series: list[tuple[str, Points]], shown: Callable[[float], str]) -> str:
    wide, high = panel["gridPos"]["w"] * COLUMN - 260, panel["gridPos"]["h"] * ROW - 50
    stacked = panel["fieldConfig"]["defaults"].get("custom", {}).get("stacking", {}).get("mode") == "normal"
    latest = [points[-1][1] for _, points in series]
    if stacked:
        series = _stack(series)
    every = [point for _, points in series for point in points]
    first, last = min(at for at, _ in every), max(at for at, _ in every)
    top = max(value for _, value in every) or 1.0
    lines, legend = [], []
    for number, (name, points) in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(
            f"{40 + (at - first) / (last - first or 1) * (wide - 44):.1f},{high - value / top * (high - 8):.1f}"
            for at, value in points
        )
        lines.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{path}"/>')
        legend.append(
            f'<tr><td style="color:{colour}">■</td><td>{html.escape(name)}</td><td>{shown(latest[number])}</td></tr>'
        )
    axis = "".join(
        f'<text x="0" y="{high - part * (high - 8) + 4:.0f}" fill="#889" font-size="9">{shown(top * part)}</text>'
        f'<line x1="40" x2="{wide}" y1="{high - part * (high - 8):.0f}" y2="{high - part * (high - 8):.0f}" stroke="#2c3235"/>'
        for part in (0, 0.5, 1)
    )
    svg = f'<svg width="{wide}" height="{high + 8}" style="float:left">{axis}{"".join(lines)}</svg>'
    return f'{svg}<table style="float:left;width:220px">{"".join(legend[:16])}</table>'


def _stack(series: list[tuple[str, Points]]) -> list[tuple[str, Points]]:
    below: dict[float, float] = {}
    stacked = []
    for name, points in series:
        raised = [(at, value + below.get(at, 0.0)) for at, value in points]
        below.update(raised)
        stacked.append((name, raised))
    return stacked
