"""A case for every alert on controls, audit log, approvals, telemetry and pods."""

from tests.monitoring.alert_case import GW_0, POD, PROD, WHERE, Case, control, once

REFUSALS = f'extproc_refusals_total{{reason="%s",{POD}}}'
PENDING = f'extproc_notifications_untold{{state="waiting",{WHERE},pod="console-0"}}'
DEAD = f'extproc_notifications_untold{{state="dead",{WHERE},pod="console-0"}}'
KEY = f'extproc_key_expires_seconds{{purpose="signing",{POD}}}'
READY = 'kube_pod_status_ready{condition="false",namespace="llm",pod="extproc-gateway-0"}'
PHASE = 'kube_pod_status_phase{phase="Succeeded",namespace="llm",pod="extproc-gateway-0"}'
DAY = 86400

CONTROLS = (
    control(
        "ExtprocIdentityProviderDown", "identity", 5, "Keys of an identity provider cannot be fetched (prod).", early=4
    ),
    Case(
        "ExtprocNobodyIsIdentified",
        8,
        {REFUSALS % "identity_unavailable": "0x3 3+3x4"},
        {REFUSALS % "identity_unavailable": "7x8", REFUSALS % "policy_denied": "0+3x8"},
        "Requests are refused because no identity provider's keys are usable (prod).",
        description="0.05 requests a second get 503.",
    ),
    control(
        "ExtprocPolicyRefused", "policy", 1, "The policy file is refused (prod); the last good one stays in force."
    ),
    Case(
        "ExtprocPoliciesDiffer",
        15,
        {
            f'extproc_policy_info{{digest="a",{POD}}}': "1x15",
            f'extproc_policy_info{{digest="b",{WHERE},pod="gw-1"}}': "1x15",
        },
        {
            f'extproc_policy_info{{digest="a",{POD}}}': "1x15",
            f'extproc_policy_info{{digest="a",{WHERE},pod="gw-1"}}': "1x15",
        },
        "Workers of one deployment enforce 2 different policies (prod).",
        early=14,
    ),
    control(
        "ExtprocConfigurationRefused",
        "configuration",
        2,
        "The configuration file is refused (prod); the last good one stays in force.",
        early=1,
    ),
    control(
        "ExtprocCredentialUnreadable",
        "credentials",
        5,
        "A model server's credential file is gone, empty or no credential (prod).",
        early=4,
    ),
    control(
        "ExtprocShadowRuleOverdue",
        "policy-shadow",
        60,
        "A rule stays in shadow past the last day that the policy gives it (prod).",
        early=59,
    ),
    control(
        "ExtprocClockUnsynchronised",
        "clock",
        5,
        "The clock stepped or is not synchronised (prod, 10.0.0.1:9470).",
        labels=GW_0,
        early=4,
    ),
    control(
        "ExtprocConsoleLoginFails",
        "oidc-issuer",
        5,
        "What logins to the console rest on fails (oidc-issuer, prod).",
        labels={**PROD, "control": "oidc-issuer"},
        early=4,
    ),
)

