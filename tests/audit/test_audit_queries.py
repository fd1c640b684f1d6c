"""The queries of QUERIES.md are run as they stand there, on a month, exported and in place, and their answers are exact."""

import json
import random
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow.compute
import pyarrow.dataset
import pytest
from click.testing import CliRunner

import extproc.audit
from extproc.audit.reading.export_parquet import COLUMNS
from extproc.cli.main import main
from extproc.core.decision_record import DecisionRef, RequestFacts, ResponseRef, ShadowRef
from extproc.core.record import Actor, EventCode, Outcome, Record
from tests.audit.chronicle import DAY_MS, Epoch, exchange_of, record_of

DOCUMENT = Path(extproc.audit.__file__).parent / "QUERIES.md"
QUERIES = dict(re.findall(r"<!-- ([^>]+) -->\n```sql\n(.*?)\n```", DOCUMENT.read_text("utf-8"), re.DOTALL))
START_MS = 1_790_812_800_000  # 2026-10-01
DAYS = 31
OF_A_DAY = 12


class Month:
    """What happened, day by day, and the records of it; the truth is kept beside them."""

    def __init__(self) -> None:
        self.saw: Counter[tuple[str, str]] = Counter()
        self.refused: Counter[tuple[str, str, str, str]] = Counter()
        self.asked: list[tuple[int, str, str, str, str]] = []
        self.read: list[tuple[int, str, str, dict[str, str]]] = []
        self.shadowed: list[tuple[int, str, str, list[str]]] = []
        self._random = random.Random(7)
        self._number = 0

    def day(self, start_ms: int) -> list[Record]:
        read = {"exchange": f"x-{start_ms}", "view": "conversation"}
        self.read.append((start_ms + 500, "https://idp.test|eve", "audit.replay", read))
        records = [
            record_of(EventCode.LOG_HEARTBEAT, "", start_ms, person="extproc"),
            record_of(EventCode.AUDIT_READ, "", start_ms + 500, person="eve", operation="audit.replay", detail=read),
        ]
        for number in range(OF_A_DAY):
            records += self._exchange(start_ms + 1000 + number * 7_000_000)
        return records

    def _exchange(self, at: int) -> list[Record]:
        self._number += 1
        person = self._random.choice(["ann", "bob", "cyd"])
        model = self._random.choice(["tiny", "large"])
        fate = self._random.choice(["done", "done", "card", "cards", "deny", "cut", "refuse", "shadow", "cut later"])
        exchange_id = f"{at:012x}-{self._number:016x}"
        address = self._random.choice(["192.0.2.7", "2001:db8::7", "local"])
        port = 40_000 + self._number  # another one at each connection
        source = {"192.0.2.7": f"192.0.2.7:{port}", "2001:db8::7": f"[2001:db8::7]:{port}"}.get(address, address)
        ended, outcome, effect, more = at + 1000, Outcome.COMPLETED, "allow", {}
        if fate in ("card", "cards"):
            kinds = {"pan": self._random.randint(1, 3)} | ({"security_code": 1} if fate == "cards" else {})
            more = {"findings_response": kinds, "findings_request": {"pan": 0}}
            self.saw.update((person, kind) for kind in kinds)
        if fate == "cut":
            outcome, more = Outcome.CUT, {"status_detail": "policy_denied"}
        if fate in ("shadow", "cut later"):
            kind = self._random.choice(["person", "service"])
            more = {"decision": decision(fate, self._number), "actor": actor_of(person, kind)}
            if fate == "shadow":
                self.shadowed.append((ended, exchange_id, kind, ["analysts", "staff"]))
        if fate in ("deny", "refuse"):
            code = EventCode.POLICY_DENY if fate == "deny" else EventCode.REQUEST_REFUSE
            reason = "policy_denied" if fate == "deny" else "body_malformed"
            ended, outcome, effect = at, Outcome.REFUSED, "deny" if fate == "deny" else ""
            records = [
                record_of(
                    code,
                    exchange_id,
                    at,
                    person=person,
                    model=model,
                    effect=effect,
                    source=source,
                    status=outcome,
                    status_detail=reason,
                )
            ]
        else:
            records = list(
                exchange_of(self._number, at, person=person, model=model, source=source, status=outcome, **more)
            )
        if outcome is not Outcome.COMPLETED:
            reason = records[-1].status_detail
            self.refused[person, address, str(outcome), reason] += 1
        if person == "ann":
            self.asked.append((ended, exchange_id, model, effect, str(outcome)))
        return records


def decision(fate: str, number: int) -> DecisionRef:
    """Tools that a rule in shadow would have denied, or an answer that a response rule in shadow would have cut."""
    facts = RequestFacts(
        choices=2, stream=True, max_tokens=number, messages=3, tools=1, tool_names=("shell",), prompt_characters=9
    )
    held = ShadowRef(rule="held-anyway", effect="hold")
    denied = ShadowRef(rule="no-tools-yet", effect="deny", would_change=True)
    cut = ResponseRef(rule="many-cards", shadow=("few-cards",))
    shadow, response = ((held, denied), None) if fate == "shadow" else ((held,), cut)
    return DecisionRef(time_ms=number, facts=facts, determining=("analysts", "staff"), shadow=shadow, response=response)


def actor_of(person: str, kind: str) -> Actor:
    return Actor(
        uid=f"https://idp.test|{person}",
        name=person,
        kind=kind,
        tenant="acme",
        mfa=kind == "person",
        context_class="gold",
        spiffe_id="spiffe://a/b",
        certificate_subject="CN=b",
    )


