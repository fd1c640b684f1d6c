"""Logs that earlier versions wrote: still read as they were written, and still proven.

`v1` has flat lines and manifests of version 1, `v2` lines by OCSF and manifests of version 2, `v3` lines with decisions. What readers from before a
version do with its logs: `extproc.audit.log.segment.Manifest`.
"""

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from extproc.audit.keys.keys import PUBLIC_KEY, load_public_key
from extproc.audit.reading.holdings import Holdings
from extproc.audit.reading.reader import find_records
from extproc.audit.settings import DirectoryStore
from extproc.audit.stores.store import Directory
from extproc.audit.verify.findings import Name
from extproc.audit.verify.verify import verify
from extproc.cli.main import main
from extproc.core.record import ENDS_EXCHANGE, OPENS_EXCHANGE, Record

GOLDEN = sorted(path.parent for path in (Path(__file__).parent / "golden").glob("*/" + PUBLIC_KEY))
by_name = pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.name)


class Kept(msgspec.Struct, frozen=True):
    """A record as its writer had it."""

    origin: str
    seq: int
    record: Record


def test_there_are_golden_logs() -> None:
    assert {"v1", "v2", "v3"} <= {path.name for path in GOLDEN}


@by_name
def test_an_old_log_is_read_as_it_was_written(golden: Path) -> None:
    kept = msgspec.json.decode((golden / "records.json").read_bytes(), type=list[Kept])
    found = find_records(Holdings.look(Directory(DirectoryStore(golden / "store")), None, ""))
    assert [Kept(str(item.origin), item.seq, item.record) for item in found] == kept


@by_name
def test_an_old_log_is_proven(golden: Path) -> None:
    store = Directory(DirectoryStore(golden / "store"))
    report = verify(store, load_public_key(golden / PUBLIC_KEY), deployment="golden", spool=None)
    assert (report.exit_code, {finding.name for finding in report.findings}) == (0, {Name.UNCLEAN_END})
    assert report.records == len(msgspec.json.decode((golden / "records.json").read_bytes()))
    assert report.epochs == 2


@by_name
def test_an_old_log_is_proven_listed_and_shown_on_the_command_line(golden: Path) -> None:
    def run(*arguments: str) -> str:
        result = CliRunner().invoke(main, ["audit", *arguments, "--store", str(golden / "store")])
        assert result.exit_code == 0, result.output
        return result.stdout

    assert run("verify", "--public-key", str(golden / PUBLIC_KEY)).splitlines()[-1] == "proven"
    kept = msgspec.json.decode((golden / "records.json").read_bytes(), type=list[Kept])
    begins_or_ends = OPENS_EXCHANGE | ENDS_EXCHANGE
    exchanges = {item.record.exchange_id for item in kept if item.record.event_code in begins_or_ends}
    listed = {json.loads(line)["exchange_id"] for line in run("list", "--json").splitlines()}
    assert listed == exchanges
    assert "inference.recovered" in run("show", "g-open")


@by_name
def test_an_old_log_that_was_changed_is_not_proven(golden: Path, memory) -> None:
    store, key = memory(golden / "store"), load_public_key(golden / PUBLIC_KEY)
    name = next(name for name in store.objects if name.endswith("1.jsonl"))
    store.objects[name] = store.objects[name].replace(b'"seq":2', b'"seq":3', 1)
    assert verify(store, key, deployment="golden", spool=None).exit_code == 1
