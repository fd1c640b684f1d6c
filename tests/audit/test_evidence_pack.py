"""`extproc evidence`: from a log whose facts are known, exactly these numbers; a page that holds nothing but text."""

import json
import queue
import re
import stat
import time
from collections.abc import Callable
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
import yaml
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from extproc.audit.evidence.factors import is_automated, means_several_factors
from extproc.audit.evidence.pack import Pack
from extproc.audit.evidence.pack_schema import pack_schema
from extproc.audit.evidence.requirements import REQUIREMENTS
from extproc.audit.evidence.tally import MAX_NAMES, Tally
from extproc.audit.keys.keys import open_keys, open_or_make_keys
from extproc.audit.log import journal as journal_module
from extproc.audit.log import keeper as keeper_module
from extproc.audit.log.clock import KernelClock, Synchronised
from extproc.audit.log.journal import Journal
from extproc.audit.log.shipper import Shipper
from extproc.audit.reading.holdings import Holdings
from extproc.audit.reading.reader import find_records
from extproc.audit.stores.store import open_store
from extproc.cli.main import main
from extproc.core.reasons import Reason, Unavailable
from extproc.core.record import Actor, ApprovalRef, EventCode, Outcome, PolicyRef, Record, Resource
from extproc.edge.settings_file import load_settings
from tests.audit.configured import write_config

ROOT = Path(__file__).parents[2]
T0 = 1_735_700_000_000  # 2025-01-01T02:53:20Z
HOUR = 3_600_000
PERIOD = ("--from", "2025-01-01T02:53:20+00:00", "--to", "2025-01-02T02:53:20+00:00")
PAN = "4111 1111 1111 1111"
ISSUER = "https://idp.test"
POLICY = """
apiVersion: extproc/v1
kind: Policy
name: test
rules:
  - name: analysts
    effect: allow
    match: {groups: [analysts]}
"""


def make(code: EventCode, at: int, status: Outcome = Outcome.SUCCEEDED, **fields: object) -> Record:
    """`at`: milliseconds from the period's beginning."""
    actor = fields.pop("actor", Actor(uid="extproc|worker-0"))
    return Record(
        event_code=code,
        time_ms=T0 + at,
        actor=actor,
        status=status,
        src_address="192.0.2.7",
        resource=fields.pop("resource", Resource(connection="llama", operation="chat", protocol="HTTP/1.1")),
        **fields,
    )


def caller(name: str, *methods: str, client: str = "console") -> Actor:
    return Actor(uid=f"{ISSUER}|{name}", name=name, client=client, methods=methods)


def exchange(number: int, actor: Actor, digest: str = "sha256:d1", **end: object) -> list[Record]:
    policy = PolicyRef(digest=digest, effect="allow", rule="analysts")
    shared = {"actor": actor, "exchange_id": f"x-{number}", "policy": policy}
    return [
        make(EventCode.INFERENCE_REQUEST, number * HOUR, **shared),
        make(EventCode.INFERENCE_END, number * HOUR + 900, Outcome.COMPLETED, http_status=200, **shared, **end),
    ]


def refusal(code: EventCode, at: int, detail: str, rule: str = "") -> Record:
    policy = PolicyRef(digest="sha256:d2", effect="deny", rule=rule) if rule else None
    return make(
        code,
        at,
        Outcome.REFUSED,
        status_detail=detail,
        exchange_id=f"r-{at}",
        policy=policy,
        actor=Actor(uid="anonymous"),
    )


def control(code: EventCode, at: int, name: str, cause: str = "spool_full") -> Record:
    status = Outcome.FAILED if code is EventCode.CONTROL_FAILURE else Outcome.SUCCEEDED
    return make(code, at, status, detail={"control": name, "cause": cause})


