"""From a description of panels to Grafana's JSON: ids, places, variables and links are worked out here."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

WIDE = 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WHERE = 'namespace=~"$namespace",deployment=~"$deployment"'
RUNBOOK = "RUNBOOK.md"
"""The chart puts `monitoring.runbookUrl` in its place."""
TAG = "extproc"
SCHEMA_VERSION = 39
_SIZES = {"stat": (4, 4), "timeseries": (12, 8), "table": (12, 8), "heatmap": (12, 8), "state-timeline": (12, 8)}


@dataclass(frozen=True, slots=True)
class Target:
    """`legend` names labels as `{{label}}`."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `unit` is Grafana's; `thresholds` are (value, colour) above the first colour, which counts from below."""

    title: str
    unit: str
    targets: tuple[Target, ...]
    description: str
    kind: str = "timeseries"
    thresholds: tuple[tuple[float, str], ...] = ()
    exemplars: bool = False
    stacked: bool = False
    alert: str = ""
    """Whose section of the runbook the panel links to."""
    maximum: float | None = None


@dataclass(frozen=True, slots=True)
class Dashboard:
    name: str
    title: str
    description: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]
    variables: tuple[tuple[str, str], ...] = field(default=())
    """More than namespace and deployment: a name, and the query of its values."""

    @property
    def uid(self) -> str:
        return f"extproc-{self.name}"

    @property
    def panels(self) -> tuple[Panel, ...]:
        return tuple(panel for _, panels in self.rows for panel in panels)


def selected(metric: str, *matchers: str) -> str:
    """A metric of the namespaces and deployments that are chosen."""
    return f"{metric}{{{','.join((*matchers, WHERE))}}}"


def rate(metric: str, by: str = "", *matchers: str) -> str:
    """Per second, over an interval that fits scrape and zoom."""
    grouped = f"sum by ({by})" if by else "sum"
    return f"{grouped} (rate({selected(metric, *matchers)}[$__rate_interval]))"


def grown(metric: str, by: str = "", *matchers: str) -> str:
    """By how much a counter grew in an interval that fits scrape and zoom."""
    grouped = f"sum by ({by})" if by else "sum"
    return f"{grouped} (increase({selected(metric, *matchers)}[$__rate_interval]))"


def most(metric: str, by: str, *matchers: str) -> str:
    """The twelve greatest rates."""
    return f"topk(12, {rate(metric, by, *matchers)})"


def now(how: str, metric: str, by: str = "", *matchers: str) -> str:
    """A gauge, put together by `sum`, `max`, `min` or `count`."""
    grouped = f"{how} by ({by})" if by else how
    return f"{grouped} ({selected(metric, *matchers)})"


def quantiles(
    metric: str, by: str = "", *matchers: str, at: tuple[float, ...] = (0.5, 0.95, 0.99)
) -> tuple[Target, ...]:
    """Of a histogram, one line each, by one label or none."""
    labels = f"le, {by}" if by else "le"
    name = f"{{{{{by}}}}} " if by else ""
    inner = f"sum by ({labels}) (rate({selected(metric + '_bucket', *matchers)}[$__rate_interval]))"
    return tuple(Target(f"histogram_quantile({share:g}, {inner})", f"{name}p{share * 100:g}") for share in at)


