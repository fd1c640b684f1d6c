"""Every metric that a process of ours offers: its name, unit and labels, and what it means. TELEMETRY.md shows it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

WORKER, SUPERVISOR, CONSOLE = "worker", "supervisor", "console"
_SUFFIXES = {"s": "_seconds", "By": "_bytes"}


class Kind(StrEnum):
    """Counters and histograms only grow while their process lives."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of the table. Its OpenTelemetry name, and by `scraped` what Prometheus calls it."""

    name: str
    kind: Kind
    unit: str
    """UCUM: `s`, `By`, `1`, or what is counted in braces."""
    labels: tuple[str, ...]
    description: str
    of: tuple[str, ...] = (WORKER,)

    @property
    def scraped(self) -> str:
        """In the text format, without `_bucket`, `_sum` and `_count`."""
        name = self.name.replace(".", "_") + _SUFFIXES.get(self.unit, "")
        return f"{name}_total" if self.kind is Kind.COUNTER else name


def _counter(name: str, unit: str, labels: str, description: str, *of: str) -> Metric:
    return Metric(name, Kind.COUNTER, unit, tuple(labels.split()), description, of or (WORKER,))


def _gauge(name: str, unit: str, labels: str, description: str, *of: str) -> Metric:
    return Metric(name, Kind.GAUGE, unit, tuple(labels.split()), description, of or (WORKER,))


def _histogram(name: str, unit: str, labels: str, description: str) -> Metric:
    return Metric(name, Kind.HISTOGRAM, unit, tuple(labels.split()), description)


