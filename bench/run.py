"""`python -m bench.run`: every variant in turn, several rounds, medians; a table, and `bench/out/bench.json`."""

import asyncio
import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table

from bench.durability import durability_report, durability_rows, measure_durability
from bench.extproc_variant import start_extproc
from bench.held import held_rows
from bench.load import Gate, chat, exchange_all, stream_all
from bench.measure import machine_facts, middle, percentile
from bench.policy import policy_rows
from bench.replay import replay_rows
from bench.row import Row
from bench.sealing import measure_full_segment, sealing_rows
from bench.sessions import session_rows
from bench.stored import log_rows, measure_log
from bench.telemetry import telemetry_rows
from bench.variants import EXTPROC, FLOOR, PLAIN, Variant, start_child, start_floor, start_plain

ROUNDS = 5
STREAMS = 16
INTERVAL_US = 20_000
"""Fifty tokens a second, as a mid-sized model on one accelerator writes them."""
EVENTS = 100
FIRST_TOKEN_EVENTS = 40
FIRST_TOKEN_REPEATS = 3
JSON_EXCHANGES = 400
MANY_STREAMS = 256
LARGE_BODY_BYTES = 1024 * 1024
LARGE_BODIES = 8
OUT = Path(__file__).parent / "out" / "bench.json"


@dataclass
class Samples:
    """What was measured of one variant, over all rounds."""

    event_us: list[float]
    exchange_us: list[float]
    first_ms: list[float]
    delay_ms: list[float]
    lateness_ms: list[float]
    large_ms: list[float]
    idle_mib: float = 0.0
    busy_mib: float = 0.0


async def measure_events(variant: Variant, samples: Samples) -> None:
    """CPU per event while nothing but events happens, and how late events are."""
    sample = variant.service.cpu_seconds if variant.service else (lambda: 0.0)
    gate = Gate(STREAMS, sample)
    streams = await stream_all(variant.target, streams=STREAMS, events=EVENTS, interval_us=INTERVAL_US, gate=gate)
    samples.event_us.append(gate.cpu_seconds / gate.events * 1e6)
    for times in streams:
        samples.delay_ms += times.delays_ms()[1:]
        samples.lateness_ms += times.lateness_ms()


async def measure_first_token(variant: Variant, samples: Samples) -> None:
    """New streams among fifteen that flow: they begin one after the other, not in step."""
    streams = await stream_all(
        variant.target,
        streams=STREAMS,
        events=FIRST_TOKEN_EVENTS,
        interval_us=INTERVAL_US,
        repeats=FIRST_TOKEN_REPEATS,
        spread_seconds=FIRST_TOKEN_EVENTS * INTERVAL_US / 1e6,
    )
    samples.first_ms += [times.first * 1000 for times in streams]


async def measure_exchanges(variant: Variant, samples: Samples) -> None:
    """CPU per small JSON exchange."""
    body = chat(events=20, stream=False)
    before = variant.service.cpu_seconds() if variant.service else 0.0
    done = await exchange_all(variant.target, clients=8, count=JSON_EXCHANGES, body=body)
    after = variant.service.cpu_seconds() if variant.service else 0.0
    samples.exchange_us.append((after - before) / len(done) * 1e6)


