"""What the dashboards of the service itself show: overview, latency by phase, audit health."""

from tests.monitoring.panels import Dashboard, Panel, Target, grown, now, quantiles, rate, selected

RED, AMBER = "red", "orange"
STARTED = "envoy_http_ext_proc_extproc_streams_started"
FAILED = "envoy_http_ext_proc_extproc_streams_failed"
ADDED = "extproc_added_duration_seconds"
OF_OURS = 'phase!~"model|hold"'
PHASES = rate("extproc_phase_duration_seconds_sum", "phase", OF_OURS)

OVERVIEW = Dashboard(
    "overview",
    "extproc / overview",
    "Is it up, does it answer, how fast, and what is refused.",
    (
        (
            "now",
            (
                Panel("Requests", "reqps", (Target(rate(STARTED), "requests"),), "What Envoy asks the service about.", "stat"),
                Panel(
                    "Failed by us, last hour",
                    "percentunit",
                    (Target(now("max", "extproc:failed:ratio_rate1h"), "failed"),),
                    "Refused for reasons of our own, or failed in Envoy. Recorded by the chart's rules.",
                    "stat",
                    ((0.001, AMBER), (0.0144, RED)),
                    alert="ExtprocAvailabilityBurnsFast",
                ),
                Panel(
                    "Added latency, p99",
                    "s",
                    quantiles(ADDED, at=(0.99,)),
                    "What requests wait for us before they go on to the model; holds left out.",
                    "stat",
                    ((0.025, AMBER), (0.1, RED)),
                    alert="ExtprocLatencyBurnsFast",
                ),
                Panel(
                    "Under way", "short", (Target(now("sum", "extproc_exchanges_live"), "exchanges"),),
                    "Exchanges under way.", "stat",
                ),
                Panel(
                    "Wait for approval", "short", (Target(now("sum", "extproc_holds_waiting"), "holds"),),
                    "On an open connection.", "stat", alert="ExtprocHoldsWaitTooLong",
                ),
                Panel(
                    "Controls that fail",
                    "short",
                    (Target(f"sum(max by (control) ({selected('extproc_control_failing')}))", "controls"),),
                    "Of PCI DSS 10.7: policy, credentials, identity, audit store, clock and the others.",
                    "stat",
                    ((1, RED),),
                ),
            ),
        ),
        (
            "traffic",
            (
                Panel(
                    "Exchanges by outcome", "reqps", (Target(rate("extproc_exchanges_total", "outcome"), "{{outcome}}"),),
                    "How they ended, as our own records say.", stacked=True,
                ),
                Panel(
                    "Answers by HTTP status", "reqps", (Target(rate("extproc_exchanges_total", "status"), "{{status}}"),),
                    "Classes; `none` where nothing was answered.", stacked=True,
                ),
                Panel(
                    "Duration of an exchange", "s", quantiles("extproc_exchange_duration_seconds"),
                    "Holds and the model's own time included.", exemplars=True,
                ),
                Panel(
                    "Early ends by reason", "reqps", (Target(rate("extproc_refusals_total", "reason"), "{{reason}}"),),
                    "Refused, cut or abandoned.", stacked=True,
                ),
                Panel(
                    "Envoy's streams to the service",
                    "reqps",
                    (
                        Target(rate(STARTED), "started"),
                        Target(rate(FAILED), "failed"),
                        Target(rate("envoy_http_ext_proc_extproc_message_timeouts"), "timed out"),
                    ),
                    "A stream is an exchange.",
                    alert="ExtprocServiceTooSlow",
                ),
                Panel(
                    "Locks",
                    "short",
                    (
                        Target(grown("envoy_http_rbac_denied", "", 'envoy_http_conn_manager_prefix="edge"'), "request lock shut"),
                        Target(
                            f"sum(increase({selected('envoy_http_ext_proc_extproc_server_half_closed')}[$__rate_interval])"
                            f" - increase({selected(FAILED)}[$__rate_interval]))",
                            "stream ended early",
                        ),
                        Target(grown("envoy_http_ext_proc_extproc_failure_mode_allowed"), "failure mode allowed"),
                    ),
                    "All three are 0, or the first line of defence has failed.",
                    thresholds=((1, RED),),
                    alert="ExtprocStreamEndedEarly",
                ),
            ),
        ),
        (
            "processes",
            (
                Panel(
                    "Workers",
                    "short",
                    (Target(now("sum", "extproc_workers", "state"), "{{state}}"), Target(now("sum", "up"), "ports that answer Prometheus")),
                    "Wanted and live, as the supervisors say.",
                    alert="ExtprocWorkerKeepsDying",
                ),
                Panel(
                    "Workers that died", "short", (Target(grown("extproc_worker_deaths_total", "worker"), "worker {{worker}}"),),
                    "Unasked, and started again.", thresholds=((1, RED),), alert="ExtprocWorkerRestarted",
                ),
                Panel(
                    "CPU", "percentunit", (Target(f"sum by (instance) (rate({selected('process_cpu_seconds_total')}[$__rate_interval]))", "{{instance}}"),),
                    "Of one core, by process.",
                ),
                Panel(
                    "First certificate to end", "d", (Target(f"{now('min', 'envoy_server_days_until_first_cert_expiring')} < 36500", "days"),),
                    "Of those that Envoy uses; nothing where it uses none.", alert="ExtprocCertificateNearExpiry",
                ),
                Panel(
                    "Memory", "bytes", (Target(now("sum", "process_resident_memory_bytes", "instance"), "{{instance}}"),),
                    "Resident, by process.",
                ),
            ),
        ),
    ),
)  # fmt: skip