AUDIT = (
    control("ExtprocAuditStoreFails", "audit_store", 5, "The audit store takes no segments (prod).", early=4),
    Case(
        "ExtprocAuditLag",
        2,
        {f"extproc_audit_lag_seconds{{{POD}}}": "0 460x2", f"extproc_audit_lag_limit_seconds{{{POD}}}": "900x2"},
        {f"extproc_audit_lag_seconds{{{POD}}}": "450x2", f"extproc_audit_lag_limit_seconds{{{POD}}}": "900x2"},
        "The audit store lags by 51.11% of what is allowed (prod).",
        early=1,
    ),
    Case(
        "ExtprocAuditPaused",
        1,
        {f"extproc_audit_accepting{{{POD}}}": "0x1", f'extproc_audit_accepting{{{WHERE},pod="gw-1"}}': "1x1"},
        {f"extproc_audit_accepting{{{POD}}}": "0 1", f'extproc_audit_accepting{{{WHERE},pod="gw-1"}}': "1x1"},
        "New requests get 503 because they cannot be recorded (prod, 10.0.0.1:9470).",
        labels=GW_0,
        early=0,
    ),
    Case(
        "ExtprocAuditForeignBytes",
        1,
        {f'extproc_audit_paused{{cause="store_diverges",{POD}}}': "0 1"},
        {f'extproc_audit_paused{{cause="store_lags",{POD}}}': "0 1"},
        "The audit store holds other bytes under our name (prod).",
        early=0,
    ),
    Case(
        "ExtprocSpoolDamaged",
        5,
        once(f'extproc_audit_shipping_failures_total{{cause="spool",{POD}}}', 3, 5),
        once(f'extproc_audit_shipping_failures_total{{cause="unreachable",{POD}}}', 3, 5),
        "A sealed file in the spool is not what was sealed (prod).",
        early=2,
    ),
    control("ExtprocAuditStoreClock", "store_clock", 5, "The audit store refuses our clock (prod).", early=4),
    Case(
        "ExtprocSpoolFilling",
        5,
        {
            f"extproc_audit_log_spool_used_bytes{{{POD}}}": "610x5",
            f"extproc_audit_log_spool_limit_bytes{{{POD}}}": "1000x5",
        },
        {
            f"extproc_audit_log_spool_used_bytes{{{POD}}}": "600x5",
            f"extproc_audit_log_spool_limit_bytes{{{POD}}}": "1000x5",
        },
        "The audit spool is 61% full (prod, 10.0.0.1:9470).",
        labels=GW_0,
        early=4,
    ),
    Case(
        "ExtprocSpoolFull",
        1,
        {
            f'extproc_audit_paused{{cause="disk_full",{POD}}}': "0 1",
            f'extproc_audit_paused{{cause="clock",{POD}}}': "0x1",
        },
        {
            f'extproc_audit_paused{{cause="disk_full",{POD}}}': "0 0",
            f'extproc_audit_paused{{cause="clock",{POD}}}': "1x1",
        },
        "The audit spool or its disk is full (disk_full, prod, 10.0.0.1:9470).",
        labels={**GW_0, "cause": "disk_full"},
        early=0,
    ),
    control(
        "ExtprocJournalNotAdopted", "audit_adoption", 1, "The journal of a worker that died cannot be adopted (prod)."
    ),
    Case(
        "ExtprocKeyNearEnd",
        60,
        {KEY: f"{29 * DAY}x60"},
        {KEY: f"{30 * DAY}x60"},
        "The signing key ends in 29d 0h 0m 0s (prod).",
        labels={**PROD, "purpose": "signing"},
        early=59,
    ),
    Case(
        "ExtprocKeyEnds",
        5,
        {KEY: f"{2 * DAY}x5"},
        {KEY: f"{3 * DAY}x5"},
        "The signing key ends in 2d 0h 0m 0s (prod).",
        labels={**PROD, "purpose": "signing"},
        early=4,
    ),
)

APPROVALS = (
    control("ExtprocApprovalStoreDown", "approval-store", 2, "The approval store cannot be reached (prod).", early=1),
    Case(
        "ExtprocApprovalsRefused",
        8,
        {REFUSALS % "approvals_unavailable": "0x3 3+3x4"},
        {REFUSALS % "approvals_unavailable": "7x8", REFUSALS % "approval_refused": "0+3x8"},
        "Requests are refused because the approval store cannot be asked (prod).",
        description="0.05 requests a second get 503.",
    ),
    Case(
        "ExtprocHoldsWaitTooLong",
        2,
        {f"extproc_holds_oldest_seconds{{{POD}}}": "590 650 710"},
        {f"extproc_holds_oldest_seconds{{{POD}}}": "480 540 600"},
        "A request has waited 11m 50s for an approver (prod).",
        early=1,
    ),
    Case(
        "ExtprocNotificationsDead",
        5,
        {DEAD: "2x5"},
        {DEAD: "0x5", PENDING: "2x5"},
        "2 notifications of approvals were given up (prod).",
        early=4,
    ),
    Case(
        "ExtprocNotificationsStuck",
        30,
        {PENDING: "1x30"},
        {PENDING: "1x13 0 1x15"},
        "Notifications of approvals have been waiting for 30 minutes (prod).",
        early=14,
    ),
    Case(
        "ExtprocBudgetChargesLost",
        10,
        {f"extproc_budget_charges_lost{{{POD}}}": "0x5 3x4"},
        {f"extproc_budget_charges_lost{{{POD}}}": "3x10"},
        "What answers cost was not charged to budgets (prod).",
        early=4,
    ),
)

