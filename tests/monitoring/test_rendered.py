"""What the chart makes of rules and dashboards: this release's series, its objectives, its runbook, ports that exist."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from extproc.edge.metrics import _FINE_SECONDS
from tests.helm.kinds import complaints
from tests.helm.rendering import CASES, CHART, render, render_values
from tests.monitoring.dashboards import DASHBOARDS, path_of
from tests.monitoring.metric_names import names_in
from tests.monitoring.rules import alerts, all_rules, promtool

URL = "https://wiki.example.org/extproc/RUNBOOK.md"
OWN = 'namespace="inference",deployment="payments-chat"'
SELECTED = re.compile(r"(?<![\w:])((?:extproc|envoy|kube|gen_ai)[a-z0-9_:]*_[a-z0-9_:]+|up)\{([^}]*)\}")


def of_kind(documents: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [document for document in documents if document["kind"] == kind]


@pytest.fixture(scope="module")
def groups() -> list[dict[str, Any]]:
    (rule,) = of_kind(render("monitoring").documents, "PrometheusRule")
    return list(rule["spec"]["groups"])


@pytest.fixture(scope="module")
def rendered(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [rule for group in groups for rule in group["rules"]]


def test_prometheus_takes_the_rendered_rules(groups: list[dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": groups}), "utf-8")
    promtool("check", "rules", "--lint-fatal", str(path))


def test_all_but_what_is_disabled_is_there(rendered: list[dict[str, Any]]) -> None:
    named = [rule.get("alert") or rule["record"] for rule in rendered]
    ours = [rule.get("alert") or rule["record"] for rule in all_rules()]
    assert sorted(named) == sorted(set(ours) - {"ExtprocShadowRuleOverdue"})


def test_every_series_that_a_rule_reads_is_this_releases(rendered: list[dict[str, Any]]) -> None:
    """Two releases on one Prometheus would else fire each other's alerts."""
    seen = 0
    for rule in rendered:
        found = SELECTED.findall(rule["expr"])
        assert {name for name, _ in found} == names_in(rule["expr"]), rule["expr"]
        for name, matchers in found:
            seen += 1
            own = "guard-extproc" if name.startswith("kube_") and "Succeeded" not in matchers else ""
            assert (OWN in matchers) or (own and own in matchers) or "guard-extproc-.*" in matchers, (name, matchers)
            assert 'namespace="inference"' in matchers
    assert seen > 60


def test_the_objectives_are_those_of_the_values(rendered: list[dict[str, Any]]) -> None:
    text = json.dumps(rendered)
    assert "(1 - 0.9995)" in text
    assert "(1 - 0.95)" in text
    assert 'le=\\"0.05\\"' in text
    assert not re.search(r"\(1 - 0\.99\)|\(1 - 0\.999\)|0\.025", text)


def test_an_alert_says_whose_it_is_and_where_its_runbook_is(rendered: list[dict[str, Any]]) -> None:
    for rule in rendered:
        if "alert" in rule:
            assert rule["labels"]["team"] == "inference"
            assert rule["labels"]["deployment"] == "payments-chat"
            assert rule["labels"]["severity"] == alerts()[rule["alert"]]["labels"]["severity"]
            assert rule["annotations"]["runbook_url"] == f"{URL}#{rule['alert'].lower()}"


def test_a_bound_that_may_be_chosen_is_a_bucket_of_the_histogram() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    rule = schema["properties"]["monitoring"]["properties"]["prometheusRule"]["properties"]
    assert set(rule["objectives"]["properties"]["latencySeconds"]["enum"]) <= set(_FINE_SECONDS)


