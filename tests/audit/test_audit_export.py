"""`extproc audit export`: the records of a span, whole or not at all, as OCSF events and as rows."""

import json
import os
import sys
import time
import tomllib
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from extproc.audit.names import Origin
from extproc.audit.reading.exchanges import show_exchange
from extproc.audit.reading.export import new_directory
from extproc.audit.reading.export_ocsf import ocsf_event
from extproc.audit.reading.export_parquet import COLUMNS
from extproc.audit.reading.holdings import Holdings
from extproc.audit.reading.reader import Evidence, find_records
from extproc.audit.records.line import encode_record, line_head, parse_record
from extproc.audit.settings import DirectoryStore
from extproc.audit.stores.store import Directory
from extproc.cli.audit_export import PYARROW
from extproc.cli.main import main
from extproc.core.record import ApprovalRef, EventCode, Measures, Outcome
from tests.audit.chronicle import DAY_MS, Epoch, exchange_of, lines_of, record_of, store_of
from tests.audit.ocsf_check import violations

START_MS = 1_790_812_800_000  # 2026-10-01
ROOT = Path(__file__).parents[2]
QUERIES = ROOT / "extproc" / "audit" / "QUERIES.md"
GOLDEN = Path(__file__).parent / "golden" / "v1" / "store"
ORIGIN = Origin.parse("test/worker-0/20261001T000000Z-00000000000000aa")


def evidence_of_record(record) -> Evidence:
    line = line_head(str(ORIGIN), 7, "0" * 64, "", 0) + encode_record(record)[1:]
    return Evidence(ORIGIN, 7, 1, parse_record(line), line)


class TestOcsf:
    @pytest.mark.parametrize("code", EventCode)
    def test_every_event_with_every_outcome_is_a_valid_one(self, code: EventCode) -> None:
        for status in Outcome:
            full = record_of(
                code,
                "x-1",
                START_MS,
                status=status,
                http_status=403,
                status_detail="policy_denied",
                approval=ApprovalRef(id="apr-1", state="granted"),
                findings_request={"pan": 1},
                measures=Measures(input_tokens=3, duration_ms=1.5),
                trace_id="ab" * 16,
            )
            event = ocsf_event(evidence_of_record(full))
            assert violations(event) == [], event
            assert event["unmapped"]["outcome"] == status
            assert event["unmapped"]["chain"]["seq"] == 7
            assert event["metadata"]["uid"] == f"{ORIGIN}#7"

    def test_the_check_sees_what_is_wrong(self) -> None:
        event = ocsf_event(evidence_of_record(record_of(EventCode.INFERENCE_END, "x-1", START_MS)))
        assert violations({**event, "chain": {}}) == ["chain is not of the class"]
        assert violations({**event, "disposition_id": 77}) == ["disposition_id is 77"]
        assert violations({name: value for name, value in event.items() if name != "api"}) == ["api is missing"]
        assert violations({**event, "status": "completed"}) == ["time or status"]

    def test_records_from_before_the_names_of_ocsf_are_events_too(self) -> None:
        items = list(find_records(Holdings.look(Directory(DirectoryStore(GOLDEN)), None, "")))
        for item in items:
            event = ocsf_event(item)
            assert violations({**event, "src_endpoint": {"ip": "192.0.2.7"}}) == []
            assert event["unmapped"]["chain"]["seq"] == item.seq
            assert event["metadata"]["event_code"] == item.record.event_code


@pytest.fixture
def two_days(tmp_path: Path) -> Path:
    """Two epochs around midnight, and an exchange of which the end is of another day than the beginning."""
    first = Epoch(tmp_path, START_MS)
    first.segment(record_of(EventCode.LOG_START, "", START_MS), *exchange_of(1, START_MS + 1000))
    first.segment(*exchange_of(2, START_MS + DAY_MS - 500))
    Epoch(tmp_path, START_MS + 60_000, "worker-1").segment(*exchange_of(3, START_MS + 61_000, person="bob"))
    Epoch(tmp_path, START_MS + 2 * DAY_MS).segment(*exchange_of(4, START_MS + 2 * DAY_MS))
    return tmp_path


def run(folder: Path, *arguments: str):
    return CliRunner().invoke(main, ["audit", "export", "--store", str(folder / "store"), *arguments])


def test_a_span_is_exported_by_day_and_in_order(two_days: Path) -> None:
    output = two_days / "out"
    span = ("--from", "2026-10-01", "--to", "2026-10-03")
    result = run(two_days, *span, "--format", "ocsf-jsonl", "--output", str(output))
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("7 records of 2 days in 2 files, ")
    assert "`extproc audit verify` proves" in result.stderr
    files = sorted(path.relative_to(output).as_posix() for path in output.rglob("*.jsonl"))
    assert files == ["dt=2026-10-01/part-0000.jsonl", "dt=2026-10-02/part-0000.jsonl"]
    events = [event for file in files for event in lines_of(output / file)]
    assert [int(event["metadata"].get("correlation_uid", "-0")[-16:], 16) for event in events] == [0, 1, 1, 3, 3, 2, 2]
    assert [violations(event) for event in events] == [[]] * 7
    assert sorted(path.name for path in two_days.iterdir() if path.name.startswith((".", "out"))) == ["out"]


