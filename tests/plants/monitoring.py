"""Planted bugs: alerts, their runbook, dashboards, and what the chart makes of them."""

from tests.plants.plant import Plant

RULES, RENDERED = "tests/monitoring/test_rules.py::", "tests/monitoring/test_rendered.py::"
RUNBOOK, DASHBOARDS = "tests/monitoring/test_runbook.py::", "tests/monitoring/test_dashboards.py::"
FIRE = RULES + "test_alerts_fire_and_not_just_under"
FILES, TEMPLATES = "helm/extproc/rules/", "helm/extproc/templates/monitoring/"
UNDECIDED = 'increase(envoy_http_ext_proc_extproc_streams_failed{deployment=~".+"}[5m])'

PLANTS = (
    Plant(
        "alerts: aborted streams count as ended early",
        FILES + "traffic.yaml",
        f"            - {UNDECIDED}\n",
        "",
        FIRE,
    ),
    Plant(
        "alerts: a shut request lock is told a day later",
        FILES + "traffic.yaml",
        '(increase(envoy_http_rbac_denied{envoy_http_conn_manager_prefix="edge",deployment=~".+"}[10m])) > 0\n',
        '(increase(envoy_http_rbac_denied{envoy_http_conn_manager_prefix="edge",deployment=~".+"}[10m])) > 0\n        for: 1d\n',
        FIRE,
    ),
    Plant(
        "alerts: exchanges that are recorded do not silence the alert that none is",
        FILES + "traffic.yaml",
        "sum by (namespace, deployment) (increase(extproc_exchange_duration_seconds_count",
        "sum by (namespace, deployment) (increase(extproc_exchange_duration_seconds_sum",
        FIRE,
    ),
    Plant(
        "alerts: the lag wakes at its limit",
        FILES + "audit.yaml",
        'extproc_audit_lag_limit_seconds{deployment=~".+"}) > 0.5',
        'extproc_audit_lag_limit_seconds{deployment=~".+"}) > 1',
        FIRE,
    ),
    Plant(
        "alerts: one worker that takes nothing hides behind another that does",
        FILES + "audit.yaml",
        "min by (namespace, deployment, pod, instance) (extproc_audit_accepting",
        "max by (namespace, deployment) (extproc_audit_accepting",
        FIRE,
    ),
    Plant(
        "alerts: a provider's keys that fail for a moment wake somebody",
        FILES + "controls.yaml",
        '(extproc_control_failing{control="identity",deployment=~".+"}) == 1\n        for: 5m\n',
        '(extproc_control_failing{control="identity",deployment=~".+"}) == 1\n',
        FIRE,
    ),
    Plant(
        "alerts: two policies in force look like one",
        FILES + "controls.yaml",
        "count by (namespace, deployment) (count by (namespace, deployment, digest)",
        "count by (namespace, deployment) (count by (namespace, deployment)",
        FIRE,
    ),
    Plant(
        "alerts: budget charges that were lost long ago are told for ever",
        FILES + "approvals.yaml",
        '(delta(extproc_budget_charges_lost{deployment=~".+"}[15m])) > 0',
        '(extproc_budget_charges_lost{deployment=~".+"}) > 0',
        FIRE,
    ),
    Plant(
        "objectives: one window leaves out a reason",
        FILES + "slo.yaml",
        'budgets_unavailable|identity_unavailable|internal|modes_unsafe|policy_unavailable|protocol",deployment=~".+"}[6h]',
        'budgets_unavailable|internal|modes_unsafe|policy_unavailable|protocol",deployment=~".+"}[6h]',
        RULES + "test_windows_of_an_objective_differ_by_the_window_only",
    ),
    Plant(
        "alerts: one reads a metric that nobody offers",
        FILES + "telemetry.yaml",
        "extproc_telemetry_dropped_total",
        "extproc_spans_dropped_total",
        RULES + "test_every_metric_that_a_rule_reads_exists",
    ),
    Plant(
        "runbook: an alert has no section",
        "helm/extproc/RUNBOOK.md",
        "## ExtprocSpoolDamaged\n",
        "## ExtprocSpoolBroken\n",
        RUNBOOK + "test_every_alert_has_a_section_and_every_section_an_alert",
    ),
    Plant(
        "runbook: a failure of the README is forgotten",
        "helm/extproc/RUNBOOK.md",
        "| the spool's disk is lost |",
        "| the spool is lost |",
        RUNBOOK + "test_every_failure_of_the_readme_has_an_alert_or_a_reason",
    ),
    Plant(
        "runbook: a command does not exist",
        "helm/extproc/RUNBOOK.md",
        "`extproc approvals notifications retry --all`",
        "`extproc approvals notifications resend --all`",
        RUNBOOK + "test_every_command_of_the_runbook_exists",
    ),
    Plant(
        "rules: another release's series fire our alerts",
        TEMPLATES + "_monitoring.tpl",
        '{{- if ne .Values.mode "sidecar" }}namespace={{ .Release.Namespace | quote }},{{ end -}}\ndeployment={{',
        "deployment=~{{",
        RENDERED + "test_every_series_that_a_rule_reads_is_this_releases",
    ),
    Plant(
        "rules: the objective of the values is not used",
        TEMPLATES + "_monitoring.tpl",
        '| replace "(1 - 0.999)"',
        '| replace "(1-0.999)"',
        RENDERED + "test_the_objectives_are_those_of_the_values",
    ),
    Plant(
        "rules: an alert that was disabled is there",
        TEMPLATES + "prometheus-rule.yaml",
        '{{- if not (has (.alert | default "") $rule.disabled) }}',
        "{{- if true }}",
        RENDERED + "test_all_but_what_is_disabled_is_there",
    ),
    Plant(
        "metrics: a pod that is not ready is not read",
        TEMPLATES + "metrics-service.yaml",
        "publishNotReadyAddresses: true",
        "publishNotReadyAddresses: false",
        RENDERED + "test_every_port_that_is_scraped_is_one_of_the_pods",
    ),
    Plant(
        "metrics: the last worker is not read",
        TEMPLATES + "_monitoring.tpl",
        '{{- range until (include "extproc.workers" .root | int) }}',
        '{{- range until (sub (include "extproc.workers" .root | int) 1 | int) }}',
        RENDERED + "test_every_port_that_is_scraped_is_one_of_the_pods",
    ),
    Plant(
        "dashboards: Grafana does not find them",
        TEMPLATES + "dashboards.yaml",
        "    {{- toYaml $dashboards.labels | nindent 4 }}\n",
        "",
        RENDERED + "test_grafana_finds_the_dashboards",
    ),
    Plant(
        "dashboards: one is not what its description says",
        "helm/extproc/dashboards/holds.json",
        '"title": "extproc / holds"',
        '"title": "extproc / waits"',
        DASHBOARDS + "test_the_files_are_what_the_description_says",
    ),
)