EXCHANGES: Final = _counter(
    "extproc.exchanges",
    "{exchange}",
    "connection operation outcome status",
    "Finished exchanges. `status` is the class of the HTTP status (`2xx`), `none` where nothing was answered.",
)
DURATION: Final = _histogram(
    "extproc.exchange.duration", "s", "operation effect outcome", "The whole exchange, holds included."
)
ADDED: Final = _histogram(
    "extproc.added.duration",
    "s",
    "operation",
    "What an exchange that reached its model server waited for us before it went on, without the hold.",
)
DECISION: Final = _histogram(
    "extproc.decision.duration", "s", "operation", "Parsing, masking and judging a request, budgets not included."
)
PHASE: Final = _histogram(
    "extproc.phase.duration",
    "s",
    "phase",
    "`identity`, `parse`, `mask`, `decide`, `budgets`, `hold`, `record`; `model` until its response's headers.",
)
FIRST_CHUNK: Final = _histogram(
    "extproc.time_to_first_chunk", "s", "operation", "From the request's arrival to the first byte released."
)
HOLD: Final = _histogram("extproc.hold.wait", "s", "state", "Time on an open connection for an approval.")
HELD: Final = _histogram(
    "extproc.masking.held", "s", "operation", "The longest time that masking kept characters of an answer back."
)
AUDIT_WAIT: Final = _histogram(
    "extproc.audit.wait", "s", "operation", "The longest time that anything of an exchange waited to be durable."
)
TOKENS: Final = _counter("extproc.tokens", "{token}", "type model", "Tokens as the model server reported them.")
FINDINGS: Final = _counter("extproc.findings", "{finding}", "kind direction", "What the detectors found.")
DECISIONS: Final = _counter("extproc.decisions", "{decision}", "rule effect", "Decisions by determining rule.")
BUDGET_LOGGED: Final = _counter(
    "extproc.budget.logged", "{exchange}", "rule", "Exchanges that met a step `log` of a budget."
)
REFUSALS: Final = _counter("extproc.refusals", "{exchange}", "reason", "Exchanges that ended early, by reason.")
MODEL_DURATION: Final = _histogram(
    "gen_ai.server.request.duration",
    "s",
    "gen_ai.operation.name gen_ai.provider.name gen_ai.request.model error.type",
    "From the request's going on to the model server to the last byte of its answer.",
)
MODEL_FIRST_TOKEN: Final = _histogram(
    "gen_ai.server.time_to_first_token",
    "s",
    "gen_ai.operation.name gen_ai.provider.name gen_ai.request.model",
    "From the request's going on to the first byte released, of streamed answers.",
)
MODEL_PER_TOKEN: Final = _histogram(
    "gen_ai.server.time_per_output_token",
    "s",
    "gen_ai.operation.name gen_ai.provider.name gen_ai.request.model",
    "From the first byte released to the last, by output token after the first, of streamed answers.",
)
TOKEN_USAGE: Final = _histogram(
    "gen_ai.client.token.usage",
    "{token}",
    "gen_ai.operation.name gen_ai.provider.name gen_ai.request.model gen_ai.token.type",
    "Tokens of one exchange, as the model server reported them.",
)
CONTROL_FAILURES: Final = _counter(
    "extproc.control.failures",
    "{failure}",
    "control",
    "Controls (PCI DSS 10.7) that began to fail.",
    WORKER,
    SUPERVISOR,
    CONSOLE,
)
CONTROL_FAILING: Final = _gauge(
    "extproc.control.failing", "1", "control", "1 while a control fails.", WORKER, SUPERVISOR, CONSOLE
)
POLICY_INFO: Final = _gauge("extproc.policy.info", "1", "digest", "1 for the policy in force.")
POLICY_AGE: Final = _gauge("extproc.policy.age", "s", "", "Since the policy was loaded.")
LIVE: Final = _gauge("extproc.exchanges.live", "{exchange}", "", "Exchanges under way.")
HOLDS_WAITING: Final = _gauge(
    "extproc.holds.waiting", "{exchange}", "", "Exchanges that wait for an approval on an open connection."
)
HOLDS_OLDEST: Final = _gauge(
    "extproc.holds.oldest", "s", "", "How long the exchange has waited that waits longest on an open connection."
)
AUDIT_LAG: Final = _gauge(
    "extproc.audit.lag",
    "s",
    "",
    "Age of the oldest record that is durable here and not yet in the audit store.",
    WORKER,
    SUPERVISOR,
)
AUDIT_LAG_LIMIT: Final = _gauge(
    "extproc.audit.lag.limit", "s", "", "`audit.max_lag`: beyond it new requests are refused.", WORKER, SUPERVISOR
)
AUDIT_PAUSED: Final = _gauge(
    "extproc.audit.paused",
    "1",
    "cause",
    "1 while new exchanges are refused for this: `spool_full`, `disk_full`, `store_lags`, `store_diverges`, `clock`.",
)
AUDIT_ACCEPTING: Final = _gauge(
    "extproc.audit.accepting", "1", "", "1 while new exchanges can be recorded; 0: they are refused."
)
SPOOL_USED: Final = _gauge("extproc.audit.log.spool.used", "By", "", "Bytes in the audit spool.")
SPOOL_LIMIT: Final = _gauge(
    "extproc.audit.log.spool.limit", "By", "", "Bytes in the audit spool at which new requests are refused."
)
KEY_AGE: Final = _gauge(
    "extproc.identity.keys.age", "s", "", "Age of the oldest set of identity provider's keys in use."
)
KEY_EXPIRES: Final = _gauge(
    "extproc.key.expires", "s", "purpose", "To the end of the cryptoperiod of the key in use that ends first."
)
BUDGET_CHARGES_LOST: Final = _gauge(
    "extproc.budget.charges.lost",
    "{charge}",
    "",
    "What answers cost budgets and the approval store never took.",
)
DROPPED: Final = _counter(
    "extproc.telemetry.dropped",
    "{item}",
    "signal why",
    "`spans` and `logs` that were not exported; `queue`: it was full, `collector`: it did not take them.",
    WORKER,
    SUPERVISOR,
    CONSOLE,
)
WORKERS: Final = _gauge("extproc.workers", "{process}", "state", "Workers `wanted` and `live`.", SUPERVISOR)
RESTARTS: Final = _counter(
    "extproc.worker.deaths", "{process}", "worker", "Workers that ended unasked, and are started again.", SUPERVISOR
)
ADOPTIONS: Final = _counter(
    "extproc.audit.adoptions", "{journal}", "", "Journals of dead writers that were finished.", SUPERVISOR
)
ADOPTION_FAILURES: Final = _counter(
    "extproc.audit.adoption.failures", "{pass}", "", "Passes in which a journal could not be adopted.", SUPERVISOR
)
SHIPPED: Final = _counter("extproc.audit.shipped", "{segment}", "", "Segments that the audit store took.", SUPERVISOR)
SHIPPING_FAILURES: Final = _counter(
    "extproc.audit.shipping.failures", "{pass}", "cause", "Passes that left something in the spool.", SUPERVISOR
)
SHIPPING_SUCCESS: Final = _gauge(
    "extproc.audit.shipping.last_success", "s", "", "Unix time of the last pass that left nothing behind.", SUPERVISOR
)
CONSOLE_EVENTS: Final = _counter(
    "extproc.console.events", "{event}", "event refused", "Records of the console.", CONSOLE
)
NOTIFICATIONS: Final = _counter(
    "extproc.notifications",
    "{notification}",
    "channel outcome",
    "Attempts to tell people: `sent`, `failed` (and tried again), `dead`.",
    CONSOLE,
)
UNTOLD: Final = _gauge(
    "extproc.notifications.untold",
    "{notification}",
    "state",
    "What all consoles together have not told: `waiting`, `dead`.",
    CONSOLE,
)

TABLE: Final = tuple(value for value in list(vars().values()) if isinstance(value, Metric))