def test_rows_have_the_columns_and_types_that_are_promised(two_days: Path) -> None:
    output = two_days / "out"
    assert run(two_days, "--format", "parquet", "--output", str(output)).exit_code == 0
    paths = sorted(output.rglob("*.parquet"))
    schema = pyarrow.parquet.read_schema(paths[0])
    assert schema.names == list(COLUMNS)
    assert all(not field.nullable for field in schema)
    assert pyarrow.parquet.ParquetFile(paths[0]).metadata.row_group(0).column(0).compression == "ZSTD"
    rows = [row for path in paths for row in pyarrow.parquet.ParquetFile(path).read().to_pylist()]
    assert [row["exchange_id"][-1:] for row in rows] == ["", "1", "1", "3", "3", "2", "2", "4", "4"]
    first = rows[2]
    assert int(first["time"].timestamp() * 1000) == START_MS + 2000
    assert (first["outcome"], first["effect"], first["http_status"]) == ("completed", "allow", 200)
    assert first["groups"] == ["analysts"]
    stored = show_exchange(Holdings.look(store_of(two_days), None, ""), first["exchange_id"])
    assert f"{first['origin']}#{first['seq']}" == stored.records[1].receipt


@pytest.mark.parametrize("objects", [2, 4])
def test_rows_go_in_groups_and_none_is_lost(two_days: Path, monkeypatch, objects: int) -> None:
    monkeypatch.setattr("extproc.audit.reading.export_parquet.ROWS_AS_OBJECTS", objects)
    monkeypatch.setattr("extproc.audit.reading.export_parquet.ROWS_OF_A_GROUP", 4)
    assert run(two_days, "--format", "parquet", "--output", str(two_days / "out")).exit_code == 0
    file = pyarrow.parquet.ParquetFile(two_days / "out" / "dt=2026-10-01" / "part-0000.parquet")
    groups = [file.metadata.row_group(at).num_rows for at in range(file.metadata.num_row_groups)]
    assert groups == [4, 2]
    assert file.read(["seq"]).column("seq").to_pylist() == [1, 2, 3, 1, 2, 4]


def test_a_person_at_a_terminal_sees_how_far_it_is(two_days: Path, monkeypatch) -> None:
    monkeypatch.setattr("extproc.audit.reading.export.REPORT_EVERY", 4)
    quiet = run(two_days, "--format", "parquet", "--output", str(two_days / "quiet"))
    monkeypatch.setattr("extproc.cli.audit_export.sys", SimpleNamespace(stderr=SimpleNamespace(isatty=lambda: True)))
    seen = run(two_days, "--format", "parquet", "--output", str(two_days / "seen"))
    assert "\r" not in quiet.stderr
    assert seen.stderr.startswith("\r4 records, 2026-10-01\r8 records, 2026-10-03\n")


def test_files_stay_open_for_a_few_days_only_and_late_records_get_a_part(two_days: Path, monkeypatch) -> None:
    monkeypatch.setattr("extproc.audit.reading.export.OPEN_DAYS", 1)
    Epoch(two_days, START_MS + DAY_MS - 400, "worker-2").segment(
        record_of(EventCode.LOG_START, "", START_MS + DAY_MS + 10_000), *exchange_of(5, START_MS + DAY_MS - 300)
    )
    output = two_days / "out"
    result = run(two_days, "--format", "parquet", "--output", str(output))
    assert result.stdout.startswith("12 records of 3 days in 5 files")
    count = duckdb.sql(f"SELECT count(*) FROM read_parquet('{output}/*/*.parquet', hive_partitioning = true)")
    assert count.fetchall() == [(12,)]


