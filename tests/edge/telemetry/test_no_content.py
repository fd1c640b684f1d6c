"""Whatever stands in a summary: nothing that was not a name or a number of ours is exported, by any signal.

The words planted are not names: none has a shape that a rule, a model or a kind could have. What has one is bounded and
shown by test_spans.py and test_metrics.py.
"""

import logging
import random
from collections.abc import Callable
from typing import Any

import httpx

from extproc.core.decision_record import DecisionRef, RequestFacts, ShadowRef
from extproc.core.record import (
    Actor,
    ApprovalRef,
    EventCode,
    Measures,
    Outcome,
    PolicyRef,
    Record,
    Resource,
    Summary,
)

WORDS = (
    "quokka said 4111 1111 1111 1111",
    "4111-1111-1111-1111",
    "5500005555555559",
    "%B4111111111111111^QUOKKA/JANE^3012?",
    "quokka\nquokka",
    "quokka: “cvv 737”",
    "x" * 200 + "quokka quokka",
    "Bearer quokka.4111111111111111.quokka ",
)
PLANTED = (b"quokka", b"QUOKKA", b"4111", b"5500005555555559")
EFFECTS = ("allow", "hold", *WORDS)
NUMBER = "said 4111 1111 1111 1111"
EXCHANGES = 300


class Made:
    """Summaries whose every text is one of the words."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def word(self) -> str:
        return self._random.choice(WORDS)

    def some(self) -> tuple[str, ...]:
        return tuple(self.word() for _ in range(self._random.randrange(3)))

    def counts(self) -> dict[str, int]:
        return {word: self._random.randrange(9) for word in self.some()}

    def maybe(self, make: Callable[[], Any]) -> Any:
        return make() if self._random.random() < 0.7 else None

    def summary(self) -> Summary:
        phases = (("record", 1.0, 2.0), ("model", 2.0, 3.0), ("response", 3.0, 4.0), (self.word(), 0.0, 1.0))
        return Summary(record=self.record(), phases=phases, stream=True, opened_by=self.word())

    def record(self) -> Record:
        word, some = self.word, self.some
        return Record(
            event_code=self._random.choice(list(EventCode)),
            time_ms=1,
            actor=Actor(uid=word(), name=word(), kind=word(), tenant=word(), groups=some()),
            status=self._random.choice(list(Outcome)),
            src_address=word(),
            resource=Resource(connection=word(), operation=word(), protocol=word(), model=word()),
            exchange_id=word(),
            status_detail=word(),
            http_status=self._random.choice((0, 200, 403, 503)),
            policy=self.maybe(lambda: PolicyRef(digest=word(), effect=self._random.choice(EFFECTS), rule=word())),
            decision=self.maybe(self.decision),
            approval=self.maybe(lambda: ApprovalRef(id=word(), state=word(), decided_by=word(), reason=word())),
            findings_request=self.counts(),
            findings_response=self.counts(),
            stripped=some(),
            finish_reasons=some(),
            measures=self.maybe(lambda: Measures(input_tokens=3, output_tokens=4, hold_ms=1.0, first_byte_ms=1.0)),
            trace_id=word(),
            request_digest=word(),
            detail={word(): word()},
        )

    def decision(self) -> DecisionRef:
        shadow = tuple(ShadowRef(rule=word, effect=word, would_change=True) for word in self.some())
        return DecisionRef(time_ms=1, facts=RequestFacts(choices=1), shadow=shadow, logging=self.some())


def test_nothing_planted_is_exported(world: Any, free_port: int) -> None:
    telemetry = world.start(otlp_endpoint=world.collector, metrics_port=free_port)
    log = logging.getLogger("extproc.tests.content")

    for seed in range(EXCHANGES):
        made = Made(seed)
        word = made.word()
        telemetry.record_exchange(made.summary(), traceparent=word, started_unix=1.7e9, started_monotonic=1.0)
        log.error("an exchange", extra={"fact": {"said": word}, "body": word.encode(), "text": NUMBER})
    scraped = httpx.get(f"http://127.0.0.1:{free_port}/metrics", trust_env=False).content
    telemetry.stop(5.0)
    assert len(world.sink.spans) > 100
    assert len(world.sink.logs) > 100
    assert len(world.sink.metrics) > 5
    exported = b"\n".join((*world.sink.raw, scraped))
    for word in PLANTED:
        assert word not in exported