WORKER = [
    *exchange(1, caller("ada", "mfa"), findings_request={"pan": 2}, findings_response={"security_code": 1}),
    *exchange(2, caller("ada", "pwd", "otp"), findings_request={"pan": 1}, stripped=("logprobs",)),
    *exchange(3, caller("<script>alert(1)</script>", "pwd"), "sha256:d2", not_inspected={"image": 3}),
    *exchange(4, caller(f"bob {PAN}")),
    *exchange(5, caller("robot", client="robot")),
    refusal(EventCode.AUTH_FAIL, 10, "token_expired"),
    refusal(EventCode.AUTH_FAIL, 20, "token_expired"),
    refusal(EventCode.POLICY_DENY, 30, "denied", "default-deny"),
    refusal(EventCode.POLICY_DENY, 40, "denied", "no-admin"),
    control(EventCode.CONTROL_RESTORED, 50, "clock"),
    control(EventCode.CONTROL_FAILURE, HOUR, "audit_spool"),
    control(EventCode.CONTROL_FAILURE, HOUR + 1, "audit_spool"),
    control(EventCode.CONTROL_RESTORED, HOUR + 90_500, "audit_spool"),
    control(EventCode.CONTROL_FAILURE, 5 * HOUR, "policy", "<b>problems</b>"),
    make(EventCode.LOG_PAUSE, 2 * HOUR, Outcome.FAILED, detail={"cause": "disk_full"}),
    make(EventCode.LOG_RESUME, 2 * HOUR + 1_000, detail={"cause": "disk_full"}),
    make(
        EventCode.LOG_HEARTBEAT,
        60,
        detail={"clock": "synchronised", "clock_error_ms": 0.5, "clock_step_ms": -7, "store_lag_seconds": 12.5},
    ),
    make(
        EventCode.LOG_HEARTBEAT,
        70,
        detail={"clock": "unsynchronised", "clock_error_ms": 16.0, "clock_step_ms": 3, "store_lag_seconds": 1},
    ),
]
OTHERS = [
    make(EventCode.AUDIT_READ, 100, actor=Actor(uid="os|ada"), resource=Resource(connection="audit-log", operation="audit.list", protocol="cli")),
    make(EventCode.AUDIT_READ, 110, actor=Actor(uid="os|ada"), resource=Resource(connection="audit-log", operation="audit.list", protocol="cli")),
    make(EventCode.AUDIT_READ, 120, actor=Actor(uid="os|eve"), resource=Resource(connection="audit-log", operation="audit.replay", protocol="cli")),
    make(EventCode.APPROVAL_DECIDE, 130, actor=caller("carol"), approval=ApprovalRef(id="a", state="granted")),
    make(
        EventCode.APPROVAL_DECIDE,
        135,
        actor=caller("alice"),
        status=Outcome.REFUSED,
        approval=ApprovalRef(id="b", state="pending"),
        detail={"refused": "own_request"},
    ),
    make(EventCode.APPROVAL_DECIDE, 140, actor=caller("carol"), approval=ApprovalRef(id="b", state="refused")),
    make(EventCode.ADMIN_SHRED_DONE, 150, actor=caller("carol"), detail={"exchange": "x-9", "keys": 1}),
    make(EventCode.AUDIT_RETENTION_CHECK, 160, detail={"over_age": 4, "incomplete": False}),
    make(EventCode.AUDIT_RETENTION_CHECK, 170, detail={"over_age": 0, "incomplete": False, "oldest_key_bag_ms": T0}),
    control(EventCode.CONTROL_FAILURE, 3 * HOUR, "audit_store", "AccessDenied"),
    control(EventCode.CONTROL_FAILURE, -HOUR, "audit_store", "before the period"),
    make(EventCode.AUDIT_READ, 24 * HOUR, actor=Actor(uid="os|late")),
]  # fmt: skip


def configure(folder: Path) -> None:
    write_config(folder, issuer={"issuer": ISSUER}, policy=POLICY)


def tell(folder: Path) -> None:
    """The log of the story above: a service before the period, a worker that closed in it, and a command's epoch."""
    settings = load_settings(folder / "config.yaml").audit
    keys = open_or_make_keys(settings)
    real = time.time
    with pytest.MonkeyPatch.context() as patch:
        for module in (journal_module, keeper_module):
            patch.setattr(module, "ask_kernel", lambda: KernelClock(Synchronised.YES, 0.25))
        for writer, hours, records in (("supervisor", -2, []), ("worker-0", 20, WORKER), ("cli", 21, OTHERS)):
            back = real() - (T0 + hours * HOUR) / 1000
            patch.setattr(time, "time", lambda back=back: real() - back)
            journal = Journal.open(settings, keys, writer=writer, deliver=lambda run: run())
            for record in records:
                journal.append_record(record)
            journal.close()
    Shipper(settings).ship_pending()


