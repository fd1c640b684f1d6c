"""Which metrics there are: those of our table, of Envoy and of Kubernetes; and which ones an expression reads."""

import re

from extproc.edge.metric_table import TABLE, Kind
from tests.monitoring.rules import all_rules

_NAME = re.compile(r"\b(?:extproc|envoy|gen_ai|kube|process)_[a-z0-9_]+|\bup(?=\{|$)|\bextproc:[a-z0-9_:]+")
_LABELS = re.compile(r"\{[^}]*\}")
ENVOY = frozenset(
    {
        "envoy_cluster_membership_healthy",
        "envoy_cluster_upstream_cx_connect_fail",
        "envoy_cluster_upstream_rq_time_bucket",
        "envoy_cluster_upstream_rq_xx",
        "envoy_http_downstream_cx_active",
        "envoy_http_downstream_rq_active",
        "envoy_http_downstream_rq_xx",
        "envoy_http_ext_proc_extproc_failure_mode_allowed",
        "envoy_http_ext_proc_extproc_message_timeouts",
        "envoy_http_ext_proc_extproc_server_half_closed",
        "envoy_http_ext_proc_extproc_streams_failed",
        "envoy_http_ext_proc_extproc_streams_started",
        "envoy_http_rbac_denied",
        "envoy_server_days_until_first_cert_expiring",
    }
)
"""What Envoy 1.40 with our bootstrap calls them."""
OTHERS = frozenset(
    {
        "up",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "kube_deployment_status_replicas_available",
        "kube_job_status_failed",
        "kube_pod_container_status_restarts_total",
        "kube_pod_status_phase",
        "kube_pod_status_ready",
        "kube_statefulset_status_replicas_ready",
    }
)
"""Of Prometheus itself, of its client library and of kube-state-metrics."""


def our_names() -> set[str]:
    """With the suffixes of histograms."""
    names = set()
    for metric in TABLE:
        suffixes = ("_bucket", "_sum", "_count") if metric.kind is Kind.HISTOGRAM else ("",)
        names |= {metric.scraped + suffix for suffix in suffixes}
        if metric.kind is Kind.HISTOGRAM:
            names.add(metric.scraped)
    return names


def known_names() -> set[str]:
    recorded = {rule["record"] for rule in all_rules() if "record" in rule}
    return our_names() | ENVOY | OTHERS | recorded


def names_in(expression: str) -> set[str]:
    """Metrics that an expression reads, without what stands in braces or behind `by` and `on`."""
    text = _LABELS.sub("{}", expression)
    text = re.sub(r"\b(?:by|on|without|ignoring|group_left|group_right) ?\([^)]*\)", "", text)
    return set(_NAME.findall(text))
