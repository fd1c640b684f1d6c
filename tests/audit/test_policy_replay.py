"""`extproc policy replay`: its table is what really changes when the other policy is put in force."""

import datetime as dt
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings

from extproc.audit.reading.reader import Span
from extproc.audit.records.line import encode_record, line_head, parse_record
from extproc.cli.main import main
from extproc.cli.policy_replay import _bar
from extproc.core.ledger import Ledger
from extproc.core.policy import Decision, DecisionInput, Effect, Facts, Operation, Policy
from extproc.core.policy_document import parse_policy
from extproc.core.policy_replay import MAX_EXAMPLES, Replay, Verdict, recorded_verdict
from extproc.core.principal import Principal
from extproc.core.record import EventCode, Outcome, Record
from extproc.core.recorded import changing
from tests.audit.configured import write_config
from tests.audit.conftest import Log
from tests.audit.traffic import Player, Request, requests
from tests.core import random_policies as some

HEAD = "apiVersion: extproc/v1\nkind: Policy\nname: test\n"
HOLD = "hold: {approvers: [boss], wait: 30s, expire: 1h}"
OLD = (
    HEAD
    + f"""rules:
  - {{name: no-admin, effect: deny, match: {{operations: [model_admin]}}, text: no}}
  - {{name: big, effect: hold, match: {{at_least: {{max_tokens: 4500}}}}, {HOLD}}}
  - {{name: people, effect: allow, match: {{groups: [analysts, staff]}}}}
  - {{name: jobs, effect: allow, match: {{groups: [jobs], connections: [small]}}}}
"""
)
NEW = (
    HEAD
    + f"""rules:
  - {{name: cards, effect: deny, match: {{at_least: {{findings: 2}}}}}}
  - {{name: no-tools, effect: deny, match: {{}}, when: '"shell" in request.tool_names && principal.name != "Bo [PAN]"'}}
  - {{name: big, effect: hold, match: {{at_least: {{max_tokens: 3000}}, models: ["llama-*"]}}, {HOLD}}}
  - {{name: people, effect: allow, match: {{groups: [analysts], kinds: [person]}}}}
  - name: by-day
    effect: allow
    match:
      kinds: [service]
      times: [{{days: [mon, tue, wed, thu, fri], from: "06:00", to: "18:00", zone: UTC}}]
  - {{name: strong, effect: allow, match: {{groups: [staff]}}, require: {{mfa: true}}}}
  - {{name: dry, effect: deny, match: {{models: ["mistral-*"]}}, mode: shadow, shadow_until: 2030-01-01}}
response_rules:
  - {{name: many, effect: cut, match: {{kinds: [person]}}, when: response.findings.pan > 2}}
  - {{name: long, effect: cut, match: {{}}, when: response.characters > 100, mode: shadow, shadow_until: 2030-01-01}}
"""
)


def play(log: Log, policy: Policy, traffic: list[Request]) -> dict[str, Record]:
    """The records that ended the exchanges, which stand in the log."""
    journal = log.open()
    player = Player(policy, journal.append_record)
    ends = {request.exchange_id: player.play(request) for request in traffic}
    journal.close()
    log.ship()
    return ends


def replay(new: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["policy", "replay", "--policy", str(new), *arguments])


@pytest.fixture
def new(tmp_path: Path) -> Path:
    path = tmp_path / "new.yaml"
    path.write_text(NEW)
    return path