def invoke(folder: Path, *arguments: str, output: str = "pack") -> Result:
    command = ["evidence", "--config", str(folder / "config.yaml"), "--output", str(folder / output), *arguments]
    return CliRunner().invoke(main, command)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the story's log and its pack, to be looked at only."""
    folder = tmp_path_factory.mktemp("evidence")
    configure(folder)
    tell(folder)
    result = invoke(folder, *PERIOD)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def pack(made: Path) -> Pack:
    return read(made)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    configure(tmp_path)
    return partial(invoke, tmp_path)


@pytest.fixture
def told(tmp_path: Path, run) -> Path:
    """A log to be changed: its store's folder."""
    tell(tmp_path)
    return tmp_path / "store"


def read(tmp_path: Path, output: str = "pack") -> Pack:
    return msgspec.json.decode((tmp_path / output / "evidence.json").read_bytes(), type=Pack)


def rows(counts) -> list[tuple[object, ...]]:
    return [(*each.names, each.count) for each in counts]


def row(pack: Pack, number: str):
    return next(each for each in pack.requirements if each.number == number)


class TestNumbers:
    """Each is counted by hand from the story above."""

    def test_records_and_events_of_the_period_and_no_others(self, pack):
        assert (pack.records, pack.records_incomplete, pack.empty, pack.exit_code) == (37, 0, False, 0)
        events = {each.event: each.count for each in pack.events if each.count}
        assert events == {
            "inference.request": 5,
            "inference.end": 5,
            "auth.fail": 2,
            "policy.deny": 2,
            "approval.decide": 3,
            "admin.shred_done": 1,
            "audit.read": 3,
            "audit.retention_check": 2,
            "control.failure": 4,
            "control.restored": 2,
            "log.start": 2,
            "log.heartbeat": 2,
            "log.pause": 1,
            "log.resume": 1,
            "log.stop": 2,
        }
        assert (pack.period.start, pack.period.end) == (
            "2025-01-01T02:53:20.000+00:00",
            "2025-01-02T02:53:20.000+00:00",
        )

    def test_access_to_the_log_by_person_and_operation(self, pack):
        assert rows(pack.access_to_log) == [("os|ada", "audit.list", 2), ("os|eve", "audit.replay", 1)]
        assert row(pack, "10.2.1.3").status == "enforced"
        assert row(pack, "10.2.1.3").facts == {"audit.read": 3}

    def test_refusals_by_reason_and_what_was_denied_by_default(self, pack):
        assert rows(pack.refusals) == [("auth.fail", "token_expired", 2), ("policy.deny", "denied", 2)]
        assert row(pack, "7.3.3").facts == {"a caller without groups, tried now": "denied", "denied by default": 1}

    def test_factors_of_people_and_not_of_programs(self, pack):
        factors = pack.factors
        assert (factors.people, factors.several, factors.one, factors.not_said, factors.automated) == (4, 2, 1, 1, 1)
        assert row(pack, "8.4.2").status == "not covered", "not every person signed in with several factors"

    def test_findings_by_kind_and_direction_and_what_was_not_looked_into(self, pack):
        assert rows(pack.masking.findings) == [("pan", "request", 3), ("security_code", "response", 1)]
        assert rows(pack.masking.not_inspected) == [("image", 3)]
        assert rows(pack.masking.stripped) == [("logprobs", 1)]
        assert row(pack, "3.3.1.2").facts["found and taken out"] == 1
        assert row(pack, "3.3.1.2").status == "supported", "images were not looked into"

    def test_failures_of_controls_with_start_end_duration_and_cause(self, pack):
        found = [
            (each.control, each.start[11:19], each.end[11:19], each.duration_seconds, each.cause, each.reports)
            for each in pack.incidents[:-1]
        ]
        assert found == [
            ("clock", "", "02:53:20", -1.0, "cause spool_full", 1),
            ("audit_spool", "03:53:20", "03:54:50", 90.5, "cause spool_full", 2),
            ("new exchanges", "04:53:20", "04:53:21", 1.0, "cause disk_full", 1),
            ("audit_store", "05:53:20", "", -1.0, "cause AccessDenied", 1),
        ]
        assert row(pack, "10.7.3").facts == {"failures and pauses": 5, "ended": 4, "open": 1}
        assert row(pack, "10.7.3").status == "not covered", "one is open"

    def test_a_failure_of_a_worker_ends_with_its_process(self, pack):
        last = pack.incidents[-1]
        assert (last.control, last.cause, last.ended_by) == ("policy", "cause <b>problems</b>", "its process ended")
        assert last.start == "2025-01-01T07:53:20.000+00:00"
        assert last.end.startswith("2025-01-01T22:53:")
        assert {each.ended_by for each in pack.incidents[:-1]} == {"restored", ""}

    def test_policies_decisions_shreddings_retention_and_clocks(self, pack):
        assert [(each.digest, each.records) for each in pack.policies] == [("sha256:d2", 4), ("sha256:d1", 8)]
        assert rows(pack.decisions) == [(f"{ISSUER}|carol", "granted", 1), (f"{ISSUER}|carol", "refused", 1)]
        assert [each.said for each in pack.shreddings] == [{"exchange": "x-9", "keys": 1}]
        assert pack.retention_check.said == {"over_age": 0, "incomplete": False, "oldest_key_bag_ms": T0}
        assert row(pack, "3.2.1").status == "supported"
        assert pack.clock.reports == {"synchronised": 3, "unsynchronised": 1}
        assert (pack.clock.error_ms_max, pack.clock.step_ms_max, pack.store.lag_seconds_max) == (16.0, 7, 12.5)
        assert row(pack, "10.6.1").status == "not covered"

    def test_callers_and_keys_and_the_store(self, pack):
        assert rows(pack.people)[0] == (f"{ISSUER}|ada", 2)
        assert [(each.purpose, each.provider, each.state) for each in pack.keys] == [
            ("signing", "file", "in use"),
            ("content", "file", "in use"),
            ("digest", "file", "in use"),
        ]
        assert row(pack, "3.6.1.2").status == "not covered"
        assert row(pack, "3.7.4").status == "enforced"
        assert pack.store.objects == {"evidence": 6, "registry": 3}
        assert pack.store.inspection is None
        assert row(pack, "10.3.2").status == "not covered", "a directory"

    def test_samples_show_the_six_fields_and_where_the_record_is(self, pack):
        samples = next(each.samples for each in pack.events if each.event == "inference.end")
        assert len(samples) == 2
        assert (samples[0].user, samples[0].time) == (f"{ISSUER}|ada (ada)", "2025-01-01T03:53:20.900+00:00")
        assert (samples[0].result, samples[0].origin) == ("completed 200", "192.0.2.7")
        assert samples[0].affected == "llama chat HTTP/1.1"
        assert re.fullmatch(r"test/worker-0/\S+#\d+", samples[0].place)

    def test_the_detectors_were_asked(self, pack):
        assert len(pack.masking.self_test) >= 20
        assert all(answer.right for answer in pack.masking.self_test)
        assert {answer.expected for answer in pack.masking.self_test} == {
            "", "pan", "track", "security_code", "pin", "pin_block"
        }  # fmt: skip

    def test_the_log_is_proven(self, pack):
        assert (pack.proof.exit_code, pack.proof.verdict, pack.proof.findings_total) == (0, "proven", 0)


