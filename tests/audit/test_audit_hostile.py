"""Names, numbers and files by somebody who wants to be taken for another, or a command to give up."""

import inspect
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from extproc.approvals.conversation import read_conversation
from extproc.audit.anchor.checkpoint import Checkpoint
from extproc.audit.anchor.head import AlarmName, Contradiction, Follower, Head
from extproc.audit.anchor.look import Look
from extproc.audit.keys.keys import AuditKeys
from extproc.audit.log.segment import Manifest
from extproc.audit.names import Part, parse_key
from extproc.audit.reading.reader import Reader, time_text
from extproc.audit.reading.said import Speech
from extproc.audit.reading.span import Span
from extproc.audit.refusal import AuditRefused
from extproc.audit.signed import split_document
from extproc.audit.verify.findings import Name
from extproc.audit.verify.remembered import Remembered, RememberedHead
from extproc.audit.verify.verify import verify
from extproc.cli.person import account, mask_argument, mask_reason
from extproc.core.record import EventCode
from extproc.core.trust import Masked
from tests.audit.anchoring import remove
from tests.audit.chronicle import PARTS, Epoch, record_of, store_of

PAN = "4111111111111111"
DEEP = b"[" * 100_000 + b"]" * 100_000


def readings(log) -> list:
    """The newest record of a reading, first."""
    records = [item.record for item in Reader(log.look()).records() if item.record.event_code is EventCode.AUDIT_READ]
    return sorted(records, key=lambda record: record.time_ms, reverse=True)


