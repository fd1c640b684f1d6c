"""A case for every alert on workers, Envoy and the two objectives."""

from tests.monitoring.alert_case import GW_0, POD, PROD, Case, once

EXT_PROC = f'envoy_http_ext_proc_extproc_%s{{envoy_http_conn_manager_prefix="edge",{POD}}}'
REFUSALS = f'extproc_refusals_total{{reason="%s",{POD}}}'
RECORDED = f'extproc_exchange_duration_seconds_count{{effect="allow",operation="chat",outcome="completed",{POD}}}'
LIVE = f"extproc_exchanges_live{{{POD}}}"
DEATHS = f'extproc_worker_deaths_total{{worker="0",{POD}}}'
DAYS = f"envoy_server_days_until_first_cert_expiring{{{POD}}}"
FAST = f'extproc_added_duration_seconds_bucket{{operation="chat",le="0.025",{POD}}}'
ADDED = f'extproc_added_duration_seconds_count{{operation="chat",{POD}}}'
CONNECT = f'envoy_cluster_upstream_cx_connect_fail{{envoy_cluster_name="%s",{POD}}}'
ANSWERS = f'envoy_cluster_upstream_rq_xx{{envoy_response_code_class="%s",envoy_cluster_name="model_chat",{POD}}}'
HOUR, DAY = 60, 1440


def failing(steps: int, of: int) -> dict[str, str]:
    """One in `of` requests fails, 600 a step."""
    return {EXT_PROC % "streams_started": f"0+600x{steps}", EXT_PROC % "streams_failed": f"0+{600 / of:g}x{steps}"}


def slow(steps: int, of: int) -> dict[str, str]:
    """One in `of` requests waits too long, 600 a step."""
    return {ADDED: f"0+600x{steps}", FAST: f"0+{600 - 600 / of:g}x{steps}"}


TRAFFIC = (
    Case(
        "ExtprocStreamEndedEarly",
        5,
        {**once(EXT_PROC % "server_half_closed", 3, 5, by=2), **once(EXT_PROC % "streams_failed", 3, 5)},
        {**once(EXT_PROC % "server_half_closed", 3, 5, by=2), **once(EXT_PROC % "streams_failed", 3, 5, by=2)},
        "The service ended a stream cleanly before its exchange was over (prod, 10.0.0.1:9470).",
        labels=GW_0,
        early=2,
    ),
    Case(
        "ExtprocLockClosed",
        5,
        once(f'envoy_http_rbac_denied{{envoy_http_conn_manager_prefix="edge",{POD}}}', 3, 5),
        once(f'envoy_http_rbac_denied{{envoy_http_conn_manager_prefix="other",{POD}}}', 3, 5),
        "The request lock stopped a request that nothing had decided (prod, 10.0.0.1:9470).",
        labels=GW_0,
        early=2,
    ),
    Case(
        "ExtprocFailureModeAllowed",
        5,
        once(EXT_PROC % "failure_mode_allowed", 3, 5),
        {EXT_PROC % "failure_mode_allowed": "1x5"},
        "Envoy let requests go on without the service (prod, 10.0.0.1:9470).",
        labels=GW_0,
        early=2,
    ),
    Case(
        "ExtprocNothingRecorded",
        21,
        {EXT_PROC % "streams_started": "0+5x21", RECORDED: "3x21", LIVE: "0x21"},
        {EXT_PROC % "streams_started": "0+5x21", RECORDED: "3x19 4x1", LIVE: "0x21"},
        "Envoy asks about requests and no exchange is recorded (prod).",
        early=5,
    ),
    Case(
        "ExtprocWorkerRestarted",
        5,
        once(DEATHS, 3, 5),
        {DEATHS: "1x5"},
        "A worker died and was started again (prod, 10.0.0.1:9470).",
        labels=GW_0,
        early=2,
    ),
    Case(
        "ExtprocWorkerKeepsDying",
        15,
        {DEATHS: "0 1 2 3 4x11"},
        {DEATHS: "0 1 2 3x12"},
        "Workers died 4 times in 15 minutes (prod, 10.0.0.1:9470).",
        labels=GW_0,
        early=3,
    ),
    Case(
        "ExtprocServiceTooSlow",
        12,
        {EXT_PROC % "message_timeouts": "0 3+3x11"},
        {EXT_PROC % "message_timeouts": "0x4 3x7"},
        "The service does not answer Envoy in time (prod).",
        description="0.05 requests a second get 504.",
        early=5,
    ),
    Case(
        "ExtprocInternalErrors",
        8,
        {REFUSALS % "internal": "0 3+3x7"},
        {REFUSALS % "policy_denied": "0 3+3x7"},
        "Requests are refused for a reason of our own (internal, prod).",
        labels={**PROD, "reason": "internal"},
        description="0.05 requests a second; nothing went on unmasked.",
        early=2,
    ),
    Case(
        "ExtprocAnswersWithheld",
        30,
        {REFUSALS % "response_malformed": "0+6x30", RECORDED: "0+100x30"},
        {REFUSALS % "response_malformed": "0+5x30", RECORDED: "0+100x30"},
        "6% of the models' answers are withheld (prod).",
        early=10,
    ),
    Case(
        "ExtprocModelServerDown",
        12,
        {CONNECT % "model_chat": "0+3x12"},
        {CONNECT % "otlp": "0+3x12"},
        "A model server cannot be connected to (model_chat, prod).",
        labels={**PROD, "envoy_cluster_name": "model_chat"},
        early=5,
    ),
    Case(
        "ExtprocModelServerErrors",
        30,
        {ANSWERS % "2": "0+94x30", ANSWERS % "5": "0+6x30"},
        {ANSWERS % "2": "0+95x30", ANSWERS % "5": "0+5x30"},
        "6% of a model server's answers are errors (model_chat, prod).",
        labels={**PROD, "envoy_cluster_name": "model_chat"},
        early=10,
    ),
    Case(
        "ExtprocCertificateNearExpiry",
        60,
        {DAYS: "20x60"},
        {DAYS: "21x60"},
        "A certificate of Envoy's ends in 20 days (prod).",
        early=59,
    ),
    Case(
        "ExtprocCertificateExpires",
        5,
        {DAYS: "2x5"},
        {DAYS: "3x5"},
        "A certificate of Envoy's ends in 2 days (prod).",
        early=4,
    ),
)

OBJECTIVES = (
    Case(
        "ExtprocAvailabilityBurnsFast",
        HOUR,
        failing(HOUR, 50),
        failing(HOUR, 250),
        "2% of the requests fail for reasons of our own (prod).",
        early=2,
    ),
    Case(
        "ExtprocAvailabilityBurnsSlowly",
        DAY,
        failing(DAY // 15, 250),
        failing(DAY // 15, 1200),
        "0.4% of the requests fail for reasons of our own (prod).",
        early=15,
        step=15,
    ),
    Case(
        "ExtprocLatencyBurnsFast",
        HOUR,
        slow(HOUR, 5),
        slow(HOUR, 20),
        "20% of the requests wait longer for us than the objective says (prod).",
        early=2,
    ),
    Case(
        "ExtprocLatencyBurnsSlowly",
        DAY,
        slow(DAY // 15, 20),
        slow(DAY // 15, 120),
        "5% of the requests wait longer for us than the objective says (prod).",
        early=15,
        step=15,
    ),
)

CASES = (*TRAFFIC, *OBJECTIVES)
