"""What the dashboards of the service's use show: decisions and findings, holds, models."""

from tests.monitoring.panels import Dashboard, Panel, Target, most, now, quantiles, rate

RED, AMBER = "red", "orange"
MODEL = 'model=~"$model"'
GEN_AI_MODEL = 'gen_ai_request_model=~"$model"'

DECISIONS = Dashboard(
    "decisions",
    "extproc / decisions and findings",
    "What the policy decides, by which rule, and what the detectors find.",
    (
        (
            "decisions",
            (
                Panel(
                    "Decisions by effect", "reqps", (Target(rate("extproc_decisions_total", "effect"), "{{effect}}"),),
                    "allow, hold, deny.", stacked=True,
                ),
                Panel(
                    "Decisions by rule", "reqps", (Target(most("extproc_decisions_total", "rule, effect"), "{{rule}} ({{effect}})"),),
                    "The determining rule; the twelve most frequent.", stacked=True,
                ),
                Panel(
                    "Denied by rule", "reqps", (Target(most("extproc_decisions_total", "rule", 'effect="deny"'), "{{rule}}"),),
                    "The twelve most frequent.", stacked=True,
                ),
                Panel(
                    "Early ends by reason", "reqps", (Target(rate("extproc_refusals_total", "reason"), "{{reason}}"),),
                    "Tokens, bodies, policy, approvals, budgets, answers.", stacked=True, alert="ExtprocInternalErrors",
                ),
                Panel(
                    "Budgets: steps `log` met", "reqps", (Target(rate("extproc_budget_logged_total", "rule"), "{{rule}}"),),
                    "Exchanges that met a step of a budget which only logs.",
                ),
                Panel(
                    "Budgets: charges lost", "short", (Target(now("sum", "extproc_budget_charges_lost"), "lost"),),
                    "What the approval store never took.", thresholds=((1, RED),), alert="ExtprocBudgetChargesLost",
                ),
            ),
        ),
        (
            "findings",
            (
                Panel(
                    "Found in requests", "cps", (Target(rate("extproc_findings_total", "kind", 'direction="request"'), "{{kind}}"),),
                    "By kind, a second.", stacked=True,
                ),
                Panel(
                    "Found in answers", "cps", (Target(rate("extproc_findings_total", "kind", 'direction="response"'), "{{kind}}"),),
                    "By kind, a second. A model that answers with card numbers has learnt or kept them.", stacked=True,
                ),
            ),
        ),
        (
            "policy",
            (
                Panel(
                    "Policies in force", "short", (Target(now("count", "extproc_policy_info", "digest"), "{{digest}}"),),
                    "Workers by the digest that they enforce; one digest, but for the moment of a change.", "table", alert="ExtprocPoliciesDiffer",
                ),
                Panel(
                    "Policy loaded", "s", (Target(now("min", "extproc_policy_age_seconds"), "newest"), Target(now("max", "extproc_policy_age_seconds"), "oldest")),
                    "Seconds since the policy was loaded, by the newest and the oldest worker.", alert="ExtprocPolicyRefused",
                ),
            ),
        ),
    ),
)  # fmt: skip