def grafana(dashboard: Dashboard) -> dict[str, Any]:
    """The dashboard as Grafana imports it."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": [TAG],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_source(), *(_variable(*each) for each in _variables(dashboard))]},
        "annotations": {"list": [_firing()]},
        "links": [
            {"type": "dashboards", "title": "extproc", "tags": [TAG], "asDropdown": True, "keepTime": True, "includeVars": True},
            {"type": "link", "title": "runbook", "url": RUNBOOK, "targetBlank": True, "icon": "doc"},
        ],
        "panels": list(_placed(dashboard.rows)),
    }  # fmt: skip


def _variables(dashboard: Dashboard) -> tuple[tuple[str, str], ...]:
    first = "extproc_exchanges_live"
    return (
        ("namespace", f"label_values({first}, namespace)"),
        ("deployment", f'label_values({first}{{namespace=~"$namespace"}}, deployment)'),
        *dashboard.variables,
    )


def _source() -> dict[str, Any]:
    return {"name": "datasource", "label": "data source", "type": "datasource", "query": "prometheus", "hide": 0}


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name, "label": name, "type": "query", "datasource": SOURCE, "definition": query,
        "query": {"query": query, "refId": name}, "refresh": 2, "sort": 1, "multi": True, "includeAll": True,
        "allValue": ".*", "current": {"selected": True, "text": ["All"], "value": ["$__all"]}, "hide": 0,
    }  # fmt: skip


def _firing() -> dict[str, Any]:
    """Lines where an alert begins to fire."""
    return {
        "name": "alerts", "datasource": SOURCE, "enable": True, "iconColor": "red", "titleFormat": "{{alertname}}",
        "textFormat": "{{severity}}", "step": "60s",
        "expr": 'ALERTS{alertstate="firing",alertname=~"Extproc.+",namespace=~"$namespace"}',
    }  # fmt: skip


def _placed(rows: Iterable[tuple[str, tuple[Panel, ...]]]) -> Iterable[dict[str, Any]]:
    number, top = 1, 0
    for title, panels in rows:
        place = {"x": 0, "y": top, "w": WIDE, "h": 1}
        yield {"id": number, "type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": place}
        number, left, top, line = number + 1, 0, top + 1, 0
        for panel in panels:
            width, height = _SIZES[panel.kind]
            if left + width > WIDE:
                left, top, line = 0, top + line, 0
            yield _panel(panel, number, {"x": left, "y": top, "w": width, "h": height})
            number, left, line = number + 1, left + width, max(line, height)
        top += line


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": place,
        "targets": [_target(panel, at, each) for at, each in enumerate(panel.targets)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
    }
    if panel.alert:
        url = f"{RUNBOOK}#{panel.alert.lower()}"
        made["links"] = [{"title": f"runbook: {panel.alert}", "url": url, "targetBlank": True}]
    return made


def _target(panel: Panel, at: int, target: Target) -> dict[str, Any]:
    instant = panel.kind in {"stat", "table"}
    made: dict[str, Any] = {
        "refId": chr(ord("A") + at), "datasource": SOURCE, "expr": target.expr, "legendFormat": target.legend,
        "editorMode": "code", "instant": instant, "range": not instant, "exemplar": panel.exemplars,
    }  # fmt: skip
    if panel.kind in {"table", "heatmap"}:
        made["format"] = panel.kind
    return made


def _defaults(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"value": None, "color": "green"}]
    steps += [{"value": value, "color": colour} for value, colour in panel.thresholds]
    made: dict[str, Any] = {
        "unit": panel.unit,
        "thresholds": {"mode": "absolute", "steps": steps},
        "color": {"mode": "thresholds" if panel.kind == "stat" else "palette-classic"},
    }
    if panel.kind != "heatmap":
        made["min"] = 0
    if panel.maximum is not None:
        made["max"] = panel.maximum
    if panel.kind == "timeseries":
        made["custom"] = {
            "drawStyle": "line", "lineWidth": 1, "fillOpacity": 30 if panel.stacked else 5, "showPoints": "never",
            "spanNulls": False, "stacking": {"mode": "normal" if panel.stacked else "none"},
            "thresholdsStyle": {"mode": "line" if panel.thresholds else "off"},
        }  # fmt: skip
    return made


def _options(panel: Panel) -> dict[str, Any]:
    match panel.kind:
        case "timeseries":
            legend = {
                "displayMode": "table",
                "placement": "right",
                "calcs": ["mean", "max", "lastNotNull"],
                "showLegend": True,
            }
            return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
        case "stat":
            reduce = {"calcs": ["lastNotNull"], "fields": "", "values": False}
            return {"reduceOptions": reduce, "colorMode": "value", "graphMode": "area", "textMode": "auto"}
        case "heatmap":
            return {
                "calculate": False,
                "yAxis": {"unit": panel.unit},
                "color": {"scheme": "Spectral", "mode": "scheme"},
            }
        case "state-timeline":
            return {"showValue": "never", "mergeValues": True, "legend": {"displayMode": "list", "placement": "bottom"}}
        case _:
            return {"showHeader": True}