def test_the_table_is_what_really_changes(log: Log, new: Path) -> None:
    traffic = list(requests(200, seed=7))
    before = play(log, parse_policy(OLD.encode()), traffic)
    player = Player(parse_policy(NEW.encode()), lambda _: None)
    after = {request.exchange_id: player.play(request) for request in traffic}
    then = {each: recorded_verdict(record) for each, record in before.items()}
    now = {each: expected(before[each], record) for each, record in after.items()}
    wanted = Counter((then[each], now[each]) for each in then if then[each] != now[each])
    assert len(wanted) > 8  # or the traffic shows little

    result = replay(new, "--store", str(log.store_path), "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    table = {
        (Verdict(**row["then"]), Verdict(**row["now"])): (row["count"], row["examples"]) for row in said["changed"]
    }
    assert {change: count for change, (count, _) in table.items()} == wanted
    for (one, other), (count, examples) in table.items():
        assert len(examples) == min(count, MAX_EXAMPLES)
        assert all((then[each], now[each]) == (one, other) for each in examples)
    assert said["decided"] == len(traffic)
    assert {k: v for k, v in said["totals"]["then"].items() if v} == Counter(each.effect for each in then.values())
    assert {k: v for k, v in said["totals"]["now"].items() if v} == Counter(each.effect for each in now.values())
    assert {row["rule"] for row in said["shadow"]} == {"dry", "long"}
    would: Counter[str] = Counter()
    for each, record in after.items():
        judged = is_judged(before[each], record) and now[each].effect != "cut"
        would.update(name for name in changing(record) if name != "long" or judged)
    assert {row["rule"]: row["would_change"] for row in said["shadow"]} == would
    assert said["totals"]["now"]["cut"] > 3


# As a property --------------------------------------------------------------------------------------------------------


def expected(before: Record, after: Record) -> Verdict:
    """What came of it, as far as it can be told beforehand."""
    assert after.policy is not None
    return recorded_verdict(after) if is_judged(before, after) else Verdict(after.policy.effect, after.policy.rule)


def is_judged(before: Record, after: Record) -> bool:
    """Whether an answer is cut that nobody gave then, or for which somebody must say yes now, nobody knows."""
    assert before.policy is not None
    assert after.policy is not None
    answered = before.decision is not None and before.decision.response is not None
    return answered and (after.policy.effect != "hold" or before.policy.effect == "hold")


TRAFFIC = list(requests(24, seed=3))


@given(old=some.policies(most_budgets=0, most_response_rules=0), new=some.policies(most_budgets=0))
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_whatever_the_policies_a_replay_says_what_comes_of_the_same_traffic(old: Policy, new: Policy) -> None:
    before, after, again = Player(old, lambda _: None), Player(new, lambda _: None), Replay(new)
    wanted: Counter[tuple[Verdict, Verdict]] = Counter()
    for request in TRAFFIC:
        end = before.play(request)
        then, now = recorded_verdict(end), expected(end, after.play(request))
        if then != now:
            wanted[then, now] += 1
        line = line_head("d/w/e", 1, "0" * 64, "", 0) + encode_record(end)[1:]
        again.add(request.exchange_id, parse_record(line))
    assert {(change.then, change.now): count for change, count in again.changes.items()} == wanted
    assert (again.decided, again.not_rebuilt, again.undecided) == (len(TRAFFIC), 0, 0)


# Budgets --------------------------------------------------------------------------------------------------------------

BUDGET = """apiVersion: extproc/v1
kind: Policy
name: budgeted
rules: [{name: people, effect: allow, match: {groups: [analysts]}}]
budgets:
  - name: a-day
    match: {groups: [analysts]}
    count: exchanges
    per: person
    window: 24h
    steps: [{at: 10, do: deny, text: enough}]
"""


def counted_record(counts: dict[str, int]) -> Record:
    """Ann was allowed to chat when so much had been counted."""
    ann = Principal("https://idp", "ann", "Ann", ("analysts",))
    given_ = DecisionInput(ann, "small", Operation.CHAT, Facts(), {}, 1_795_600_000.0, "unknown", budgets=counts)
    ledger = Ledger("x", "", 1_795_600_000.0, 0.0)
    ledger.seen(ann, lambda text: text)
    ledger.connection, ledger.operation = "small", Operation.CHAT
    ledger.judged(Decision(Effect.ALLOW, "people", "", "sha256:0", None, ("people",)), given_)
    return ledger.record(EventCode.INFERENCE_END, 1.0, Outcome.COMPLETED)


