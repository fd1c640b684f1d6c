"""`extproc budgets` with a real configuration, a development issuer, the store and the audit log."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from extproc.approvals.budgets import BudgetStore
from extproc.approvals.database import open_database
from extproc.audit.keys.keys import AuditKeys
from extproc.audit.reading.holdings import Holdings
from extproc.audit.reading.reader import find_records
from extproc.audit.stores.store import open_store
from extproc.cli.budgets import command
from extproc.core.budget_charge import Charge
from extproc.core.record import EventCode
from extproc.core.trust import Secret
from extproc.edge.settings_file import load_settings
from extproc.local.issuer import AUDIENCE, RunningIssuer, mint_token, start_issuer

ANNA, DAY = "https://idp.test|anna", 86400.0
PER_PERSON = "exchanges per person in 86400 s"
POLICY = """
apiVersion: extproc/v1
kind: Policy
name: budgets
rules:
  - {name: all, effect: allow, match: {}}
budgets:
  - name: calls
    match: {}
    count: exchanges
    per: person
    window: 24h
    steps: [{at: 3, do: hold, hold: {approvers: [leads], wait: 1s, expire: 1h}}]
  - {name: ours, match: {}, count: tokens, per: tenant, window: 24h, steps: [{at: 900, do: deny}]}
"""


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, RunningIssuer]]:
    keys = tmp_path_factory.mktemp("issuer")
    with start_issuer(keys) as running:
        yield keys, running


@pytest.fixture
def folder(tmp_path: Path, issuer: tuple[Path, RunningIssuer]) -> Path:
    (tmp_path / "issuer").symlink_to(issuer[0])
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "store").mkdir()
    AuditKeys.load_or_create(tmp_path / "keys")  # as the service does at its first start
    (tmp_path / "digest.key").write_text("0" * 64)
    (tmp_path / "digest.key").chmod(0o600)
    document = {
        "apiVersion": "extproc/v1",
        "kind": "Config",
        "deployment": "test",
        "run_directory": "run",
        "workers": 1,
        "connections": [{"name": "main", "upstream": "http://127.0.0.1:9"}],
        "identity": {
            "issuers": [
                {"issuer": issuer[1].url, "discovery": True, "audiences": [AUDIENCE], "algorithms": ["ES256"]},
            ]
        },
        "policy": "policy.yaml",
        "digest_key": "digest.key",
        "approvals": {"database": f"sqlite:///{tmp_path}/approvals.db"},
        "audit": {"spool": "spool", "keys": "keys", "store": {"directory": "store"}},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(document))
    return tmp_path


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(command, ["list", *arguments], env={"EXTPROC_CONFIG": str(folder / "config.yaml")})


def spend(folder: Path, *charges: Charge) -> None:
    database = open_database(f"sqlite:///{folder}/approvals.db")
    BudgetStore(database, Secret("k" * 32)).charge(charges, time.time())
    database.close()


def test_list_shows_who_has_used_what_and_until_when(folder: Path) -> None:
    spend(
        folder,
        Charge("calls", "exchanges per person in 86400 s", ANNA, DAY, amount=3),
        Charge("calls", "exchanges per person in 86400 s", "https://idp.test|be\x1b[2Jrta", DAY, amount=1),
        Charge("ours", "tokens per tenant in 86400 s", "north", DAY, amount=700),
        Charge("all", "exchanges per deployment in 86400 s", "", DAY, amount=4),
    )
    shown = run(folder)
    assert shown.exit_code == 0
    lines = shown.output.splitlines()
    assert [line.split()[0] for line in lines] == ["BUDGET", "all", "calls", "calls", "ours"]
    assert "everybody" in lines[1]
    assert ANNA in lines[2] or ANNA in lines[3]
    assert "\x1b" not in shown.output
    machine = json.loads(run(folder, "--json", "--person", ANNA).output)
    assert [(one["budget"], one["count"], one["holder"]) for one in machine] == [("calls", 3, ANNA)]
    assert DAY <= machine[0]["frees_unix"] - time.time() + 60 <= DAY * 25 / 24 + 120
    assert json.loads(run(folder, "--json", "--person", "https://idp.test|ANNA").output)[0]["holder"] == ANNA
    assert [one["budget"] for one in json.loads(run(folder, "--json", "--tenant", "north").output)] == ["ours"]
    assert run(folder, "--person", "https://idp.test|north").output == "Nothing counts now.\n"


@pytest.mark.parametrize(
    "named", ["4111 1111 1111 1111", "|anna", "https://idp.test|", ""], ids=["card", "subject", "issuer", "empty"]
)
def test_a_person_without_an_issuer_is_nobody_and_told_how_one_is_written(named: str) -> None:
    """It could never match: without a configuration, a token or a store being asked."""
    for arguments in (["list"], ["reset", "calls", "--reason", "a mistake"]):
        result = CliRunner().invoke(command, [*arguments, "--person", named])
        assert result.exit_code == 2
        assert "names no person; a person is `issuer|subject`" in result.output
        assert "1111" not in result.output


def test_list_says_what_is_wrong(folder: Path) -> None:
    assert run(folder).output == "Nothing counts now.\n"
    both = run(folder, "--person", ANNA, "--tenant", "b")
    assert (both.exit_code, "not given together" in both.output) == (2, True)
    (folder / "approvals.db").write_bytes(b"this is no database, whatever its name says" * 99)
    away = run(folder)
    assert (away.exit_code, away.output) == (2, "The approval store is not available.\n")


def reset(
    folder: Path, url: str, *arguments: str, subject: str = "lead", groups: tuple[str, ...] = ("leads",)
) -> Result:
    token = mint_token(
        folder / "issuer",
        subject=subject,
        groups=groups,
        name=subject.title(),
        audience=AUDIENCE,
        issuer=url,
        ttl_seconds=600,
    )
    environment = {"EXTPROC_CONFIG": str(folder / "config.yaml"), "EXTPROC_TOKEN": token}
    return CliRunner().invoke(command, ["reset", *arguments], env=environment)


def resets(folder: Path) -> list[tuple[str, str]]:
    """Who asked and how it ended, as the audit log has it."""
    settings = load_settings(folder / "config.yaml")
    holdings = Holdings.look(open_store(settings.audit), settings.audit.spool, settings.audit.deployment)
    records = [evidence.record for evidence in find_records(holdings)]
    return sorted(
        (record.actor.uid.rpartition("|")[2], record.status.value)
        for record in records
        if record.event_code is EventCode.ADMIN_BUDGET_RESET
    )


def test_an_approver_gives_a_budget_back_to_somebody_else(folder: Path, issuer: tuple[Path, RunningIssuer]) -> None:
    url = issuer[1].url
    anna, lead = f"{url}|anna", f"{url}|lead"
    spend(folder, *(Charge("calls", PER_PERSON, who, DAY, amount=3) for who in (anna, lead)))
    why = ("--reason", "quarterly report, card 4111 1111 1111 1111")
    assert reset(folder, url, "calls", "--person", lead, *why).exit_code == 1
    assert reset(folder, url, "calls", "--person", anna, *why, groups=("analysts",)).exit_code == 1
    assert [one["holder"] for one in json.loads(run(folder, "--json").output)] == sorted((anna, lead))
    done = reset(folder, url, "calls", "--person", f"{url}|ANNA", *why)
    assert (done.exit_code, done.output) == (0, f"calls counts from nothing again for {anna}.\n")
    assert [one["holder"] for one in json.loads(run(folder, "--json").output)] == [lead]
    again = reset(folder, url, "calls", "--person", f"{url}|4111 1111 1111 1111", *why)
    assert (again.exit_code, again.output) == (0, f"calls had counted nothing for {url}|[PAN].\n")
    assert resets(folder) == [("lead", "refused"), ("lead", "refused"), ("lead", "succeeded"), ("lead", "succeeded")]
    log = b"".join(path.read_bytes() for path in (folder / "spool").rglob("*") if path.is_file())
    assert b"quarterly report, card [PAN]" in log
    assert not re.search(rb"4111 ?1111", log)


def test_nothing_is_given_back_that_cannot_be_recorded(folder: Path, issuer: tuple[Path, RunningIssuer]) -> None:
    anna = f"{issuer[1].url}|anna"
    spend(folder, Charge("calls", PER_PERSON, anna, DAY, amount=3))
    (folder / "spool").write_text("no folder")
    asked = reset(folder, issuer[1].url, "calls", "--person", anna, "--reason", "x")
    assert (asked.exit_code, asked.output) == (2, "The step cannot be recorded and is not carried out.\n")
    assert [one["count"] for one in json.loads(run(folder, "--json").output)] == [3]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("cals", "--person", ANNA), 2, "The policy has no budget `cals`; it has `calls`, `ours`."),
        (("calls",), 2, "is per person: give `--person` alone"),
        (("calls", "--tenant", "a"), 2, "is per person: give `--person` alone"),
        (("ours", "--tenant", "north"), 1, "No step of this budget is a hold"),
    ],
    ids=["unknown", "of whom", "of whom else", "no approvers"],
)
def test_reset_says_what_is_wrong(
    folder: Path, issuer: tuple[Path, RunningIssuer], arguments: tuple[str, ...], code: int, said: str
) -> None:
    asked = reset(folder, issuer[1].url, *arguments, "--reason", "x")
    assert (asked.exit_code, said in asked.output) == (code, True), asked.output