HOLDS = Dashboard(
    "holds",
    "extproc / holds",
    "Requests that wait for people, and whether people were told.",
    (
        (
            "now",
            (
                Panel("Waiting", "short", (Target(now("sum", "extproc_holds_waiting"), "waiting"),), "On an open connection.", "stat"),
                Panel(
                    "Longest wait", "s", (Target(now("max", "extproc_holds_oldest_seconds"), "longest"),), "Under way.", "stat",
                    ((300, AMBER), (600, RED)), alert="ExtprocHoldsWaitTooLong",
                ),
                Panel(
                    "Not told yet", "short", (Target(now("max", "extproc_notifications_untold", "", 'state="waiting"'), "waiting"),),
                    "Notifications that wait.", "stat", alert="ExtprocNotificationsStuck",
                ),
                Panel(
                    "Given up", "short", (Target(now("max", "extproc_notifications_untold", "", 'state="dead"'), "dead"),),
                    "Notifications that nobody will get.", "stat", ((1, RED),), alert="ExtprocNotificationsDead",
                ),
            ),
        ),
        (
            "holds",
            (
                Panel("Waiting", "short", (Target(now("sum", "extproc_holds_waiting", "pod, instance"), "{{pod}} {{instance}}"),), "On an open connection.", stacked=True),
                Panel(
                    "Wait by what became of it", "s", quantiles("extproc_hold_wait_seconds", "state", at=(0.5, 0.95)),
                    "Of waits that are over; `pending`: the client got 202 and comes back.", exemplars=True,
                ),
                Panel("Ends of waits", "cps", (Target(rate("extproc_hold_wait_seconds_count", "state"), "{{state}}"),), "A second, by state.", stacked=True),
                Panel(
                    "Held requests that were refused", "reqps", (Target(rate("extproc_refusals_total", "reason", 'reason=~"approval.+|budgets_unavailable"'), "{{reason}}"),),
                    "By reason.", stacked=True, alert="ExtprocApprovalsRefused",
                ),
            ),
        ),
        (
            "people",
            (
                Panel("Attempts to tell", "cps", (Target(rate("extproc_notifications_total", "channel, outcome"), "{{channel}}: {{outcome}}"),), "By channel and outcome.", stacked=True, alert="ExtprocNotificationsDead"),
                Panel("The console's records", "cps", (Target(most("extproc_console_events_total", "event"), "{{event}}"),), "Logins, reads, votes; the twelve most frequent.", stacked=True),
            ),
        ),
    ),
)  # fmt: skip

MODELS = Dashboard(
    "models",
    "extproc / models",
    "Each model: use, speed, errors. Names count only where the policy let the request through.",
    (
        (
            "use",
            (
                Panel("Requests", "reqps", (Target(rate("gen_ai_server_request_duration_seconds_count", "gen_ai_request_model", GEN_AI_MODEL), "{{gen_ai_request_model}}"),), "That went on to the model.", stacked=True),
                Panel("Tokens", "cps", (Target(rate("extproc_tokens_total", "model, type", MODEL), "{{model}} {{type}}"),), "A second, as the model server reports them.", stacked=True),
                Panel(
                    "Tokens of an exchange, p95", "short",
                    quantiles("gen_ai_client_token_usage", "gen_ai_request_model", 'gen_ai_token_type="output"', GEN_AI_MODEL, at=(0.5, 0.95)),
                    "Output.", exemplars=True,
                ),
                Panel(
                    "Errors", "reqps", (Target(rate("gen_ai_server_request_duration_seconds_count", "gen_ai_request_model, error_type", 'error_type!=""', GEN_AI_MODEL), "{{gen_ai_request_model}}: {{error_type}}"),),
                    "Exchanges with the model that ended with an error.", alert="ExtprocAnswersWithheld",
                ),
            ),
        ),
        (
            "speed",
            (
                Panel("Duration", "s", quantiles("gen_ai_server_request_duration_seconds", "gen_ai_request_model", GEN_AI_MODEL, at=(0.5, 0.95)), "From going on to the last byte.", exemplars=True),
                Panel("Time to the first token", "s", quantiles("gen_ai_server_time_to_first_token_seconds", "gen_ai_request_model", GEN_AI_MODEL, at=(0.5, 0.95)), "Of streamed answers.", exemplars=True),
                Panel("Time an output token", "s", quantiles("gen_ai_server_time_per_output_token_seconds", "gen_ai_request_model", GEN_AI_MODEL, at=(0.5, 0.95)), "After the first, of streamed answers.", exemplars=True),
                Panel(
                    "Errors of the model servers", "reqps",
                    (Target(rate("envoy_cluster_upstream_rq_xx", "envoy_cluster_name", 'envoy_response_code_class="5"', 'envoy_cluster_name=~"model_.+"'), "{{envoy_cluster_name}}"),),
                    "Answers of the class 5xx, by model server.", alert="ExtprocModelServerErrors",
                ),
                Panel(
                    "Connections that failed", "cps", (Target(rate("envoy_cluster_upstream_cx_connect_fail", "envoy_cluster_name", 'envoy_cluster_name=~"model_.+"'), "{{envoy_cluster_name}}"),),
                    "By model server.", thresholds=((0.01, RED),), alert="ExtprocModelServerDown",
                ),
            ),
        ),
    ),
    (("model", 'label_values(extproc_tokens_total{namespace=~"$namespace",deployment=~"$deployment"}, model)'),),
)  # fmt: skip