@pytest.fixture(scope="module")
def october(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Month]:
    """A folder with `store/` and the export `october/`: two writers, epochs of some days, a day before and one after."""
    folder, month = tmp_path_factory.mktemp("october"), Month()
    before, after = Month(), Month()
    epoch = Epoch(folder, START_MS - DAY_MS)
    epoch.segment(*before.day(START_MS - DAY_MS))
    for day in range(DAYS):
        if day % 10 == 9:
            epoch = Epoch(folder, START_MS + day * DAY_MS, f"worker-{day % 2}")
        epoch.segment(*month.day(START_MS + day * DAY_MS))
    epoch.segment(*after.day(START_MS + DAYS * DAY_MS))
    arguments = ["--store", str(folder / "store"), "--from", "2026-10-01", "--to", "2026-11-01"]
    result = CliRunner().invoke(
        main, ["audit", "export", *arguments, "--format", "parquet", "--output", str(folder / "october")]
    )
    assert result.exit_code == 0, result.output
    return folder, month


@pytest.fixture(params=["duckdb: export", "duckdb: in place"])
def ask(request, october, monkeypatch):
    """Runs a query of the document, over either form. DuckDB may load nothing from elsewhere."""
    folder, _ = october
    monkeypatch.chdir(folder)
    with duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}) as database:
        database.execute("SET TimeZone = 'UTC'")
        database.execute(QUERIES[request.param])
        database.execute(QUERIES["exchanges"])
        yield lambda name: database.execute(QUERIES[name]).fetchall()


def test_who_saw_card_data(ask, october) -> None:
    _, month = october
    answers = ask("who saw card data")
    assert {(row[1], row[2]): row[3] for row in answers} == month.saw
    assert [row[3] for row in answers] == sorted(month.saw.values(), reverse=True)
    assert all(row[0] == f"https://idp.test|{row[1]}" for row in answers)
    assert len(answers) == 6


def test_who_was_refused(ask, october) -> None:
    _, month = october
    answers = ask("who was refused")
    assert {(row[1], row[2], row[3], row[4]): row[6] for row in answers} == month.refused
    assert {row[3] for row in answers} == {"refused", "cut"}
    assert {row[2] for row in answers} == {"192.0.2.7", "2001:db8::7", "local"}


def test_what_this_person_asked(ask, october) -> None:
    _, month = october
    answers = ask("what did this person ask")
    found = [(unix_ms(row[0]), row[1], row[4], row[5], row[7]) for row in answers]
    assert found == sorted(month.asked)
    assert len(found) > 100


def test_who_read_the_log(ask, october) -> None:
    _, month = october
    answers = ask("who read the log")
    assert [(unix_ms(row[0]), row[1], row[2], json.loads(row[3])) for row in answers] == month.read
    assert len(month.read) == DAYS


def test_what_a_rule_in_shadow_would_have_changed(ask, october) -> None:
    _, month = october
    answers = ask("what a rule in shadow would have changed")
    assert [(unix_ms(row[0]), row[1], row[3], row[7]) for row in answers] == sorted(month.shadowed)
    assert len(month.shadowed) > 10
    assert {(row[5], row[6], row[8]) for row in answers} == {("allow", "analysts", "ab" * 32)}


def test_each_column_in_place_says_what_the_export_says(october, monkeypatch) -> None:
    folder, _ = october
    monkeypatch.chdir(folder)
    rows = []
    for form in ("duckdb: export", "duckdb: in place"):
        with duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}) as base:
            base.execute(QUERIES[form])
            columns = ", ".join(each for each in in_place("duckdb: in place") if each not in ("time", "detail"))
            span = "dt BETWEEN '2026-10-01' AND '2026-10-31'"
            rows.append(base.execute(f"SELECT {columns} FROM records WHERE {span} ORDER BY origin, seq").fetchall())
    assert rows[0] == rows[1]
    assert len(rows[0]) > DAYS * OF_A_DAY


def in_place(view: str) -> list[str]:
    """The columns of a view of the document."""
    return re.findall(r" AS ([a-z_]+)(?:,|$)", QUERIES[view].partition("\nFROM")[0], re.MULTILINE)


def unix_ms(moment: datetime) -> int:
    """An export has times with a zone; in place they are UTC."""
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def test_pyarrow_reads_the_same_month(october) -> None:
    folder, month = october
    data = pyarrow.dataset.dataset(folder / "october", partitioning="hive")
    assert data.schema.names == [*COLUMNS, "dt"]
    field = pyarrow.compute.field
    table = data.to_table(filter=(field("response_findings") > 0) & (field("dt") >= "2026-10-01"))
    saw = Counter((row["person_name"], kind) for row in table.to_pylist() for kind in row["response_kinds"])
    assert saw == month.saw
    assert len({row["dt"] for row in data.to_table(columns=["dt"]).to_pylist()}) == DAYS


def test_the_tables_of_athena_have_the_columns_of_an_export() -> None:
    columns = re.search(r"records \(\n(.*?)\n\)", QUERIES["athena: export"], re.DOTALL)[1]
    declared = re.findall(r"`(\w+)`\s+([\w<>]+)", columns)
    assert declared == [(name, kind.replace("list", "array")) for name, kind in COLUMNS.items()]


def test_the_views_in_place_have_the_same_columns() -> None:
    duckdb_has, athena_has = map(in_place, ("duckdb: in place", "athena: records in place"))
    assert [each for each in athena_has if each != "day"] == duckdb_has
    assert set(duckdb_has) - set(COLUMNS) == {"dt"}
    since_version_3 = list(COLUMNS)[list(COLUMNS).index("person_kind") :]
    assert duckdb_has[-len(since_version_3) :] == since_version_3