class TestWholeOrNotAtAll:
    def left(self, folder: Path) -> list[str]:
        return [path.name for path in folder.iterdir() if path.name not in ("store", "work", "keys")]

    def test_an_output_that_exists_is_refused(self, two_days: Path) -> None:
        (two_days / "out").mkdir()
        for output in (two_days / "out", two_days / "missing" / "out"):
            result = run(two_days, "--format", "parquet", "--output", str(output))
            assert (result.exit_code, result.stdout) == (2, "")
            assert "must not exist" in result.stderr
        assert list((two_days / "out").iterdir()) == []

    @pytest.mark.parametrize("form", ["ocsf-jsonl", "parquet"])
    def test_a_log_that_is_not_as_its_manifests_say_is_not_exported(self, two_days: Path, form: str) -> None:
        path = next((two_days / "store").rglob("*.jsonl"))
        path.write_bytes(path.read_bytes().replace(b"worker", b"wOrker", 1).replace(b'"ann"', b'"eve"', 1))
        result = run(two_days, "--format", form, "--output", str(two_days / "out"))
        assert (result.exit_code, result.stdout) == (1, "")
        assert "is not what its manifest says" in result.stderr
        assert self.left(two_days) == []

    def test_a_disk_that_is_full_leaves_nothing(self, two_days: Path, monkeypatch) -> None:
        monkeypatch.setattr(
            "extproc.audit.reading.export._sync", lambda path: (_ for _ in ()).throw(OSError(28, "full"))
        )
        result = run(two_days, "--format", "parquet", "--output", str(two_days / "out"))
        assert (result.exit_code, result.stdout) == (2, "")
        assert "the export was not written" in result.stderr
        assert self.left(two_days) == []

    def test_what_a_killed_export_left_is_taken_away_by_the_next_and_nothing_else(self, tmp_path: Path) -> None:
        dead, other, link = (tmp_path / f".tmp-{name}" for name in ("out-00000000", "outer-00000000", "out-11111111"))
        for folder in (dead / "dt=2026-10-01", other):
            folder.mkdir(parents=True)
        (dead / "dt=2026-10-01" / "part-0000.jsonl").write_bytes(b"half")
        link.symlink_to(other)
        with new_directory(tmp_path / "out") as living:
            assert {path.name for path in tmp_path.iterdir()} == {living.name, other.name, link.name}
            with pytest.raises(OSError, match="beside it"), new_directory(tmp_path / "out") as second:
                assert {living, second} <= set(tmp_path.iterdir())
                raise OSError(5, "beside it")
            assert living.is_dir()
        assert {path.name for path in tmp_path.iterdir()} == {"out", other.name, link.name}

    def test_parquet_without_pyarrow_says_what_to_install(self, two_days: Path, monkeypatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        result = run(two_days, "--format", "parquet", "--output", str(two_days / "out"))
        assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (2, "", 1)
        assert f"`{sys.executable} -m pip install '{PYARROW}'`" in result.stderr
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
        assert extras["export"] == [PYARROW]
        assert f".venv/bin/python -m pip install '{PYARROW}'" in QUERIES.read_text()
        assert not (two_days / "out").exists()


class TestRecorded:
    @pytest.fixture
    def export(self, config):
        def invoke(*arguments: str):
            return CliRunner().invoke(main, ["audit", "export", *arguments], env={"EXTPROC_CONFIG": str(config)})

        return invoke

    def test_an_export_is_recorded_before_and_with_its_counts_after(self, export, log, shipped, tmp_path) -> None:
        result = export("--from", "2026-01-01", "--format", "parquet", "--output", str(tmp_path / "out"))
        assert result.exit_code == 0, result.output
        reads = [item.record for item in find_records(log.look()) if item.record.event_code is EventCode.AUDIT_READ]
        begun, done = (record.detail for record in sorted(reads, key=lambda record: record.time_ms))
        assert begun == {"since": "2026-01-01", "until": "", "format": "parquet", "state": "begun"}
        assert done["state"] == "done"
        assert result.stdout.startswith(f"{done['records']} records of {done['days']} days")

    def test_nothing_is_exported_when_that_cannot_be_recorded(self, export, shipped, tmp_path, monkeypatch) -> None:
        def broken(fd: int) -> None:
            raise OSError("no")

        monkeypatch.setattr(os, "fdatasync", broken)
        monkeypatch.setattr("extproc.audit.reading.reader.Reader.in_order", lambda reader: pytest.fail("read"))
        result = export("--format", "parquet", "--output", str(tmp_path / "out"))
        assert (result.exit_code, result.stdout) == (2, "")
        assert not (tmp_path / "out").exists()

    def test_nothing_is_left_when_its_end_cannot_be_recorded(self, export, shipped, tmp_path, monkeypatch) -> None:
        sync, calls = os.fdatasync, []

        def later_broken(fd: int) -> None:
            if (tmp_path / "store").exists() and any(tmp_path.glob(".tmp-out-*")):
                calls.append(time.monotonic())
                raise OSError("no")
            sync(fd)

        monkeypatch.setattr(os, "fdatasync", later_broken)
        result = export("--format", "ocsf-jsonl", "--output", str(tmp_path / "out"))
        assert (result.exit_code, result.stdout, bool(calls)) == (2, "", True)
        assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


def test_content_is_never_exported(shipped, log, story, tmp_path) -> None:
    for form in ("ocsf-jsonl", "parquet"):
        result = CliRunner().invoke(
            main,
            ["audit", "export", "--store", str(log.store_path), "--format", form, "--output", str(tmp_path / form)],
        )
        assert result.exit_code == 0, result.output
    events = b"".join(path.read_bytes() for path in (tmp_path / "ocsf-jsonl").rglob("*.jsonl"))
    rows = duckdb.sql(f"SELECT * FROM read_parquet('{tmp_path}/parquet/*/*.parquet')").fetchall()
    for text in ("hello, card", "data: two"):
        assert text.encode() not in events
        assert text not in json.dumps(rows, default=str)