def test_who_reads_is_what_the_machine_says_and_not_the_environment(run, living, log, monkeypatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    assert run("list").exit_code == 0
    assert readings(log)[0].actor.name == pwd.getpwuid(os.getuid()).pw_name != "somebody-else"


def test_an_account_without_a_name_is_its_number(monkeypatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_123)
    assert account() == "4000000123"


def test_an_argument_that_is_no_text_is_recorded_as_its_bytes(run, living, log) -> None:
    assert "there is no exchange `\\udcff`" in run("show", "\udcff").stderr
    assert readings(log)[0].detail["exchange"] == "\\udcff"


@pytest.mark.parametrize("name", [f"019ac0a1b2c3-{PAN}", f"20261128T144702Z-{PAN}"])
def test_an_id_of_ours_is_never_taken_for_a_card_number(name: str) -> None:
    assert mask_argument(name) == name
    assert PAN not in mask_argument(f"{name} ") + mask_argument(PAN) + mask_argument(f"x{name}")


@pytest.mark.parametrize("reason", [f"000000000000-{PAN}", f"20261128T144702Z-{PAN}"])
def test_p5_a_reason_is_no_id(reason: str) -> None:
    """Written as one, a card number would be kept in the record for good."""
    assert PAN not in mask_reason(reason)


def nest(path: Path) -> None:
    """One more field in the first line, as no parser takes it."""
    line, end, rest = path.read_bytes().partition(b"\n")
    path.write_bytes(line[:-1] + b',"more":' + DEEP + b"}" + end + rest)


@pytest.mark.parametrize("suffix", ["0001.jsonl", "0001.manifest.json", "0001.keys.jsonl"])
def test_what_is_nested_too_deeply_is_altered_and_hides_nothing_else(shipped, suffix: str) -> None:
    (path, *_) = sorted(shipped.store_path.rglob(f"worker-1/*/*{suffix}"))
    nest(path)
    report = shipped.verify()
    assert report.exit_code == 1
    assert {finding.name for finding in report.findings} == {Name.ALTERED}
    reader = Reader(shipped.look())
    assert {"x-1", "x-4"} <= {item.record.exchange_id for item in reader.records()}
    assert bool(reader.problems) is ("keys" not in suffix)


def test_a_registers_head_that_is_nested_too_deeply_is_said_not_to_parse(shipped) -> None:
    nest(shipped.settings.spool / "registry" / "head.json")
    assert any("does not parse" in finding.what for finding in shipped.verify().findings)


@pytest.mark.parametrize(
    "time_ms", [10**18, -(10**18), 253_402_300_800_000, 10**400], ids=["after", "before", "ten", "float"]
)
def test_a_time_that_no_calendar_has_is_shown_as_its_number(time_ms: int) -> None:
    assert time_text(time_ms) == f"{time_ms} ms after 1970"


def test_a_heartbeat_beyond_every_number_stops_neither_verifier_nor_anchor(tmp_path: Path) -> None:
    now_ms = int(time.time() * 1000)
    detail = {"heartbeat_seconds": 1e308, "max_lag_seconds": 1e308}
    epoch = Epoch(tmp_path, now_ms - 5000)
    epoch.segment(record_of(EventCode.LOG_START, "", now_ms - 5000, detail=detail))
    key = AuditKeys.load_or_create(tmp_path / "keys").signing.public_key()
    assert verify(store_of(tmp_path), key, deployment="test", spool=None).exit_code != 0
    follower = Follower(Head(origin=str(epoch.origin), first_seen_ms=now_ms), key)
    manifest, evidence = (store_of(tmp_path).get(epoch.origin.object_key(part, 1)) for part in PARTS[::-1])
    with pytest.raises(Contradiction, match="no beginning"):
        follower.follow(manifest, evidence)


DAY_MS = 86_400_000


class Aged:
    """An epoch of now, followed by an anchor, whose newest segment is signed as one of 1970."""

    def __init__(self, folder: Path) -> None:
        self.now_ms = int(time.time() * 1000)
        self.key = AuditKeys.load_or_create(folder / "keys").signing.public_key()
        epoch = Epoch(folder, self.now_ms - 5000)
        certificate = epoch._signer.certificate
        detail = {"heartbeat_seconds": 60, "max_lag_seconds": 60, "certificate": certificate}
        epoch.segment(record_of(EventCode.LOG_START, "", self.now_ms - 5000, detail=detail))
        epoch.segment(record_of(EventCode.INFERENCE_REQUEST, "x-1", 1))
        self.origin, self.store = epoch.origin, store_of(folder)
        follower = Follower(Head(origin=str(epoch.origin), first_seen_ms=self.now_ms, entry="ab" * 32), self.key)
        for segment in (1, 2):
            follower.follow(*(self.store.get(epoch.origin.object_key(part, segment)) for part in PARTS[::-1]))
        self.head = follower.head

    def look(self, later_ms: int) -> Look:
        heads = {str(self.origin): self.head}
        look = Look(self.store, self.key, "test", heads, self.now_ms + later_ms, retention_ms=400 * DAY_MS, budget=10)
        look.run(0)
        return look


def test_an_epoch_that_says_that_it_is_old_may_not_vanish_for_it(tmp_path: Path) -> None:
    aged = Aged(tmp_path)
    shutil.rmtree(tmp_path / "store" / "v1")
    assert [name for name, _, _ in aged.look(1).found] == [AlarmName.WRITER_MISSING]
    assert aged.look(401 * DAY_MS).expired == [str(aged.origin)]


def test_a_segment_may_not_go_because_the_next_one_says_that_it_is_old(tmp_path: Path) -> None:
    aged = Aged(tmp_path)
    for part in PARTS:
        (tmp_path / "store" / aged.origin.object_key(part, 1)).unlink()
    assert AlarmName.GAP in {name for name, _, _ in aged.look(1).found}
    assert AlarmName.GAP not in {name for name, _, _ in aged.look(401 * DAY_MS).found}


def test_a_remembered_epoch_that_said_that_it_is_old_is_missed_in_the_range_of_its_name(shipped, memory) -> None:
    store = memory(shipped.store_path)
    (entry,) = [key for key in store.objects if key.startswith("v1/registry/") and "/worker-1/" in key]
    origin = parse_key(entry).origin
    manifest = msgspec.json.decode(split_document(store.objects[origin.object_key(Part.MANIFEST, 1)])[0], type=Manifest)
    remembered = Remembered({str(origin): RememberedHead(manifest.records, manifest.last, 1, seen_ms=1)})
    remove(store, origin)
    asked = Span(origin.started_ms - 1000, None)
    report = shipped.verify(store=store, spool=False, asked=asked, remembered=remembered)
    assert Name.WRITER_MISSING in {finding.name for finding in report.findings}


@pytest.mark.parametrize(
    "size", ["9" * 5000, "9" * 20, "01", "-1", "\N{SUPERSCRIPT TWO}"], ids=["long", "20", "0", "-", "2"]
)
def test_a_checkpoint_of_no_size_is_refused(size: str) -> None:
    with pytest.raises(AuditRefused, match="not a number"):
        Checkpoint.parse(f"a\n{size}\n{'A' * 43}=\n")


@pytest.mark.parametrize(
    "document",
    [
        {"choices": [{"message": {"tool_calls": [{"index": [1], "function": {"name": "look", "arguments": "up"}}]}}]},
        {"type": "response.output_text.delta", "output_index": {}, "delta": "up"},
        {"type": "response.output_item.done", "output_index": [], "item": {"type": "message", "content": ["up"]}},
        {"type": "content_block_start", "index": {}, "content_block": {"name": "look", "input": "up"}},
    ],
    ids=["chat", "responses", "responses item", "anthropic"],
)
def test_a_model_that_numbers_its_tools_by_lists_is_replayed(document: dict[str, object]) -> None:
    assert ["up" in said.text for said in Speech().read(document)] == [True]


def test_a_request_that_is_nested_as_deeply_as_can_be_is_shown() -> None:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 120)  # so that little is written out
    try:
        for depth in range(60, 120):
            content = b"[" * depth + b"]" * depth
            assert read_conversation(Masked(b'{"messages":[{"role":"user","content":' + content + b"}]}"))
    finally:
        sys.setrecursionlimit(before)


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "--since", "9" * 400 + "d"),
        ("list", "--since", "9" * 5000 + "d"),
        ("list", "--limit", "9" * 30),
        ("verify", "--from", "2400-01-01"),
    ],
    ids=["a span beyond every float", "a span beyond every integer", "a limit", "the future"],
)
def test_a_number_that_nobody_means_is_wrong_use(run, shipped, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


@pytest.mark.parametrize(
    ("option", "moment"), [("--from", "9999999d"), ("--to", "9999-12-31T23:59:59-14:00")], ids=["first", "last"]
)
def test_a_range_beyond_every_calendar_is_proven_for_as_far_as_the_log_reaches(run, shipped, option, moment) -> None:
    result = run("verify", option, moment)
    assert result.exit_code == 2
    assert "SHORT" in result.stdout
    assert "ms after 1970" in result.stdout


def test_what_has_not_come_yet_is_not_proven(log, living) -> None:
    now_ms = int(time.time() * 1000)
    report = log.verify(now_ms=now_ms, asked=Span(now_ms + 60_000, None))
    assert report.exit_code == 2


def test_a_number_that_no_column_takes_is_refused_with_what_the_manifest_says(run, shipped, tmp_path: Path) -> None:
    (path, *_) = sorted(shipped.store_path.rglob("worker-1/*/*1.jsonl"))
    path.write_bytes(path.read_bytes().replace(b'"seq":1,', b'"seq":%d,' % 2**63))
    result = run("export", "--format", "parquet", "--output", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert "is not what its manifest says" in result.stderr
    assert [each.name for each in tmp_path.iterdir() if "out" in each.name] == []


_ENDED_HALF_WAY = """
import os, signal, sys
from extproc.audit.reading.export_ocsf import JsonLines
from extproc.cli.main import main
write = JsonLines.write
def end(self, item):
    write(self, item)
    os.kill(os.getpid(), int(sys.argv[-1]))
JsonLines.write = end
main(sys.argv[1:-1])
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["ended", "hung up"])
def test_an_export_that_is_ended_half_way_leaves_nothing(config, shipped, tmp_path: Path, number: int) -> None:
    arguments = ["audit", "export", "--format", "ocsf-jsonl", "--output", str(tmp_path / "out"), str(int(number))]
    environment = {**os.environ, "EXTPROC_CONFIG": str(config)}
    ended = subprocess.run(
        [sys.executable, "-c", _ENDED_HALF_WAY, *arguments], env=environment, check=False, timeout=60
    )
    assert ended.returncode == 128 + number
    assert [each.name for each in tmp_path.iterdir() if "out" in each.name] == []