def test_every_port_that_is_scraped_is_one_of_the_pods() -> None:
    documents = render("monitoring").documents
    (monitor,) = of_kind(documents, "ServiceMonitor")
    (service,) = [each for each in of_kind(documents, "Service") if each["metadata"]["name"].endswith("-metrics")]
    (workload,) = of_kind(documents, "Deployment")
    ports = {
        port["name"]: port["containerPort"]
        for container in workload["spec"]["template"]["spec"]["containers"]
        for port in container["ports"]
    }
    scraped = [endpoint["port"] for endpoint in monitor["spec"]["endpoints"]]
    assert (
        scraped
        == [port["name"] for port in service["spec"]["ports"]]
        == ["metrics", "metrics-0", "metrics-1", "status"]
    )
    assert {port["name"]: port["port"] for port in service["spec"]["ports"]} == {name: ports[name] for name in scraped}
    assert service["spec"]["publishNotReadyAddresses"] is True
    labels = workload["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (config,) = [each for each in of_kind(documents, "ConfigMap") if each["metadata"]["name"].endswith("-config")]
    telemetry = json.loads(config["data"]["config.yaml"])["telemetry"]
    assert telemetry["supervisor_metrics_port"] == ports["metrics"]
    assert telemetry["metrics_port"] == ports["metrics-0"]
    for endpoint in monitor["spec"]["endpoints"]:
        assert {"targetLabel": "deployment", "replacement": "payments-chat"} in endpoint["relabelings"]


def test_grafana_finds_the_dashboards(tmp_path: Path) -> None:
    more = tmp_path / "dashboards.yaml"
    more.write_text(
        "monitoring: {dashboards: {enabled: true, annotations: {grafana_folder: extproc}}, serviceMonitor: {enabled: false}}"
    )
    rendered = render_values(CASES / "monitoring.in.yaml", more)
    assert not rendered.refused, rendered.text
    maps = [each for each in of_kind(rendered.documents, "ConfigMap") if "-dashboard-" in each["metadata"]["name"]]
    assert len(maps) == len(DASHBOARDS)
    for dashboard, found in zip(sorted(DASHBOARDS, key=lambda each: each.name), maps, strict=True):
        assert complaints(found) == []
        assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert found["metadata"]["annotations"] == {"grafana_folder": "extproc"}
        (text,) = found["data"].values()
        assert text == path_of(dashboard).read_text("utf-8").replace("RUNBOOK.md", URL)
        assert json.loads(text)["uid"] == dashboard.uid


def test_nothing_is_made_unasked(tmp_path: Path) -> None:
    """By default: a cluster without the operator would refuse the release."""
    values = yaml.safe_load((CASES / "monitoring.in.yaml").read_text("utf-8"))
    del values["monitoring"]
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump(values), "utf-8")
    rendered = render_values(path)
    names = {document["metadata"]["name"] for document in rendered.documents}
    assert not {document["kind"] for document in rendered.documents} & {
        "ServiceMonitor",
        "PodMonitor",
        "PrometheusRule",
    }
    assert not {name for name in names if "dashboard" in name or name.endswith("-metrics")}


def test_sidecars_are_read_where_they_stand() -> None:
    documents = render("monitoring-sidecar").documents
    (monitor,) = of_kind(documents, "PodMonitor")
    (workload,) = of_kind(documents, "Deployment")
    pod = workload["spec"]["template"]
    ports = {
        port["name"]
        for container in (*pod["spec"]["initContainers"], *pod["spec"]["containers"])
        for port in container.get("ports", ())
    }
    scraped = [endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]]
    assert scraped == ["metrics", "metrics-0", "status"]
    assert set(scraped) <= ports
    assert monitor["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()


def test_the_console_is_read_too(tmp_path: Path) -> None:
    more = tmp_path / "monitoring.yaml"
    more.write_text("monitoring: {serviceMonitor: {enabled: true}}")
    documents = render_values(CASES / "console-route.in.yaml", more).documents
    (monitor,) = [
        each for each in of_kind(documents, "ServiceMonitor") if each["metadata"]["name"].endswith("-console")
    ]
    (service,) = [each for each in of_kind(documents, "Service") if each["metadata"]["name"].endswith("-console")]
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert complaints(monitor) == []