TELEMETRY = (
    Case(
        "ExtprocTargetDown",
        3,
        {f'up{{job="gateway",{POD}}}': "0x3", f'up{{job="gateway",{WHERE},instance="b"}}': "1x3"},
        {f'up{{job="gateway",{POD}}}': "0x2 1", f'up{{job="gateway",{WHERE},instance="b"}}': "1x3"},
        "10.0.0.1:9470 does not answer Prometheus (prod, gateway).",
        labels={**GW_0, "job": "gateway"},
        early=2,
    ),
    Case(
        "ExtprocNoTargets",
        5,
        {'up{job="other"}': "1x5"},
        {f"up{{{POD}}}": "0x5"},
        "Prometheus knows no target of extproc.",
        labels={},
        early=4,
    ),
    Case(
        "ExtprocTelemetryDropped",
        20,
        {f'extproc_telemetry_dropped_total{{signal="spans",why="collector",{POD}}}': "0+5x20"},
        {f'extproc_telemetry_dropped_total{{signal="spans",why="collector",{POD}}}': "0x4 5x15"},
        "50 spans were dropped in 10 minutes (collector, prod).",
        labels={**PROD, "signal": "spans", "why": "collector"},
        early=10,
    ),
)

PODS = (
    Case(
        "ExtprocPodNotReady",
        10,
        {READY: "1x10", PHASE: "0x10"},
        {READY: "1x10", PHASE: "1x10"},
        "Pod extproc-gateway-0 has not been ready for 10 minutes.",
        labels={"namespace": "llm", "pod": "extproc-gateway-0"},
        early=9,
    ),
    Case(
        "ExtprocNoPodReady",
        2,
        {'kube_deployment_status_replicas_available{namespace="llm",deployment="extproc"}': "0x2"},
        {'kube_deployment_status_replicas_available{namespace="llm",deployment="extproc"}': "1x2"},
        "No pod of extproc is ready in llm.",
        labels={"namespace": "llm"},
        early=1,
    ),
    Case(
        "ExtprocContainerRestarts",
        20,
        {'kube_pod_container_status_restarts_total{namespace="llm",pod="extproc-a",container="envoy"}': "0x9 1 2 3x8"},
        {'kube_pod_container_status_restarts_total{namespace="llm",pod="extproc-a",container="envoy"}': "0x9 1 2 2x8"},
        "Container envoy of extproc-a restarts.",
        labels={"namespace": "llm", "pod": "extproc-a", "container": "envoy"},
        description="3 times in 30 minutes.",
        early=10,
    ),
    Case(
        "ExtprocJobFailed",
        1,
        {'kube_job_status_failed{namespace="llm",job_name="extproc-anchor-1"}': "0 1"},
        {'kube_job_status_failed{namespace="llm",job_name="extproc-anchor-1"}': "0 0"},
        "Job extproc-anchor-1 failed.",
        labels={"namespace": "llm", "job_name": "extproc-anchor-1"},
        early=0,
    ),
)

CASES = (*CONTROLS, *AUDIT, *APPROVALS, *TELEMETRY, *PODS)
