"""`extproc audit`: what a person sees, and the exit codes."""

import json
import os
import shutil
import time

import pytest

from extproc.audit.keys.keys import PUBLIC_KEY
from extproc.audit.names import Part
from extproc.audit.reading.exchanges import ExchangeRecords
from extproc.audit.reading.reader import Evidence
from extproc.core.record import EventCode

EXAMPLE_SECONDS = 0.003


def test_list_shows_every_exchange_beside_a_running_service(run, living):
    result = run("list")
    assert result.exit_code == 0, result.output
    assert [line.split()[1] for line in result.stdout.splitlines()] == ["EXCHANGE", "x-1", "x-2", "x-3"]
    assert len({line.index("analyst") for line in result.stdout.splitlines()[1:]}) == 1
    rows = [json.loads(line) for line in run("list", "--json").stdout.splitlines()]
    assert rows[0]["person"] == "analyst"
    assert (rows[2]["outcome"], rows[2]["status_detail"]) == ("refused", "policy_denied")


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["--person", "ANALYST"], 3),
        (["--person", "nobody"], 0),
        (["--model", "tiny"], 3),
        (["--model", "large"], 0),
        (["--verdict", "allow"], 3),
        (["--verdict", "deny"], 0),
        (["--since", "1h"], 3),
        (["--since", "2100-01-01"], 0),
    ],
)
def test_list_filters(run, living, arguments, count):
    lines = run("list", *arguments).stdout.splitlines()
    assert len(lines) == (count + 1 if count else 0)
    assert all(line.startswith("TIME ") for line in lines[:1])


def test_show_prints_every_record_with_its_receipt(run, living):
    result = run("show", "x-1")
    assert result.exit_code == 0
    assert f"inference.request  {living.origin}#2" in result.stdout
    assert "inference.end" in result.stdout
    lines = run("show", "x-1", "--json").stdout.splitlines()
    assert [json.loads(line)["metadata"]["event_code"] for line in lines] == ["inference.request", "inference.end"]
    assert run("show", "x-9").exit_code == 2


def test_replay_prints_both_directions_with_their_times(run, living, story):
    result = run("replay", "x-2", "--raw", "--speed", "100")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "    0.000s -> " + story[0].decode()
    assert lines[1] == "    0.001s <- data: one"
    pieces = [json.loads(line) for line in run("replay", "x-2", "--raw", "--json").stdout.splitlines()]
    assert [piece["data"].encode() for piece in pieces] == [story[0], *story[1]]
    assert run("replay", "x-9").exit_code == 2


def test_replay_waits_as_long_as_it_took(run, living):
    started = time.monotonic()
    run("replay", "x-1", "--raw", "--speed", "0.01")
    assert time.monotonic() - started >= 100 * EXAMPLE_SECONDS


def test_what_a_model_says_cannot_steer_the_terminal(run, log, record, acks):
    journal = log.open()
    journal.append_record(record(EventCode.INFERENCE_REQUEST, "x-esc"))
    content = journal.open_content("x-esc")
    content.append("to_client", 1, b"\x1b[2Jgone\x07", acks)
    acks.wait(1)
    output = run("replay", "x-esc", "--raw", "--no-wait").stdout
    assert "\x1b" not in output
    assert "<U+001B>[2Jgone<U+0007>" in output
    journal.close()


def test_every_reading_is_recorded_before_it_is_shown(run, living, log, monkeypatch):
    for arguments in (["list"], ["show", "x-1"], ["replay", "x-1", "--no-wait"]):
        assert run(*arguments).exit_code == 0
    journal_less = [line for line in run("list", "--json").stdout.splitlines() if "audit" in line]
    assert journal_less == []
    log.ship()
    reads = [
        json.loads(line)
        for path in log.store_path.rglob("*.jsonl")
        if "/cli/" in path.as_posix()
        for line in path.read_bytes().splitlines()
    ]
    operations = {line["api"]["operation"] for line in reads if line["metadata"]["event_code"] == "audit.read"}
    assert operations == {"audit.list", "audit.show", "audit.replay"}

    def broken(fd: int) -> None:
        raise OSError("no")

    monkeypatch.setattr(os, "fdatasync", broken)
    result = run("show", "x-1")
    assert result.exit_code == 2
    assert "inference" not in result.output


