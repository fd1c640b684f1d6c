"""The chart's dashboards. `python -m tests.monitoring.dashboards` writes them; a test compares."""

import json
from pathlib import Path

from tests.monitoring.dashboards_service import AUDIT, LATENCY, OVERVIEW
from tests.monitoring.dashboards_use import DECISIONS, HOLDS, MODELS
from tests.monitoring.panels import Dashboard, grafana
from tests.monitoring.rules import CHART

DASHBOARDS = (OVERVIEW, LATENCY, DECISIONS, HOLDS, AUDIT, MODELS)


def path_of(dashboard: Dashboard) -> Path:
    return CHART / "dashboards" / f"{dashboard.name}.json"


def written(dashboard: Dashboard) -> str:
    return json.dumps(grafana(dashboard), indent=1) + "\n"


if __name__ == "__main__":
    for each in DASHBOARDS:
        path_of(each).parent.mkdir(exist_ok=True)
        path_of(each).write_text(written(each), "utf-8")
