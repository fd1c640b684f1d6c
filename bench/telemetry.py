"""What telemetry costs, two ways.

By itself: exchanges recorded, spans encoded and sent to a collector, metrics scraped, all of it CPU of one process.
A busy machine shows little in it, so the budgets are of this. And of a whole service with it and one without, in turns:
what else it may cost, as far as the machine is quiet enough to see microseconds in a millisecond.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.request import urlopen

import uvloop

from bench.exchanges import make_record
from bench.extproc_variant import start_extproc
from bench.load import Gate, chat, exchange_all, stream_all
from bench.measure import middle
from bench.row import Row, plain
from bench.variants import Variant, start_child
from extproc.core.record import EventCode, Summary
from extproc.core.timing import Waits
from extproc.edge.settings_telemetry import TelemetrySettings
from extproc.edge.telemetry import Telemetry
from extproc.local.ports import free_port

EXCHANGE_US = 60.0
EVENT_US = 5.0
ROUNDS = 9
_RECORDED = 2000
_EXCHANGES = 400
_STREAMS = 16
_EVENTS = 100
_INTERVAL_US = 20_000
_PHASES = ("identity", "parse", "mask", "decide", "decision", "budgets", "record", "model", "response")
_STARTED = 1000.0
_TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def telemetry_rows(say: Callable[[str], None]) -> list[Row]:
    """Four lines of the table: the middle of the rounds, each of which measures both sides."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="extproc-bench-")))
        _, port = start_child(stack, "bench.collector", log=folder / "collector.log")
        # Batches leave within a round, not five seconds later in another one.
        with _environment("OTEL_BSP_SCHEDULE_DELAY", "200"):
            endpoint = f"http://127.0.0.1:{port}"
            recorded = _recorded_us(endpoint)
            exchanges, events = _service(stack, endpoint, folder)
    say(f"telemetry, exchanges by round: {[round(each) for each in exchanges]}")
    return [
        plain("telemetry, CPU per exchange", "us", middle(recorded), EXCHANGE_US),
        plain("telemetry, CPU per streamed event", "us", _noted_us(), EVENT_US),
        plain("service with telemetry minus without, CPU per exchange", "us", middle(exchanges)),
        plain("service with telemetry minus without, CPU per event", "us", middle(events)),
    ]


# -- by itself ---------------------------------------------------------------------------------------------------------


def _recorded_us(endpoint: str) -> list[float]:
    """CPU of this process for an exchange, by round: everything on, against nothing recorded."""
    port = free_port()
    settings = TelemetrySettings(otlp_endpoint=endpoint, metrics_port=port)
    telemetry = Telemetry.start(settings, worker=0, deployment="bench")
    summaries = [_summary(number) for number in range(_RECORDED)]
    costs = []
    try:
        for _ in range(ROUNDS):
            begun = time.process_time()
            for number, summary in enumerate(summaries):
                telemetry.record_exchange(
                    summary, traceparent=_TRACEPARENT, started_unix=1.7e9, started_monotonic=_STARTED
                )
                if number % 500 == 499:  # as they come: a queue that is full would cost nothing
                    time.sleep(0.25)
            urlopen(f"http://127.0.0.1:{port}/metrics").read()
            costs.append((time.process_time() - begun) / _RECORDED * 1e6)
    finally:
        telemetry.stop(5.0)
    return costs


def _summary(number: int) -> Summary:
    """A streamed exchange in which something was found: most of what there is to say."""
    record = make_record(EventCode.INFERENCE_END, f"{number:012x}-{number:016x}")
    phases = tuple((name, _STARTED + at / 1000, _STARTED + (at + 1) / 1000) for at, name in enumerate(_PHASES))
    return Summary(record=record, phases=phases, stream=True, held_seconds=0.01, stored_seconds=0.002)


def _noted_us() -> float:
    """What the core notes of one event of an answer."""
    waits, count = Waits(), 100_000
    begun = time.process_time()
    for ticket in range(count):
        at = float(ticket)
        waits.holds(ticket & 1, at)
        waits.queued(ticket, at)
        waits.stored(ticket, at)
    return (time.process_time() - begun) / count * 1e6


# -- of a whole service ------------------------------------------------------------------------------------------------


def _service(stack: ExitStack, endpoint: str, folder: Path) -> tuple[list[float], list[float]]:
    _, port = start_child(stack, "bench.upstream", log=folder / "upstream.log")
    metrics_port = free_port()
    told = {"otlp_endpoint": endpoint, "metrics_port": metrics_port}
    on, off = start_extproc(stack, int(port), folder / "on", told), start_extproc(stack, int(port), folder / "off")
    if on is None or off is None:
        return [], []
    url = f"http://127.0.0.1:{metrics_port}/metrics"
    return uvloop.run(_compare(off, on, lambda: urlopen(url).read()))


async def _compare(off: Variant, on: Variant, scrape: Callable[[], object]) -> tuple[list[float], list[float]]:
    """What an exchange, and an event, cost more with telemetry, in microseconds; one number a round."""
    exchanges, events = [], []
    for variant in (off, on):
        await exchange_all(variant.target, clients=8, count=200, body=chat(events=20, stream=False))
    for number in range(ROUNDS):
        order = (off, on) if number % 2 else (on, off)
        exchange = {each.target.port: await _exchange_us(each, scrape if each is on else _nothing) for each in order}
        event = {each.target.port: await _event_us(each) for each in order}
        exchanges.append(exchange[on.target.port] - exchange[off.target.port])
        events.append(event[on.target.port] - event[off.target.port])
    return exchanges, events


def _nothing() -> None:
    """Nobody scrapes what has no port."""


async def _exchange_us(variant: Variant, scrape: Callable[[], object]) -> float:
    if variant.service is None:
        return 0.0
    before = variant.service.cpu_seconds()
    done = await exchange_all(variant.target, clients=8, count=_EXCHANGES, body=chat(events=20, stream=False))
    await asyncio.to_thread(scrape)
    return (variant.service.cpu_seconds() - before) / len(done) * 1e6


async def _event_us(variant: Variant) -> float:
    if variant.service is None:
        return 0.0
    gate = Gate(_STREAMS, variant.service.cpu_seconds)
    await stream_all(variant.target, streams=_STREAMS, events=_EVENTS, interval_us=_INTERVAL_US, gate=gate)
    return gate.cpu_seconds / gate.events * 1e6


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
