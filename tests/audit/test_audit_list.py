"""Which exchanges are found, in which order, and for how much reading; and what is said when not all can be read."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from extproc.audit.names import Part
from extproc.audit.reading.exchanges import Query, find_exchanges
from extproc.audit.reading.holdings import Holdings
from extproc.audit.reading.reader import CLOCK_SLACK_MS, Reader, Span, evidence_of, span_of_exchange
from extproc.audit.settings import DirectoryStore
from extproc.audit.stores.store import Directory, StoredObject
from extproc.core.record import EventCode, Outcome
from tests.audit.chronicle import DAY_MS, Epoch, exchange_of, record_of

HOUR_MS = 3_600_000
START_MS = 1_790_812_800_000  # 2026-10-01
LONG = 16
"""Segments of the epoch that lives for days."""


class Counting(Directory):
    """Notes which objects are fetched."""

    def __init__(self, folder: Path) -> None:
        super().__init__(DirectoryStore(folder / "store"))
        self.got: Counter[str] = Counter()
        self.listed: list[str] = []

    def list(self, prefix: str) -> Iterator[StoredObject]:
        self.listed.append(prefix)
        return super().list(prefix)

    def get(self, key: str, version: str = "") -> bytes:
        self.got[key.rpartition("/")[2].partition(".")[2]] += 1
        return super().get(key, version)


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An epoch of four days with a segment every six hours, and beside it an epoch each day."""
    folder = tmp_path_factory.mktemp("days")
    long = Epoch(folder, START_MS)
    for number in range(LONG):
        long.segment(*exchange_of(number, START_MS + number * 6 * HOUR_MS, person="long"))
    for day in range(4):
        at = START_MS + day * DAY_MS + HOUR_MS
        short = Epoch(folder, at, writer="worker-1")
        short.segment(*exchange_of(100 + day, at, person="short", findings_response={"pan": day}))
    return folder


def numbers(store: Directory, span: Span, query: Query | None = None) -> list[int]:
    reader = Reader(Holdings.look(store, None, "", listing=evidence_of("test", span)), span)
    found = [int(exchange.exchange_id[-16:], 16) for exchange in find_exchanges(reader, query or Query())]
    assert reader.problems == []
    return found


def test_exchanges_of_all_writers_come_in_the_order_of_their_ends(days: Path) -> None:
    expected = [0, 100, 1, 2, 3, 4, 101, 5, 6, 7, 8, 102, 9, 10, 11, 12, 103, 13, 14, 15]
    assert numbers(Counting(days), Span()) == expected


