"""What `make bench` measures of the audit log is the real one, and how its numbers are made. Nothing is timed here."""

import asyncio
from pathlib import Path

import pytest

from bench.durability import PIECES_OF_EXCHANGE, Waits, durability_report, durability_rows, durable, measure_writers
from bench.exchanges import SMALL, STREAMED, Deployment, Shape
from bench.sealing import measure_sealing, sealing_rows
from bench.stored import Puts, Stored, Verified, log_rows, measure_puts, sizes, verify_here, write_log
from extproc.audit.log.shipper import Shipper

LARGE = Shape("a megabyte", prompt_bytes=100, events=2, event_bytes=1024 * 1024)
MIB = 2**20


def stored(seconds: float) -> Stored:
    parts = {"evidence": 40 * MIB, "content": 210 * MIB, "keys": 5 * MIB, "manifest": MIB}
    return Stored("an answer", MIB, parts, Verified(0, seconds, seconds / 2, 8 * MIB))


def test_every_append_is_waited_for(tmp_path: Path) -> None:
    waits = asyncio.run(measure_writers(tmp_path, 3, exchanges=1, records=4))
    assert (len(waits.record_ms), len(waits.piece_ms)) == (6, 3 * PIECES_OF_EXCHANGE)
    assert verify_here(Deployment.create(tmp_path).settings.spool.parent).exit_code == 0


async def test_what_the_disk_did_not_take_is_no_sample() -> None:
    with pytest.raises(OSError, match="could not write"):
        await durable(lambda done: done(False))


def test_a_row_for_each_number_of_writers() -> None:
    waits = [Waits(writers, [float(x) for x in range(100)], [1.0] * 100, 500.0 * writers) for writers in (1, 16)]
    values = {row.measure: row.value for row in durability_rows(waits)}
    assert values["added latency of durability, record, p99, 1 writer"] == 99.0
    assert values["added latency of durability, piece of transcript, p50, 16 writers"] == 1.0
    assert values["durable records a second, 16 writers"] == 8_000.0
    assert durability_report(waits)[1]["record_ms"] == {
        "count": 100,
        "p50": 50.0,
        "p90": 90.0,
        "p99": 99.0,
        "max": 99.0,
    }


def test_a_log_of_the_asked_size_is_proven(tmp_path: Path) -> None:
    deployment = Deployment.create(tmp_path)
    exchanges = asyncio.run(write_log(deployment, LARGE, 5 * MIB, together=2))
    parts = sizes(deployment)
    assert exchanges >= 4
    assert set(parts) == {"evidence", "content", "keys", "manifest", "registry"}
    assert sum(parts.values()) >= 5 * MIB
    assert verify_here(tmp_path).exit_code == 0


@pytest.mark.parametrize(("seconds", "a_gibibyte", "met"), [(10.0, 40.0, True), (16.0, 64.0, False)])
def test_a_gibibyte_is_judged_by_what_was_verified(seconds: float, a_gibibyte: float, met: bool) -> None:
    rows = {row.measure: row for row in log_rows(stored(seconds), [])}
    row = rows["verify 1 GiB, by the time of 256 MiB"]
    assert (row.value, row.met) == (a_gibibyte, met)
    assert rows["verify 1 GiB, CPU, by that of 256 MiB"].value == a_gibibyte / 2
    assert rows["stored per exchange of an answer, content"].value == 210.0
    assert rows["memory that verify takes, 256 MiB"].value == 8.0


@pytest.mark.parametrize(("puts", "met"), [(30, True), (31, False)])
def test_puts_are_judged_per_thousand_exchanges(puts: int, met: bool) -> None:
    (row,) = [row for row in log_rows(stored(1.0), [Puts("small", 6_000, puts)]) if row.measure.startswith("PUTs")]
    assert row.met is met


def test_the_streamed_exchanges_of_a_segments_time_are_one_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """895 of the 900 that come in 45 s: 1 000 are 4.5 PUTs, as for small ones. Here the registry's entry is the fifth."""
    monkeypatch.setattr("os.fdatasync", lambda fd: None)
    assert measure_puts(tmp_path, STREAMED, 895, per_second=20).puts == 5


def test_adopting_a_dead_writers_segment_is_measured(tmp_path: Path) -> None:
    sealed = measure_sealing(tmp_path, LARGE, 5 * MIB, together=1)
    assert 5 * MIB <= sealed.journal_bytes < 9 * MIB
    (row, *_) = sealing_rows(sealed)
    assert (row.measure, row.budget) == ("memory that adopting and sealing takes, 6 MiB", 16.0)
    settings = Deployment.create(tmp_path).settings
    assert len(list(settings.spool.rglob("*.manifest.json"))) == 1
    assert Shipper(settings).ship_pending().shipped == 1
    assert verify_here(tmp_path).exit_code == 0


def test_puts_are_counted_on_a_log_whose_segments_age_by_a_clock_that_is_set(tmp_path: Path) -> None:
    """A hundred seconds: two segments of 45 s and a last one, four objects each, and the registry's entry."""
    assert Deployment.create(tmp_path).settings.segment_seconds == 45.0
    assert measure_puts(tmp_path, SMALL, 100, per_second=1).puts == 13
    assert len([path for path in (tmp_path / "store").rglob("*") if path.is_file()]) == 13
    assert Shipper(Deployment.create(tmp_path).settings).ship_pending().shipped == 0