@pytest.mark.parametrize(
    ("counts", "rule", "uncounted"),
    [({"a-day": 9}, "people", 0), ({"a-day": 10}, "budget:a-day", 0), ({"other": 99}, "people", 1), ({}, "people", 1)],
    ids=["below", "reached", "another's", "none"],
)
def test_budgets_are_judged_by_the_counts_that_were_read_and_where_there_are_none_that_is_said(
    counts: dict[str, int], rule: str, uncounted: int
) -> None:
    again = Replay(parse_policy(BUDGET.encode()))
    again.add("x", counted_record(counts))
    assert [change.now.rule for change in again.changes] == ([rule] if rule != "people" else [])
    assert again.uncounted["a-day"] == uncounted


def test_of_what_a_rule_denies_no_budget_is_asked() -> None:
    rule = "{name: no-chat, effect: deny, match: {operations: [chat], connections: [small]}}, "
    again = Replay(parse_policy(BUDGET.replace("rules: [", f"rules: [{rule}").encode()))
    again.add("x", counted_record({}))
    assert [change.now.rule for change in again.changes] == ["no-chat"]
    assert not again.uncounted


# The command ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fail_on", "code"),
    [("", 0), ("any", 1), ("allow-to-deny", 1), ("deny-to-hold,allow-to-allow", 0), ("cut-to-allow, allow-to-deny", 1)],
    ids=["nothing", "any", "one", "others", "several"],
)
def test_it_fails_on_the_changes_that_are_named(log: Log, new: Path, fail_on: str, code: int) -> None:
    new.write_text(HEAD + "rules:\n  - {name: no-chat, effect: deny, match: {operations: [chat]}}\n")
    old = HEAD + "rules:\n  - {name: chat, effect: allow, match: {operations: [chat]}}\n"
    play(log, parse_policy(old.encode()), list(requests(12, seed=1)))
    result = replay(new, "--store", str(log.store_path), *(["--fail-on", fail_on] if fail_on else []))
    assert result.exit_code == code, result.output
    assert "allow   chat  deny  no-chat" in " ".join(result.stdout.splitlines()) or "no-chat" in result.stdout


@pytest.mark.parametrize("wrong", ["allow-to-refuse", "everything", "allow"])
def test_a_change_that_there_is_not_is_wrong_use(log: Log, new: Path, wrong: str) -> None:
    result = replay(new, "--store", str(log.store_path), "--fail-on", wrong)
    assert result.exit_code == 2
    assert "such as `allow-to-deny`" in result.stderr


def test_what_earlier_versions_wrote_is_counted_and_not_guessed(new: Path) -> None:
    golden = Path(__file__).parent / "golden/v2/store"
    result = replay(new, "--store", str(golden))
    assert result.exit_code == 0
    assert "0 decided again" in result.stdout
    assert "could not be decided again" in result.stdout
    assert replay(new, "--store", str(golden), "--strict").exit_code == 2


CHATS = "rules:\n  - {name: chat, effect: allow, match: {operations: [chat]}}\n"
COUNTED = "budgets:\n  - {name: b, match: {}, count: exchanges, per: person, window: 1h, steps: [{at: 9, do: deny}]}\n"
CUTS = "response_rules:\n  - {name: many, effect: cut, match: {}, when: response.findings.pan > 2}\n"


@pytest.mark.parametrize(
    ("old", "tried", "said"),
    [("", CHATS, ""), ("", CHATS + COUNTED, "budget b: "), ("deny", CHATS + CUTS, " had no answer")],
    ids=["whole", "no counts", "no answers"],
)
def test_strict_is_content_only_with_what_was_decided_in_whole(
    log: Log, new: Path, old: str, tried: str, said: str
) -> None:
    new.write_text(HEAD + tried)
    then = CHATS.replace("effect: allow", f"effect: {old or 'allow'}")
    play(log, parse_policy((HEAD + then).encode()), list(requests(12, seed=1)))
    for strict, code in (((), 0), (("--strict",), 2 if said else 0)):
        result = replay(new, "--store", str(log.store_path), *strict)
        assert result.exit_code == code, result.output
        assert said in result.stdout
        assert ("--strict: ends with 2, as 2 " in result.stderr) is (code == 2)