LATENCY = Dashboard(
    "latency",
    "extproc / latency",
    "Where the time goes that requests and answers wait for us.",
    (
        (
            "before the model",
            (
                Panel(
                    "Added latency", "s", quantiles(ADDED),
                    "Of exchanges that reached a model: what they waited for us before they went on, holds left out.",
                    thresholds=((0.025, AMBER),), exemplars=True, alert="ExtprocLatencyBurnsFast",
                ),
                Panel(
                    "Added latency, distribution", "s",
                    (Target(f"sum by (le) (increase({selected(ADDED + '_bucket')}[$__rate_interval]))", "{{le}}"),),
                    "How many exchanges waited how long.", "heatmap", exemplars=True,
                ),
                Panel(
                    "Phases, p95", "s", quantiles("extproc_phase_duration_seconds", "phase", OF_OURS, at=(0.95,)),
                    "identity, parse, mask, decide, budgets, record.", exemplars=True,
                ),
                Panel(
                    "Phases, mean", "s",
                    (
                        Target(f"{PHASES} / on () group_left () {rate('extproc_exchange_duration_seconds_count')}", "{{phase}}"),
                    ),
                    "Mean seconds an exchange, by phase.", stacked=True,
                ),
                Panel(
                    "Decision by operation, p99", "s", quantiles("extproc_decision_duration_seconds", "operation", at=(0.99,)),
                    "Parsing, masking and judging a request.", exemplars=True,
                ),
                Panel(
                    "Waiting to be durable, p99", "s", quantiles("extproc_audit_wait_seconds", "operation", at=(0.99,)),
                    "The longest wait of anything of an exchange for the spool's disk.", exemplars=True, alert="ExtprocServiceTooSlow",
                ),
            ),
        ),
        (
            "answers",
            (
                Panel(
                    "Time to the first chunk", "s", quantiles("extproc_time_to_first_chunk_seconds"),
                    "From the request's arrival to the first byte released; the model's own time is in it.", exemplars=True,
                ),
                Panel(
                    "Kept back by masking, p99", "s", quantiles("extproc_masking_held_seconds", "operation", at=(0.5, 0.99)),
                    "The longest time that characters of an answer were kept back, because a number might go on.", exemplars=True,
                ),
                Panel(
                    "The model's own time", "s", quantiles("extproc_phase_duration_seconds", "", 'phase="model"'),
                    "From the request's going on to the answer's headers.", exemplars=True,
                ),
                Panel(
                    "Envoy to the model servers, p95", "ms", quantiles("envoy_cluster_upstream_rq_time", "envoy_cluster_name", 'envoy_cluster_name=~"model_.+"', at=(0.95,)),
                    "Whole answers, by connection.",
                ),
            ),
        ),
    ),
)  # fmt: skip