def test_a_span_finds_what_is_in_it_and_reads_little_else(days: Path) -> None:
    store = Counting(days)
    span = Span(START_MS + 2 * DAY_MS, START_MS + 2 * DAY_MS + 7 * HOUR_MS)
    assert numbers(store, span) == [8, 102, 9]
    assert store.got["jsonl"] == 3
    assert store.got["manifest.json"] <= 14  # 16 segments by halves, one for each earlier epoch, those of the span
    last_day = Counting(days)
    assert numbers(last_day, Span(0, START_MS + HOUR_MS // 2)) == [0]
    assert last_day.got["jsonl"] == 1


def test_days_after_the_span_are_not_even_listed(days: Path) -> None:
    store = Counting(days)
    holdings = Holdings.look(store, None, "", listing=evidence_of("test", Span(0, START_MS + DAY_MS - HOUR_MS)))
    assert store.listed == ["v1/evidence/test/"]
    assert {origin.epoch[:8] for origin in holdings.epochs} == {"20261001"}


@pytest.mark.parametrize("beside", [-CLOCK_SLACK_MS + 60_000, CLOCK_SLACK_MS - 60_000], ids=["before", "behind"])
def test_a_clock_that_was_set_a_little_hides_nothing(tmp_path: Path, beside: int) -> None:
    """The segment's own times are minutes outside of the span that its records are in."""
    at = START_MS + HOUR_MS
    epoch = Epoch(tmp_path, at - HOUR_MS // 2)
    epoch.segment(record_of(EventCode.LOG_HEARTBEAT, "", at + beside), *exchange_of(1, at))
    epoch.segment(*exchange_of(2, at + DAY_MS))
    assert numbers(Counting(tmp_path), Span(at, at + 2000)) == [1]


def test_an_exchange_id_says_where_to_look(days: Path) -> None:
    (begin, _) = exchange_of(15, START_MS + 15 * 6 * HOUR_MS)
    span = span_of_exchange(begin.exchange_id)
    assert span.since_ms == begin.time_ms - CLOCK_SLACK_MS
    assert span_of_exchange("x-1") == Span()


def test_memory_holds_the_exchanges_under_way_only(tmp_path: Path) -> None:
    """Each comes out when its end is read, and before the next segment is."""
    epoch = Epoch(tmp_path, START_MS)
    for number in range(5):
        epoch.segment(*exchange_of(number, START_MS + number * 1000))
    store = Counting(tmp_path)
    found = find_exchanges(Reader(Holdings.look(store, None, "")), Query())
    for number in range(5):
        assert int(next(found).exchange_id[-16:], 16) == number
        assert store.got["jsonl"] == number + 1


def test_what_is_under_way_comes_last_and_what_follows_an_end_is_no_other_exchange(tmp_path: Path) -> None:
    begin, end = exchange_of(1, START_MS)
    epoch = Epoch(tmp_path, START_MS)
    open_ = record_of(EventCode.APPROVAL_OPEN, "open", START_MS, effect="hold")
    late = [
        record_of(code, end.exchange_id, START_MS + 9) for code in (EventCode.APPROVAL_DECIDE, EventCode.REQUEST_REFUSE)
    ]
    epoch.segment(open_, begin, end, *late)
    found = list(find_exchanges(Reader(Holdings.look(Counting(tmp_path), None, "")), Query()))
    assert [exchange.exchange_id for exchange in found] == [begin.exchange_id, "open"]
    assert [exchange.outcome for exchange in found] == ["completed", "under_way"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(person="SHO"), [100, 101, 102, 103]),
        (Query(findings=frozenset({"pan"})), [101, 102, 103]),
        (Query(findings=frozenset({"track"})), []),
        (Query(rule="analysts", person="short"), [100, 101, 102, 103]),
        (Query(rule="other"), []),
        (Query(outcomes=frozenset({"cut", "refused"})), []),
        (Query(person="short", effects=frozenset({"allow"}), outcomes=frozenset({"completed"})), [100, 101, 102, 103]),
        (Query(effects=frozenset({"deny", "hold"})), []),
    ],
)
def test_filters(days: Path, query: Query, expected: list[int]) -> None:
    assert numbers(Counting(days), Span(), query) == expected


class TestCommand:
    @pytest.fixture
    def listed(self, run, log, record):
        """By verdict: allowed and completed, cut, recovered; denied; held."""
        journal = log.open()
        for name, effect, code, status in [
            ("x-done", "allow", EventCode.INFERENCE_END, Outcome.COMPLETED),
            ("x-cut", "allow", EventCode.INFERENCE_END, Outcome.CUT),
            ("x-gone", "allow", EventCode.INFERENCE_END, Outcome.ABANDONED),
            ("x-deny", "deny", EventCode.POLICY_DENY, Outcome.REFUSED),
            ("x-held", "hold", EventCode.APPROVAL_WAIT_OVER, Outcome.HELD),
        ]:
            policy = record(code).policy
            policy = type(policy)(digest=policy.digest, effect=effect, rule=f"r-{effect}")
            journal.append_record(record_with(record(code, name, status=status), policy))
        journal.close()

        def rows(*arguments: str) -> list[str]:
            result = run("list", "--json", *arguments)
            assert result.exit_code == 0, result.output
            return [json.loads(line)["exchange_id"][2:] for line in result.stdout.splitlines()]

        return rows

    def test_a_verdict_is_an_effect_or_an_outcome(self, listed) -> None:
        assert listed() == ["done", "cut", "gone", "deny", "held"]
        assert listed("--verdict", "allow") == ["done", "cut", "gone"]
        assert listed("--verdict", "cut", "--verdict", "abandoned") == ["cut", "gone"]
        assert listed("--verdict", "allow", "--verdict", "cut") == ["cut"]
        assert listed("--verdict", "deny", "--verdict", "hold") == ["deny", "held"]
        assert listed("--verdict", "held") == ["held"]
        assert listed("--verdict", "under_way") == []
        assert listed("--rule", "r-hold") == ["held"]

    def test_what_was_found_is_said_of_request_and_answer(self, run, log, record) -> None:
        journal = log.open()
        found = {"findings_request": {"pan": 2}, "findings_response": {"cvv": 1, "pan": 3}}
        journal.append_record(record(EventCode.INFERENCE_END, "x-1", **found))
        journal.close()
        (row,) = map(json.loads, run("list", "--json").stdout.splitlines())
        assert {name: row[name] for name in found} == found
        headings, line = (re.split("  +", text) for text in run("list").stdout.splitlines())
        assert (headings[-2:], line[-2:]) == (["IN REQUEST", "IN ANSWER"], ["pan:2", "cvv:1 pan:3"])

    def test_a_limit_keeps_the_newest(self, listed) -> None:
        assert listed("--limit", "2") == ["deny", "held"]

    def test_spans(self, listed, run) -> None:
        assert len(listed("--from", "1h", "--to", "2100-01-01")) == 5
        assert listed("--since", "2100-01-01", "--until", "9999-12-31") == []
        assert listed("--until", "1h") == []
        assert run("list", "--since", "1h", "--until", "2h").exit_code == 2

    def test_what_cannot_be_read_is_said(self, run, shipped, log) -> None:
        evidence = sorted(log.store_path.rglob("*.jsonl"))
        evidence = [path for path in evidence if "/evidence/" in path.as_posix()]
        lines = evidence[0].read_bytes().splitlines(keepends=True)
        evidence[0].write_bytes(b"".join([*lines[:-1], b"no record\n"]))
        evidence[1].unlink()
        result = run("list")
        assert result.exit_code == 2
        assert "x-1" in result.stdout
        for what in ("is not what its manifest says", "has a line that is no record", "has no evidence"):
            assert what in result.stderr, result.stderr
        assert "extproc audit verify" in result.stderr

    def test_show_says_it_too(self, run, shipped, log) -> None:
        evidence = [path for path in sorted(log.store_path.rglob("*.jsonl")) if "/evidence/" in path.as_posix()]
        evidence[-1].unlink()
        result = run("show", "x-1")
        assert (result.exit_code, "inference.end" in result.stdout) == (2, True)
        assert "has no evidence" in result.stderr

    def test_a_segment_that_has_just_begun_is_nothing_missing(self, run, log, exchange) -> None:
        """Its file is there, and its header is not yet."""
        journal = log.open()
        exchange(journal, "x-1")
        begun = next(log.settings.spool.rglob("0000000001.journal")).with_name("0000000002.journal")
        begun.write_bytes(b"")
        result = run("list")
        begun.unlink()
        journal.close()
        assert (result.exit_code, "x-1" in result.stdout) == (0, True), result.output

    def test_a_missing_segment_is_said(self, run, shipped, log) -> None:
        for part in (Part.MANIFEST, Part.EVIDENCE):
            next(path for path in log.store_path.rglob(f"0000000001{part}") if "/worker-1/" in str(path)).unlink()
        result = run("list")
        assert result.exit_code == 2
        assert "segment 1 of test/worker-1/" in result.stderr


def record_with(record, policy):
    import msgspec

    return msgspec.structs.replace(record, policy=policy)
