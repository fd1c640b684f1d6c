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
from hypothesis import strategies as st

from extproc.audit.records.line import encode_record, line_head, parse_record
from extproc.cli.main import main
from extproc.core.masking.settings import MaskingSettings
from extproc.core.policy import AtLeast, Effect, HoldTerms, Match, Operation, Policy, Rule, TimeSpan
from extproc.core.policy_document import parse_policy
from extproc.core.policy_replay import MAX_EXAMPLES, Replay, Verdict, recorded_verdict
from extproc.core.record import Record
from tests.audit.configured import write_config
from tests.audit.conftest import Log
from tests.audit.traffic import Player, Request, requests

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
  - {{name: no-tools, effect: deny, match: {{at_least: {{tools: 2}}}}}}
  - {{name: big, effect: hold, match: {{at_least: {{max_tokens: 3000}}, models: ["llama-*"]}}, {HOLD}}}
  - {{name: people, effect: allow, match: {{groups: [analysts], kinds: [person]}}}}
  - name: by-day
    effect: allow
    match:
      kinds: [service]
      times: [{{days: [mon, tue, wed, thu, fri], from: "06:00", to: "18:00", zone: UTC}}]
  - {{name: dry, effect: deny, match: {{models: ["mistral-*"]}}, mode: shadow, shadow_until: 2030-01-01}}
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


def verdicts(ends: dict[str, Record]) -> dict[str, Verdict]:
    return {exchange_id: recorded_verdict(record) for exchange_id, record in ends.items()}


@pytest.fixture
def new(tmp_path: Path) -> Path:
    path = tmp_path / "new.yaml"
    path.write_text(NEW)
    return path


def test_the_table_is_what_really_changes(log: Log, new: Path) -> None:
    traffic = list(requests(300, seed=7))
    then = verdicts(play(log, parse_policy(OLD.encode()), traffic))
    ends: list[Record] = []
    player = Player(parse_policy(NEW.encode()), ends.append)
    now = verdicts({request.exchange_id: player.play(request) for request in traffic})
    wanted = Counter((then[each], now[each]) for each in then if then[each] != now[each])
    assert len(wanted) > 8  # or the traffic shows little

    result = replay(new, "--store", str(log.store_path), "--json", "--strict")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    table = {
        (Verdict(**row["then"]), Verdict(**row["now"])): (row["count"], row["examples"]) for row in said["changed"]
    }
    assert {change: count for change, (count, _) in table.items()} == wanted
    for (before, after), (count, examples) in table.items():
        assert len(examples) == min(count, MAX_EXAMPLES)
        assert all((then[each], now[each]) == (before, after) for each in examples)
    assert said["decided"] == len(traffic)
    assert {k: v for k, v in said["totals"]["then"].items() if v} == Counter(each.effect for each in then.values())
    assert {k: v for k, v in said["totals"]["now"].items() if v} == Counter(each.effect for each in now.values())
    would = sum(1 for end in ends for each in (end.decision.shadow if end.decision else ()) if each.would_change)
    assert would == 0 or said["shadow"][0]["rule"] == "dry"


# As a property --------------------------------------------------------------------------------------------------------

_any_of = st.sampled_from
matches = st.builds(
    Match,
    groups=st.just(()) | st.lists(_any_of(["analysts", "staff", "jobs"]), min_size=1, max_size=2).map(tuple),
    subjects=st.just(()) | st.lists(_any_of(["ann", "https://idp|bo|x", "x"]), min_size=1, max_size=2).map(tuple),
    models=st.just(()) | st.lists(_any_of(["llama-*", "*-7b", "llama-3-8b"]), min_size=1, max_size=2).map(tuple),
    operations=st.just(()) | st.lists(_any_of(Operation), min_size=1, max_size=3).map(tuple),
    connections=st.just(()) | st.just(("small",)) | st.just(("l*",)),
    at_least=st.builds(
        AtLeast,
        max_tokens=st.none() | _any_of([16, 4500]),
        messages=st.none() | _any_of([2, 9]),
        tools=st.none() | _any_of([1, 2]),
        findings=st.none() | _any_of([1, 2]),
        body_bytes=st.none() | _any_of([200]),
    ),
    kinds=st.just(()) | st.just(("service",)) | st.just(("person",)),
    times=st.just(())
    | st.builds(
        TimeSpan,
        days=_any_of([(0, 1, 2), (2, 3)]),
        start=_any_of([0, 600]),
        end=_any_of([300, 1440]),
        zone=st.just("UTC"),
    ).map(lambda span: (span,)),
)
holds = HoldTerms(approver_groups=("boss",), wait_seconds=30.0, expire_seconds=3600.0, detach=False)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    rules = tuple(
        Rule(f"r{number}", effect, draw(matches), "", holds if effect is Effect.HOLD else None)
        for number, effect in enumerate(draw(st.lists(_any_of(Effect), max_size=6)))
    )
    return Policy("sha256:" + "0" * 64, "random", rules, MaskingSettings())


TRAFFIC = list(requests(24, seed=3))


@given(old=policies(), new=policies())
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_whatever_the_policies_a_replay_says_what_comes_of_the_same_traffic(old: Policy, new: Policy) -> None:
    before, after, again = Player(old, lambda _: None), Player(new, lambda _: None), Replay(new)
    wanted: Counter[tuple[Verdict, Verdict]] = Counter()
    for request in TRAFFIC:
        end = before.play(request)
        then, now = recorded_verdict(end), recorded_verdict(after.play(request))
        if then != now:
            wanted[then, now] += 1
        line = line_head("d/w/e", 1, "0" * 64, "", 0) + encode_record(end)[1:]
        again.add(request.exchange_id, parse_record(line))
    assert {(change.then, change.now): count for change, count in again.changes.items()} == wanted
    assert (again.decided, again.not_rebuilt, again.undecided) == (len(TRAFFIC), 0, 0)


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
    began = time.monotonic()
    result = replay(new, "--store", str(log.store_path), "--json")
    assert json.loads(result.stdout)["decided"] == 10_000
    assert time.monotonic() - began < 30