AUDIT = Dashboard(
    "audit",
    "extproc / audit",
    "Is everything recorded, does it reach the store, how much time is left when it does not.",
    (
        (
            "now",
            (
                Panel(
                    "Takes new exchanges", "bool_yes_no", (Target(now("min", "extproc_audit_accepting"), "accepting"),),
                    "No: new requests get 503.", "stat", alert="ExtprocAuditPaused",
                ),
                Panel(
                    "Lag, of what is allowed", "percentunit",
                    (Target(f"max({selected('extproc_audit_lag_seconds')} / {selected('extproc_audit_lag_limit_seconds')})", "lag"),),
                    "At 100 % new requests get 503.", "stat", ((0.3, AMBER), (0.5, RED)), alert="ExtprocAuditLag",
                ),
                Panel(
                    "Spool, of its limit", "percentunit",
                    (Target(f"max({selected('extproc_audit_log_spool_used_bytes')} / {selected('extproc_audit_log_spool_limit_bytes')})", "used"),),
                    "At 60 % an alarm, at 100 % new requests get 503.", "stat", ((0.6, AMBER), (0.9, RED)), alert="ExtprocSpoolFilling",
                ),
                Panel(
                    "Since everything was shipped", "s", (Target(f"time() - min({selected('extproc_audit_shipping_last_success_seconds')})", "since"),),
                    "Since a pass left nothing behind.", "stat", ((300, AMBER), (900, RED)), alert="ExtprocAuditStoreFails",
                ),
                Panel(
                    "First key to end", "s", (Target(now("min", "extproc_key_expires_seconds"), "left"),),
                    "Until the end of its cryptoperiod.", "stat", alert="ExtprocKeyNearEnd",
                ),
                Panel(
                    "Identity keys, age", "s", (Target(now("max", "extproc_identity_keys_age_seconds"), "age"),),
                    "Of the oldest set in use.", "stat", ((43200, AMBER), (86400, RED)), alert="ExtprocIdentityProviderDown",
                ),
            ),
        ),
        (
            "log",
            (
                Panel(
                    "Lag", "s",
                    (Target(now("max", "extproc_audit_lag_seconds", "pod, instance"), "{{pod}} {{instance}}"), Target(now("min", "extproc_audit_lag_limit_seconds"), "limit")),
                    "Age of the oldest record that is durable here and not in the store.", alert="ExtprocAuditLag",
                ),
                Panel(
                    "Spool", "bytes",
                    (Target(now("max", "extproc_audit_log_spool_used_bytes", "pod, instance"), "{{pod}} {{instance}}"), Target(now("min", "extproc_audit_log_spool_limit_bytes"), "limit")),
                    "Bytes in use.", alert="ExtprocSpoolFilling",
                ),
                Panel(
                    "Segments shipped", "ops", (Target(rate("extproc_audit_shipped_total"), "segments"),), "That the store took.",
                ),
                Panel(
                    "Passes that left something behind", "short",
                    (Target(grown("extproc_audit_shipping_failures_total", "cause"), "{{cause}}"),),
                    "By what was wrong with the store.", stacked=True, alert="ExtprocAuditStoreFails",
                ),
                Panel(
                    "Why new exchanges are refused", "short", (Target(now("max", "extproc_audit_paused", "cause"), "{{cause}}"),),
                    "1 while the cause lasts.", alert="ExtprocAuditPaused",
                ),
                Panel(
                    "Journals of dead writers", "short",
                    (
                        Target(grown("extproc_audit_adoptions_total"), "adopted"),
                        Target(grown("extproc_audit_adoption_failures_total"), "could not be adopted"),
                    ),
                    "Finished for them.", alert="ExtprocJournalNotAdopted",
                ),
            ),
        ),
        (
            "controls",
            (
                Panel(
                    "Controls", "short", (Target(now("max", "extproc_control_failing", "control"), "{{control}}"),),
                    "1 while a control fails (PCI DSS 10.7).", "state-timeline", ((1, RED),),
                ),
                Panel(
                    "Failures in 24 hours", "short", (Target(f"sum by (control) (increase({selected('extproc_control_failures_total')}[24h]))", "{{control}}"),),
                    "How often each began to fail.", "table",
                ),
                Panel(
                    "Keys", "s", (Target(now("min", "extproc_key_expires_seconds", "purpose"), "{{purpose}}"),),
                    "Until the end of the cryptoperiod.", "table", alert="ExtprocKeyNearEnd",
                ),
                Panel(
                    "Spans and logs not exported", "short",
                    (Target(grown("extproc_telemetry_dropped_total", "signal, why"), "{{signal}}: {{why}}"),),
                    "The service never waits for a collector.", alert="ExtprocTelemetryDropped",
                ),
            ),
        ),
    ),
)  # fmt: skip