async def measure_large_body(variant: Variant, samples: Samples) -> None:
    prose = "The harbour office keeps old tables, and each morning someone copies heights onto a slate. "
    body = chat(events=4, stream=False, text=prose * (LARGE_BODY_BYTES // len(prose)))
    done = await exchange_all(variant.target, clients=1, count=LARGE_BODIES, body=body)
    samples.large_ms += [seconds * 1000 for seconds in done]


async def measure_memory(variant: Variant, samples: Samples) -> None:
    """Resident memory after everything else, idle, and while many streams live."""
    if variant.service is None:
        return
    samples.idle_mib = variant.service.rss_mib()
    crowd = asyncio.ensure_future(
        stream_all(variant.target, streams=MANY_STREAMS, events=8, interval_us=500_000, repeats=1)
    )
    peak = 0.0
    while not crowd.done():
        peak = max(peak, variant.service.rss_mib())
        await asyncio.sleep(0.2)
    await crowd
    samples.busy_mib = peak


async def measure(variants: list[Variant], say: Callable[[str], None]) -> dict[str, Samples]:
    """All variants in turn, round by round, so that whatever else the machine does meets them alike."""
    all_samples = {variant.name: Samples([], [], [], [], [], []) for variant in variants}
    for variant in variants:  # warm
        await exchange_all(variant.target, clients=8, count=80, body=chat(events=20, stream=False))
    for number in range(ROUNDS):
        say(f"round {number + 1} of {ROUNDS}")
        for work in (measure_events, measure_first_token, measure_exchanges, measure_large_body):
            for variant in variants:
                await work(variant, all_samples[variant.name])
    say(f"{MANY_STREAMS} streams")
    for variant in variants:
        await measure_memory(variant, all_samples[variant.name])
    return all_samples


def compare(samples: dict[str, Samples]) -> list[Row]:
    """The table of DESIGN section 7, as far as one worker on this machine can fill it."""
    plain, floor, extproc = samples[PLAIN], samples[FLOOR], samples.get(EXTPROC)

    def cpu(measure: str, of: Callable[[Samples], float], budget: float) -> Row:
        low, high = of(floor), of(extproc) if extproc else None
        return Row(measure, "us", low, high, high / low if high is not None else None, budget, "ratio")

    def added(measure: str, of: Callable[[Samples], float], budget: float | None) -> Row:
        base = of(plain)
        high = of(extproc) - base if extproc else None
        return Row(measure, "ms", of(floor) - base, high, None, budget, "value")

    def memory(measure: str, of: Callable[[Samples], float], budget: float) -> Row:
        return Row(measure, "MiB", of(floor), of(extproc) if extproc else None, None, budget, "value")

    return [
        cpu("CPU per streamed event", lambda s: middle(s.event_us), 1.5),
        cpu("CPU per small JSON exchange", lambda s: middle(s.exchange_us), 2.0),
        added(f"added time to first token, p50, {STREAMS} streams", lambda s: percentile(s.first_ms, 0.5), 5.0),
        added(f"added time to first token, p99, {STREAMS} streams", lambda s: percentile(s.first_ms, 0.99), 15.0),
        added("added time between tokens, p50", lambda s: percentile(s.lateness_ms, 0.5), 2.0),
        added("added time between tokens, p99", lambda s: percentile(s.lateness_ms, 0.99), 10.0),
        added("added delay of a token, p50", lambda s: percentile(s.delay_ms, 0.5), None),
        added("added delay of a token, p99", lambda s: percentile(s.delay_ms, 0.99), None),
        added("added time, 1 MiB request body", lambda s: percentile(s.large_ms, 0.5), 25.0),
        memory("memory, idle", lambda s: s.idle_mib, 110.0),
        memory(f"memory, {MANY_STREAMS} live streams", lambda s: s.busy_mib, 180.0),
    ]


def render(rows: list[Row], facts: dict[str, Any]) -> Table:
    table = Table(
        title="extproc against the no-op floor, medians over interleaved rounds",
        caption=f"{facts['cores']} cores, load {facts['load_before']:.1f} before; another load shows in every p99",
    )
    for heading in ("measure", "unit", "floor", "extproc", "ratio", "budget", "off by"):
        table.add_column(heading, justify="left" if heading == "measure" else "right")
    for row in rows:
        budget = "" if row.budget is None else f"{row.budget:g}{' x' if row.budget_of == 'ratio' else ''}"
        table.add_row(
            row.measure, row.unit, *(_number(x) for x in (row.floor, row.value, row.ratio)), budget, row.off_by
        )
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}"


def write_report(rows: list[Row], samples: dict[str, Samples], audit: dict[str, Any], facts: dict[str, Any]) -> None:
    OUT.parent.mkdir(exist_ok=True)
    summary = {
        name: {
            "event_us": each.event_us,
            "exchange_us": each.exchange_us,
            "first_ms": _spread(each.first_ms),
            "delay_ms": _spread(each.delay_ms),
            "lateness_ms": _spread(each.lateness_ms),
            "large_ms": _spread(each.large_ms),
            "idle_mib": each.idle_mib,
            "busy_mib": each.busy_mib,
        }
        for name, each in samples.items()
    }
    table = [{**asdict(row), "met": row.met, "off_by": row.off_by} for row in rows]
    OUT.write_text(
        json.dumps({"machine": facts, "rounds": ROUNDS, "table": table, "variants": summary, "audit": audit}, indent=2)
        + "\n"
    )


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "count": len(values),
        "p50": percentile(values, 0.5),
        "p90": percentile(values, 0.9),
        "p99": percentile(values, 0.99),
        "max": max(values),
    }


def measure_audit(say: Callable[[str], None]) -> tuple[list[Row], dict[str, Any]]:
    """The audit log alone, on the disk that holds temporary files: rows for the table, and the whole for the JSON."""
    with tempfile.TemporaryDirectory(prefix="extproc-bench-") as folder:
        waits = uvloop.run(measure_durability(Path(folder, "durability"), say))
        stored, puts = measure_log(Path(folder), say)
        say("adopting and sealing a full segment")
        sealed = measure_full_segment(Path(folder, "sealing"))
    report = {
        "durability": durability_report(waits),
        "stored": asdict(stored),
        "puts": [{**asdict(of), "per_thousand": of.per_thousand} for of in puts],
        "sealed": asdict(sealed),
    }
    return [*durability_rows(waits), *log_rows(stored, puts), *sealing_rows(sealed)], report


def main() -> int:
    """0 when every budget is met, 1 when one is not, 2 when none could be judged."""
    console = Console()
    facts = machine_facts()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="extproc-bench-")))
        _, port = start_child(stack, "bench.upstream", log=folder / "upstream.log")
        variants = [start(stack, int(port), folder) for start in (start_plain, start_floor, start_extproc)]
        samples = uvloop.run(measure([each for each in variants if each is not None], console.log))
    audit_rows, audit = measure_audit(console.log)
    console.log("a million sessions")
    sessions = session_rows()
    console.log("a large policy")
    rows = [*compare(samples), *policy_rows(), *replay_rows(), *audit_rows, *sessions]
    console.log("many held requests")
    rows += held_rows()
    console.log("with telemetry and without")
    rows += telemetry_rows(console.log)
    console.print(render(rows, facts))
    write_report(rows, samples, audit, facts)
    console.print(f"written: {OUT}")
    return verdict(rows)


def verdict(rows: list[Row]) -> int:
    """The exit code."""
    judged = [row.met for row in rows if row.met is not None]
    return 2 if not judged else 0 if all(judged) else 1


if __name__ == "__main__":
    sys.exit(main())