class TestVerify:
    def test_a_running_service_is_proven(self, run, living):
        result = run("verify")
        assert result.exit_code == 0, result.output
        assert result.stdout.splitlines()[-1] == "proven"
        report = json.loads(run("verify", "--json").stdout)
        assert (report["verdict"], report["exit_code"]) == ("proven", 0)
        assert report["records"] >= 6

    def test_a_finding_says_where(self, run, shipped, log):
        path = next(log.store_path.rglob("0000000001.jsonl"))
        path.write_bytes(path.read_bytes().replace(b"analyst", b"anAlyst", 1))
        result = run("verify")
        assert result.exit_code == 1
        assert "ALTERED - test/worker-" in result.stdout
        assert result.stdout.splitlines()[-1] == "not proven: findings"

    @pytest.mark.parametrize("part", Part, ids=lambda part: part.name)
    def test_a_finding_about_an_object_names_its_key(self, run, shipped, log, part):
        path = next(log.store_path.rglob(f"0000000001{part.value}"))
        key = path.relative_to(log.store_path).as_posix()
        data = path.read_bytes()
        path.write_bytes(data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])
        (line,) = [line for line in run("verify").stdout.splitlines() if line.startswith("ALTERED - ")]
        assert line.endswith(f": {key}")
        (finding,) = [
            each for each in json.loads(run("verify", "--json").stdout)["findings"] if each["level"] == "finding"
        ]
        assert finding["key"] == key

    def test_the_name_of_a_strange_object_is_a_line_and_steers_nothing(self, run, shipped, log):
        (log.store_path / "v1" / "a\nproven\x1b[2J\u202e").write_bytes(b"x")
        result = run("verify")
        assert result.exit_code == 1
        assert "STRANGER - v1/a proven<U+001B>[2J<U+202E> - " in result.stdout
        assert "\x1b" not in result.stdout
        assert result.stdout.splitlines().count("proven") == 0

    def test_a_copy_is_proven_with_the_public_key_alone(self, run, shipped, log, tmp_path):
        copy = tmp_path / "elsewhere"
        shutil.copytree(log.store_path, copy)
        key = str(tmp_path / "key.pub")
        shutil.copy(log.settings.keys / PUBLIC_KEY, key)
        result = run("verify", "--store", str(copy), "--public-key", key, configured=False)
        assert result.exit_code == 0, result.output

    def test_an_empty_store_is_incomplete_and_so_is_wrong_use(self, run, log, tmp_path):
        assert run("verify").exit_code == 2
        assert run("verify", configured=False).exit_code == 2
        assert run("verify", "--store", str(tmp_path), configured=False).exit_code == 2
        assert run("list", "--since", "yesterday").exit_code == 2


@pytest.mark.parametrize("command", [("list",), ("verify",), ("replay", "x-1")])
def test_a_store_that_is_not_there_is_not_an_empty_one_and_is_not_created(run, shipped, log, tmp_path, command):
    log.store_path.rename(tmp_path / "elsewhere")
    result = run(*command)
    assert (result.exit_code, f"{log.store_path} is not there" in result.output) == (2, True)
    assert not log.store_path.exists()


def test_a_folder_without_a_log_is_not_an_empty_one(run, tmp_path):
    (tmp_path / "other").mkdir()
    result = run("list", "--store", str(tmp_path / "other"), configured=False)
    assert (result.exit_code, "holds no audit log (no v1/ in it)" in result.output) == (2, True)


def test_two_logs_are_not_one(run, shipped, log, tmp_path):
    """Read from the copy it would leave no record in the log that was named as well."""
    result = run("list", "--store", str(log.store_path), "--config", str(tmp_path / "config.yaml"))
    assert (result.exit_code, "not both" in result.output) == (2, True)


def test_an_exchange_is_shown_by_its_end_also_when_something_follows(record) -> None:
    """A decision, and a grant that is used up for nobody, may come after."""
    codes = (EventCode.APPROVAL_OPEN, EventCode.REQUEST_REFUSE, EventCode.APPROVAL_DECIDE, EventCode.APPROVAL_USE)
    items = [Evidence("o", seq, 1, record(code, "ex-1"), b"") for seq, code in enumerate(codes)]
    assert ExchangeRecords("ex-1", items).last.event_code is EventCode.REQUEST_REFUSE
    assert ExchangeRecords("ex-1", [items[0], items[2]]).last.event_code is EventCode.APPROVAL_OPEN


@pytest.mark.parametrize("command", ["list", "export"])
def test_a_wrong_span_is_told_in_the_words_that_were_typed(run, log, command):
    more = {"list": [], "export": ["--format", "ocsf-jsonl", "--output", "none"]}[command]
    bad = run(command, *more, "--from", "yesterday")
    assert bad.exit_code == 2
    assert "--since (--from)" in bad.stderr
    assert "'yesterday' is neither a span like `24h` nor an ISO 8601 time" in bad.stderr
    bad = run(command, *more, "--until", "soon")
    assert "--until (--to)" in bad.stderr
    empty = run(command, *more, "--from", "1h", "--to", "2h")
    assert empty.exit_code == 2
    assert "the span that begins at '1h' and ends before '2h' holds nothing" in empty.stderr
    assert "since" not in empty.stderr
    assert run("verify", "--to", "soon").stderr.count("--to: 'soon'") == 1


def test_an_unknown_exchange_is_named_and_wrong_input(run, living):
    for command in ("show", "replay"):
        result = run(command, "x-9\x1b[2J")
        assert result.exit_code == 2
        assert "there is no exchange `x-9" in result.stderr
        assert "\x1b" not in result.stderr


@pytest.mark.parametrize("command", [("replay", "x-1"), ("inspect-store",)])
def test_a_command_without_store_does_not_advise_it(run, command):
    result = run(*command, configured=False)
    assert result.exit_code == 2
    assert "give --config (or EXTPROC_CONFIG)" in result.stderr
    assert "--store" not in result.stderr


def test_a_missing_public_key_is_said_to_be_missing(run, shipped):
    path = shipped.settings.keys / PUBLIC_KEY
    path.unlink()
    result = run("verify")
    assert result.exit_code == 2
    assert f"{path} is not there" in result.stderr


def test_a_store_that_is_a_file_is_named(run, shipped, tmp_path):
    shutil.rmtree(shipped.store_path)
    shipped.store_path.write_text("no folder")
    result = run("list")
    assert result.exit_code == 2
    assert f"{shipped.store_path} is, or has on its way, a file where a folder must be" in result.stderr