class TestHtml:
    def test_parses_and_shows_foreign_text_as_text(self, pack, made):
        page = (made / "pack" / "evidence.html").read_text("utf-8")
        parser = Page()
        parser.feed(page)
        parser.close()
        assert parser.open == []
        assert not parser.names & {"script", "img", "link", "iframe", "a", "b", "object", "form"}
        assert not parser.attributes & {"src", "href", "onclick", "onerror", "style"}
        assert "http-equiv" in parser.attributes
        assert "<script>alert(1)</script>" in parser.text
        assert "<b>problems</b>" in parser.text

    def test_every_requirement_is_in_both_with_its_old_number(self, pack, made):
        page = Page()
        page.feed((made / "pack" / "evidence.html").read_text("utf-8"))
        assert len({each.number for each in REQUIREMENTS}) == len(REQUIREMENTS)
        assert [each.number for each in pack.requirements] == [each.number for each in REQUIREMENTS]
        for each in REQUIREMENTS:
            assert each.number in page.cells
            assert each.old in page.cells
            assert each.title in page.cells
        assert {each.status for each in pack.requirements} == {"enforced", "supported", "not covered"}

    def test_what_records_say_is_shown_in_words(self, made):
        page = Page()
        page.feed((made / "pack" / "evidence.html").read_text("utf-8"))
        assert {"over age", "incomplete", "no", "oldest key bag", "2025-01-01T02:53:20.000+00:00"} <= page.cells
        assert not {"over_age", "False", "oldest_key_bag_ms", str(T0)} & page.cells

    def test_no_card_number_is_in_either_file(self, pack, made):
        for name in ("evidence.html", "evidence.json"):
            text = (made / "pack" / name).read_text("utf-8")
            assert PAN not in text
            assert "4111" not in text.replace("[PAN]", "")
            assert "bob [PAN]" in text

    def test_limits_are_said_plainly(self, pack, made):
        page = (made / "pack" / "evidence.html").read_text("utf-8")
        for words in ("no second factor", "local directory", "3.6.1.2 is not met", "No anchor", "not inspected"):
            assert any(words in limit for limit in pack.limits), words
            assert words in page


