"""A collector that is slow or gone costs exchanges nothing: neither time nor memory, and an end within its time."""

import gc
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from extproc.edge.settings_telemetry import Protocol
from extproc.local import ports

from .test_metrics import scrape

EXCHANGES = 6000
ROOM = 256
MAX_GROWTH_MIB = 4
"""Of exchanges whose spans alone would take 8 MiB as bytes, and several times that as objects."""
OFFSETS = (("identity", 0.0, 0.001), ("decision", 0.001, 0.002), ("record", 0.002, 0.003))


@pytest.fixture(params=[Protocol.GRPC, Protocol.HTTP], ids=["silent", "refusing"])
def protocol(request: pytest.FixtureRequest) -> Protocol:
    found: Protocol = request.param
    return found


@pytest.fixture
def dead(protocol: Protocol) -> Iterator[str]:
    """A collector that accepts and never answers, by gRPC, or is not there, by HTTP."""
    if protocol is Protocol.HTTP:
        yield f"http://127.0.0.1:{ports.free_port()}"
        return
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield f"http://127.0.0.1:{silent.getsockname()[1]}"


@pytest.fixture(autouse=True)
def small_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", str(ROOM))
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "64")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")


def rss_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def dropped(port: int) -> dict[str, float]:
    return {
        sample.labels["why"]: sample.value
        for family in text_string_to_metric_families(scrape(port))
        for sample in family.samples
        if sample.name == "extproc_telemetry_dropped_total" and sample.labels["signal"] == "spans"
    }


def test_a_dead_collector_costs_neither_time_nor_memory(
    world: Any, free_port: int, dead: str, protocol: Protocol, seconds_of: Callable[..., float]
) -> None:
    telemetry = world.start(metrics_port=free_port, otlp_endpoint=dead, otlp_protocol=protocol)
    record = world.make_record()

    def run(of: Any, count: int) -> None:
        for _ in range(count):
            world.record_exchange(of, record, offsets=OFFSETS)

    run(telemetry, 2 * ROOM)
    gc.collect()
    before = rss_mib()
    run(telemetry, EXCHANGES)
    gc.collect()
    growth = rss_mib() - before
    fine = world.start(otlp_endpoint=world.collector)
    costs: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(4):
        for alive, of in ((True, fine), (False, telemetry)):
            costs[alive].append(seconds_of(lambda of=of: run(of, 20), time.thread_time))
    fine.stop(5.0)
    ratio = min(costs[False]) / min(costs[True])
    print(f"{growth:.1f} MiB, {ratio:.2f} times the cost with a collector")
    assert growth < MAX_GROWTH_MIB
    assert ratio < 2
    lost = dropped(free_port)
    assert lost["queue"] > EXCHANGES / 2
    began = time.monotonic()
    telemetry.stop(0.5)
    assert time.monotonic() - began < 4.0


def test_what_a_dead_collector_did_not_take_is_counted(
    world: Any, free_port: int, dead: str, protocol: Protocol
) -> None:
    telemetry = world.start(metrics_port=free_port, otlp_endpoint=dead, otlp_protocol=protocol)
    for _ in range(ROOM + 200):
        world.record_exchange(telemetry, world.make_record())
    deadline = time.monotonic() + 10
    while "collector" not in (lost := dropped(free_port)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert lost["collector"] >= 64
    assert lost["queue"] + lost["collector"] <= ROOM + 200


def test_what_waits_is_exported_at_the_end(world: Any) -> None:
    telemetry = world.start(otlp_endpoint=world.collector)
    for _ in range(50):  # less than a batch
        world.record_exchange(telemetry, world.make_record())
    telemetry.stop(5.0)
    assert len(world.sink.spans) == 50