@pytest.mark.parametrize("command", ["replay", "explain"])
def test_the_help_says_which_variable_is_read(command: str) -> None:
    said = CliRunner().invoke(main, ["policy", command, "--help"]).stdout
    assert "EXTPROC_CONFIG" in said


def test_a_replay_of_nothing_says_so(log: Log, new: Path) -> None:
    play(log, parse_policy(OLD.encode()), list(requests(3, seed=1)))
    never = ("--store", str(log.store_path), "--from", "2100-01-01", "--to", "2100-01-02")
    for arguments, code, said in (((), 0, False), (("--fail-on", "any"), 0, True), (("--strict",), 2, True)):
        result = replay(new, *never, *arguments)
        assert result.exit_code == code, result.output
        assert ("nothing was decided again" in result.stderr) is said


def test_it_says_what_no_replay_can_see(log: Log, new: Path) -> None:
    play(log, parse_policy(OLD.encode()), list(requests(3, seed=1)))
    out = replay(new, "--store", str(log.store_path)).stdout
    assert "what this policy masks differently" in out
    assert "refused before the policy was asked" in out


def test_a_span_and_a_limit_are_kept_to(log: Log, new: Path) -> None:
    traffic = list(requests(20, seed=1, began=int(time.time()), apart=1.0))
    play(log, parse_policy(OLD.encode()), traffic)
    since, until = (dt.datetime.fromtimestamp(traffic[number].at, dt.UTC).isoformat() for number in (5, 15))

    def decided(*arguments: str) -> int:
        result = replay(new, "--store", str(log.store_path), "--json", *arguments)
        return int(json.loads(result.stdout)["decided"])

    assert decided("--from", since, "--to", until) == 10
    assert decided("--limit", "7") == 7


def test_a_replay_is_recorded_before_it_shows_anything(
    log: Log, new: Path, tmp_path: Path, lines_of: Callable[[Any], Any]
) -> None:
    play(log, parse_policy(OLD.encode()), list(requests(3, seed=1)))
    result = replay(new, "--config", str(write_config(tmp_path)))
    assert result.exit_code == 0, result.output
    log.ship()
    read = next(line for line in lines_of(log) if line["event_code"] == "audit.read")
    assert read["resource"]["operation"] == "policy.replay"
    assert read["detail"]["policy"] == parse_policy(NEW.encode()).digest


def test_a_replay_that_cannot_be_recorded_shows_nothing(log: Log, new: Path, tmp_path: Path) -> None:
    play(log, parse_policy(OLD.encode()), list(requests(3, seed=1)))
    shutil.rmtree(log.settings.keys)
    result = replay(new, "--config", str(write_config(tmp_path)))
    assert (result.exit_code, result.stdout) == (2, "")


def test_on_a_terminal_a_bar_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    again = Replay(parse_policy(NEW.encode()), decided=5)
    with _bar(Span(1_000, 2_000)) as reached:
        reached(1_500, again)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    with _bar(Span(1_000, 2_000)) as reached:
        reached(1_500, again)
    assert "5 exchanges, 0 changed" in capsys.readouterr().err


def test_ten_thousand_exchanges_are_decided_again_in_bounded_time(log: Log, new: Path) -> None:
    """10 000 within the 30 s that the promise gives; it takes a few."""
    ends: list[Record] = []
    player = Player(parse_policy(OLD.encode()), ends.append)
    for request in requests(100, seed=9):
        player.play(request)
    journal = log.open()
    exchanges = {record.exchange_id for record in ends}
    for turn in range(10_000 // len(exchanges)):
        for record in ends:
            journal.append_record(
                msgspec.structs.replace(
                    record, exchange_id=f"{record.exchange_id[:-16]}{turn:08x}{record.exchange_id[-8:]}"
                )
            )
    journal.close()
    log.ship()
    began = time.process_time()
    result = replay(new, "--store", str(log.store_path), "--json")
    assert json.loads(result.stdout)["decided"] == 10_000
    assert time.process_time() - began < 30