class Page(HTMLParser):
    """Names, attributes and text of a page, and what was opened and not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.cells: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        self.cells.add(data)


class TestOutcomes:
    def test_an_empty_period_is_incomplete_and_says_so(self, told, run, tmp_path):
        result = run("--from", "2024-01-01", "--to", "2024-01-02")
        assert result.exit_code == 2
        pack = read(tmp_path)
        assert (pack.empty, pack.exit_code, pack.records) == (True, 2, 0)
        assert {each.status for each in pack.requirements} == {"not shown in this period", "not covered"}
        assert "This pack shows nothing" in (tmp_path / "pack" / "evidence.html").read_text()

    def test_a_finding_of_the_verifier_is_exit_code_1_and_in_the_pack(self, told, run, tmp_path):
        path = next(path for path in told.rglob("*.jsonl") if "worker-0" in str(path))
        path.write_bytes(path.read_bytes().replace(b"192.0.2.7", b"192.0.2.8", 1))
        result = run(*PERIOD)
        assert result.exit_code == 1
        pack = read(tmp_path)
        assert (pack.exit_code, pack.proof.verdict) == (1, "not proven: findings")
        assert "ALTERED" in {each.name for each in pack.proof.findings}
        assert row(pack, "10.3.4").status == "not covered"
        assert (row(pack, "10.2.2").status, row(pack, "3.7.4").status) == ("not proven", "enforced")
        assert row(pack, "10.2.2").limits[0].startswith("the verifier has a finding")
        assert "finding" in {each.level for each in pack.proof.findings}

    def test_a_period_that_begins_before_the_log_is_said_to(self, told, run, tmp_path):
        result = run("--from", "2024-12-01", "--to", PERIOD[3])
        assert result.exit_code == 2
        assert "incomplete: the log begins at 2025-01-01T00:53:2" in result.stdout
        pack = read(tmp_path)
        assert pack.proof.begins.startswith("2025-01-01T00:53:2")
        assert [each.name for each in pack.proof.findings] == ["SHORT"]
        assert "the log begins at" in pack.proof.findings[0].what
        assert row(pack, "10.2.2").status == "enforced"

    def test_a_record_that_cannot_be_read_is_said_and_the_others_are_counted(self, told, run, tmp_path):
        path = next(path for path in told.rglob("*.jsonl") if "worker-0" in str(path))
        path.write_bytes(path.read_bytes().replace(b'{"chain"', b'["chain"', 1))
        assert run(*PERIOD).exit_code == 1
        pack = read(tmp_path)
        assert (pack.records, pack.exit_code) == (36, 1)
        assert [each.split(maxsplit=4)[4] for each in pack.not_read] == [
            "is not what its manifest says",
            "has a line that is no record",
        ]
        assert "every number may be too small" in (tmp_path / "pack" / "evidence.html").read_text()

    def test_a_folder_with_something_in_it_is_left_as_it_is(self, told, run, tmp_path):
        (tmp_path / "pack").mkdir()
        (tmp_path / "pack" / "note").write_text("kept")
        assert run(*PERIOD).exit_code == 2
        assert [path.name for path in (tmp_path / "pack").iterdir()] == ["note"]
        assert run(*PERIOD, output="missing/pack").exit_code == 2

    def test_the_reading_is_recorded_first_and_without_that_nothing_is_written(self, told, run, tmp_path, monkeypatch):
        import extproc.audit.log.journal as module

        def refuse(*_: object) -> str:
            raise Unavailable(Reason.AUDIT_UNAVAILABLE)

        with monkeypatch.context() as patch:
            patch.setattr(module, "write_once", refuse)
            assert run(*PERIOD).exit_code == 2
        assert not (tmp_path / "pack").exists()
        now = time.time_ns() // 1_000_000
        assert run(*PERIOD).exit_code == 0
        settings = load_settings(tmp_path / "config.yaml").audit
        found = find_records(Holdings.look(open_store(settings), settings.spool, settings.deployment))
        (reading,) = (
            item.record for item in found if item.record.time_ms >= now and item.record.resource.operation == "evidence"
        )
        assert reading.event_code is EventCode.AUDIT_READ
        assert reading.detail == {"from_ms": T0, "to_ms": T0 + 24 * HOUR}

    def test_what_an_anchor_remembers_stands_behind_the_proof(self, told, run, tmp_path):
        document = {
            "apiVersion": "extproc/v1",
            "kind": "Anchor",
            "name": "anchor.test/evidence",
            "deployment": "test",
            "public_key": str(tmp_path / "keys" / "deployment.pub"),
            "store": {"directory": str(told)},
            "key": "anchor.key",
            "memory": "memory",
        }
        (tmp_path / "anchor").mkdir()
        (tmp_path / "anchor" / "anchor.yaml").write_text(yaml.safe_dump(document))
        watch = ["audit", "anchor", "--config", str(tmp_path / "anchor" / "anchor.yaml")]
        key = CliRunner().invoke(main, [*watch, "--show-key"]).stdout.strip()
        assert CliRunner().invoke(main, [*watch, "--once"]).exit_code == 0
        options = ("--anchor", str(tmp_path / "anchor" / "memory"), "--anchor-key", key)
        assert run(*PERIOD, *options).exit_code == 0
        pack = read(tmp_path)
        assert (pack.proof.anchor.name, pack.proof.anchor.heads) == ("anchor.test/evidence", 3)
        assert row(pack, "10.3.4").facts["heads remembered outside"] == 3
        assert any("last co-signed at" in limit for limit in pack.limits)
        assert not any("No anchor" in limit for limit in pack.limits)
        for path in told.rglob("*"):
            if path.is_file() and "/cli/" in path.as_posix():
                path.unlink()
        assert run(*PERIOD, *options, output="later").exit_code == 1
        assert {each.name for each in read(tmp_path, "later").proof.findings} == {"EPOCH_MISSING"}
        assert run(*PERIOD, *options[:2], output="half").exit_code == 2

    def test_beside_a_living_worker_what_it_has_written_counts_and_is_proven(self, told, run, tmp_path):
        """The service before the period is what the register reaches back to."""
        settings = load_settings(tmp_path / "config.yaml").audit
        journal = Journal.open(settings, open_keys(settings), writer="worker-1", deliver=lambda run: run())
        try:
            now = time.time_ns() // 1_000_000 - T0
            done: queue.SimpleQueue[bool] = queue.SimpleQueue()
            for record in (
                make(EventCode.INFERENCE_REQUEST, now, actor=caller("ada", "mfa"), exchange_id="x-live"),
                make(EventCode.INFERENCE_END, now, Outcome.COMPLETED, actor=caller("ada", "mfa"), exchange_id="x-live"),
            ):
                journal.append_record(record, done.put)
            assert [done.get(timeout=30) for _ in range(2)] == [True, True]
            result = run("--from", "1h")
        finally:
            journal.close()
        assert result.exit_code == 0, result.output
        pack = read(tmp_path)
        assert {each.event: each.count for each in pack.events if each.count} == {
            "inference.request": 1,
            "inference.end": 1,
            "log.start": 1,
        }
        assert (pack.proof.verdict, [each.name for each in pack.proof.findings]) == ("proven", ["LIVE"])
        assert pack.proof.findings_total == 0, "it only tells"

    def test_a_failed_write_leaves_no_half_pack(self, told, run, tmp_path, monkeypatch):
        import extproc.audit.evidence.files as module

        real, calls = module.write_new, []

        def full(path: Path, data: bytes, mode: int) -> None:
            calls.append(path)
            if len(calls) == 2:
                raise OSError(28, "No space left on device")
            real(path, data, mode)

        monkeypatch.setattr(module, "write_new", full)
        assert run(*PERIOD).exit_code == 2
        assert len(calls) == 2
        assert not [path.name for path in tmp_path.iterdir() if "pack" in path.name]

    def test_the_files_are_for_their_owner(self, made):
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (made / "pack").iterdir()}
        assert modes == {"evidence.html": 0o600, "evidence.json": 0o600}
        assert stat.S_IMODE((made / "pack").stat().st_mode) == 0o700

    @pytest.mark.parametrize("arguments", [("--from", "1h", "--to", "2h"), ("--from", "2100-01-01"), ("--from", "x")])
    def test_a_period_that_is_none_is_wrong_input(self, run, arguments, tmp_path):
        assert run(*arguments).exit_code == 2
        assert not (tmp_path / "pack").exists()

    def test_a_bad_policy_is_wrong_input(self, run, tmp_path):
        (tmp_path / "policy.yaml").write_text("{}")
        result = run(*PERIOD)
        assert result.exit_code == 2
        assert "policy check" in result.stderr

    def test_an_open_policy_is_not_called_deny_all(self, told, run, tmp_path):
        (tmp_path / "policy.yaml").write_text(POLICY.replace("match: {groups: [analysts]}", "match: {}"))
        run(*PERIOD)
        pack = read(tmp_path)
        assert row(pack, "7.3.3").facts["a caller without groups, tried now"] == "allowed something"
        assert row(pack, "7.3.3").status == "not covered"


def test_the_structure_is_closed_and_described(made):
    schema = (ROOT / "proto" / "extproc" / "evidence" / "v1" / "pack.schema.json").read_text()
    assert schema == pack_schema(), "run `make proto`"
    validator = Draft202012Validator(json.loads(schema))
    document = json.loads((made / "pack" / "evidence.json").read_bytes())
    assert list(validator.iter_errors(document)) == []
    assert list(validator.iter_errors(document | {"more": 1}))


@pytest.mark.parametrize(
    ("methods", "several"),
    [
        (["mfa"], True),
        (["pwd", "otp"], True),
        (["pin", "hwk"], True),
        (["pwd", "pin"], False),
        (["pwd"], False),
        (["pwd", "geo", "user"], False),
        ([], False),
    ],
)
def test_two_methods_of_one_kind_are_one_factor(methods, several):
    assert means_several_factors(methods) is several


def test_a_program_is_its_own_subject():
    assert is_automated(f"{ISSUER}|robot", "robot")
    assert not is_automated(f"{ISSUER}|ada", "console")
    assert not is_automated("anonymous", "")


def test_a_tally_holds_so_many_names_and_counts_the_rest():
    tally: Tally[str] = Tally()
    for number in range(MAX_NAMES + 500):
        tally.add(f"n-{number}")
    tally.add("n-0")
    assert (len(list(tally)), tally.unnamed, tally.total) == (MAX_NAMES, 500, MAX_NAMES + 501)
    assert next(iter(tally)) == ("n-0", 2)
