"""`extproc approvals` with a real configuration, a development issuer, the store and the audit log."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from extproc.approvals.store import ApprovalStore
from extproc.audit.keys.keys import AuditKeys
from extproc.cli.approvals import command
from extproc.cli.person import account
from extproc.core.approval import ApprovalRequest, ApprovalState
from extproc.core.record import EventCode, Outcome, Record
from extproc.local.issuer import AUDIENCE, RunningIssuer, mint_token, start_issuer
from tests.approvals.prepared import sqlite_at_newest

Ask = Callable[..., ApprovalRequest]
PAN = "4111 1111 1111 1111"
CHAT = json.dumps({"model": "small", "messages": [{"role": "user", "content": "Pay with [PAN], please."}]}).encode()


@dataclass(frozen=True)
class Place:
    """A deployment's folder, and the command run against it."""

    folder: Path
    issuer: str
    store: ApprovalStore

    def run(self, *arguments: str, token: str = "", stdin: str | None = None, columns: int = 200) -> Result:
        environment = {"EXTPROC_CONFIG": str(self.folder / "config.yaml"), "EXTPROC_TOKEN": token}
        environment["COLUMNS"] = str(columns)
        result = CliRunner().invoke(command, list(arguments), input=stdin, env=environment)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert not token or token not in result.output
        return result

    def token(self, subject: str, *groups: str, ttl_seconds: int = 600) -> str:
        return mint_token(
            self.folder / "issuer",
            subject=subject,
            groups=groups,
            name=subject.title(),
            audience=AUDIENCE,
            issuer=self.issuer,
            ttl_seconds=ttl_seconds,
        )

    def state(self, approval_id: str) -> ApprovalState:
        found = self.store.find(approval_id, time.time())
        assert found is not None
        return found.state

    def recorded(self) -> bytes:
        """Every byte of the audit log."""
        files = [*(self.folder / "spool").rglob("*"), *(self.folder / "store").rglob("*")]
        return b"\n".join(file.read_bytes() for file in files if file.is_file())


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, RunningIssuer]]:
    folder = tmp_path_factory.mktemp("issuer")
    with start_issuer(folder) as running:
        yield folder, running


@pytest.fixture
def place(tmp_path: Path, issuer: tuple[Path, RunningIssuer], open_at: Callable[[str], ApprovalStore]) -> Place:
    folder, running = issuer
    (tmp_path / "issuer").symlink_to(folder)
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
                {"issuer": running.url, "discovery": True, "audiences": [AUDIENCE], "algorithms": ["ES256"]},
            ]
        },
        "policy": str(Path(__file__).parents[2] / "extproc" / "local" / "policy.yaml"),
        "digest_key": "digest.key",
        "approvals": {"database": f"sqlite:///{tmp_path}/approvals.db"},
        "audit": {"spool": "spool", "keys": "keys", "store": {"directory": "store"}},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(document))
    return Place(tmp_path, running.url, open_at(sqlite_at_newest(tmp_path / "approvals.db")))


@pytest.fixture
def held(place: Place, ask: Ask) -> str:
    """A pending approval of `analyst`, for ten minutes."""
    now = time.time()
    request = ask("apr-held", CHAT, now, now + 600)
    place.store.open(replace(request, requester_uid=f"{place.issuer}|analyst"))
    return "apr-held"


def test_list_shows_who_waits_and_for_what(place: Place, held: str, ask: Ask) -> None:
    place.store.open(ask("apr-old"))
    shown = place.run("list")
    assert shown.exit_code == 0
    assert all(text in shown.stdout for text in (held, "Analyst", "bulk", "chat small", "2 pan", "9 min"))
    assert "apr-old" not in shown.stdout
    machine = json.loads(place.run("list", "--state", "all", "--json").stdout)
    assert [(one["approval_id"], one["state"]) for one in machine] == [(held, "pending"), ("apr-old", "expired")]
    assert machine[0]["findings"] == {"pan": 2, "security_code": 1}
    assert 500 < machine[0]["seconds_left"] <= 600
    assert machine[1]["seconds_left"] == 0
    assert place.run("list", "--state", "used").stdout.startswith("No approvals in that state")
    assert json.loads(place.run("list", "--state", "used", "--json").stdout) == []


@pytest.mark.parametrize("columns", [40, 80])
def test_an_id_is_in_one_piece_on_a_narrow_terminal(place: Place, ask: Ask, columns: int) -> None:
    """It is copied from there."""
    approval_id = "apr-019f0000abcd-0123456789abcdef"
    place.store.open(ask(approval_id, CHAT, time.time(), time.time() + 600))
    assert approval_id in place.run("list", columns=columns).stdout


def test_show_makes_the_masked_request_readable(place: Place, held: str) -> None:
    shown = place.run("show", held)
    assert shown.exit_code == 0
    lines = [line.strip() for line in shown.stdout.splitlines()]
    assert lines[lines.index("user") + 1] == "Pay with [PAN], please."
    for text in (
        f"{place.issuer}|analyst",
        "Large requests are approved.",
        "security_code",
        "approvers",
        "min",
        "main",
    ):
        assert text in shown.stdout
    machine = json.loads(place.run("show", held, "--json").stdout)
    assert machine["request"][0] == {"role": "user", "text": "Pay with [PAN], please."}
    assert machine["state"] == "pending"


def test_who_reads_a_masked_request_is_recorded_first(place: Place, held: str, monkeypatch: pytest.MonkeyPatch) -> None:
    records: list[Record] = []

    def store(_settings: object, _keys: object, _run: str, written: Sequence[Record]) -> None:
        records.extend(written)

    monkeypatch.setattr("extproc.audit.log.journal.write_once", store)
    assert "Pay with [PAN], please." in place.run("show", held).stdout
    assert place.run("show", "apr-none").exit_code == 2
    (record,) = records
    assert (record.event_code, record.status) == (EventCode.AUDIT_READ, Outcome.SUCCEEDED)
    assert (record.actor.uid, record.exchange_id) == (f"os|{account()}", f"exchange-{held}")
    assert record.detail == {"channel": "cli", "what": "masked request"}
    assert record.approval is not None
    assert record.approval.id == held


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_a_reading_that_cannot_be_recorded_shows_nothing(place: Place, held: str, arguments: tuple[str, ...]) -> None:
    (place.folder / "spool").write_text("in the way")
    result = place.run("show", held, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.endswith("The reading cannot be recorded, so nothing is shown.\n")


def test_show_neutralises_what_came_from_outside(place: Place, ask: Ask) -> None:
    now = time.time()
    request = replace(
        ask("apr-1", b"\x1b[2J\x1b]0;x\x07", now, now + 60), model="\x1b[31m[bold]m", requester_name="\u202ea"
    )
    place.store.open(request)
    for arguments in (("show", "apr-1"), ("list",)):
        shown = place.run(*arguments)
        assert "\x1b" not in shown.stdout
        assert "\u202e" not in shown.stdout
        assert "[bold]" in shown.stdout


@pytest.mark.parametrize("source", ["file", "stdin", "environment"])
def test_an_approver_grants_with_a_token_from(place: Place, held: str, source: str) -> None:
    token = place.token("approver", "approvers")
    (place.folder / "token").write_text(token + "\n")
    given = {
        "file": lambda: place.run("grant", held, "--reason", "report", "--token-file", str(place.folder / "token")),
        "stdin": lambda: place.run("grant", held, "--reason", "report", "--token-stdin", stdin=token + "\n"),
        "environment": lambda: place.run("grant", held, "--reason", "report", token=token),
    }[source]()
    assert (given.exit_code, given.stdout) == (0, "apr-held granted\n")
    found = place.store.find(held, time.time())
    assert found is not None
    assert (found.state, found.decided_by_name, found.decision_reason) == (ApprovalState.GRANTED, "Approver", "report")
    assert found.decided_by_uid == f"{place.issuer}|approver"
    recorded = place.recorded()
    assert EventCode.APPROVAL_DECIDE.value.encode() in recorded
    assert b'"report"' in recorded
    assert token.encode() not in recorded


def test_refusing(place: Place, held: str) -> None:
    result = place.run("refuse", held, "--reason", "not needed", "--json", token=place.token("approver", "approvers"))
    assert result.exit_code == 0
    assert json.loads(result.stdout)["state"] == "refused"
    assert place.state(held) is ApprovalState.REFUSED


def test_card_data_in_a_reason_reaches_no_disk(place: Place, held: str) -> None:
    token = place.token("approver", "approvers")
    assert place.run("grant", held, "--reason", f"the client of {PAN} asked", token=token).exit_code == 0
    found = place.store.find(held, time.time())
    assert found is not None
    assert "asked" in found.decision_reason
    every = b"\n".join(file.read_bytes() for file in place.folder.rglob("*") if file.is_file())
    for form in (PAN, PAN.replace(" ", "")):
        assert form.encode() not in every


@pytest.mark.parametrize(
    ("subject", "groups", "reason", "code", "said"),
    [
        ("analyst", ("approvers",), "mine", 1, "own request"),
        ("outsider", ("staff",), "fine", 1, "none of the groups"),
        ("approver", ("approvers",), " ", 2, "needs a reason"),
        ("approver", ("approvers",), "x" * 1001, 2, "longer than"),
    ],
)
def test_who_may_not_decide(  # noqa: PLR0917 - a table
    place: Place, held: str, subject: str, groups: tuple[str, ...], reason: str, code: int, said: str
) -> None:
    result = place.run("grant", held, "--reason", reason, token=place.token(subject, *groups))
    assert result.exit_code == code
    assert said in result.stderr
    assert place.state(held) is ApprovalState.PENDING
    assert b'"refused"' in place.recorded(), "the attempt is recorded"


def test_nothing_is_decided_twice(place: Place, held: str) -> None:
    token = place.token("approver", "approvers")
    assert place.run("refuse", held, "--reason", "no", token=token).exit_code == 0
    again = place.run("grant", held, "--reason", "yes", token=token)
    assert (again.exit_code, again.stderr) == (1, "The approval is no longer pending.\n")
    assert place.state(held) is ApprovalState.REFUSED


@pytest.mark.parametrize("arguments", [("show", "apr-none"), ("grant", "apr-none", "--reason", "x")])
def test_an_unknown_approval(place: Place, arguments: tuple[str, ...]) -> None:
    result = place.run(*arguments, token=place.token("approver", "approvers"))
    assert (result.exit_code, result.stderr) == (2, "There is no such approval.\n")


def test_tokens_that_are_not_accepted(place: Place, held: str) -> None:
    good = place.token("approver", "approvers")
    for token in (
        place.token("approver", "approvers", ttl_seconds=-600),
        good[:-8] + "AAAAAAAA",
        "not.a.token",
        "x" * 99,
    ):
        result = place.run("grant", held, "--reason", "fine", token=token)
        assert result.exit_code == 2
        assert "token" in result.stderr
    assert place.state(held) is ApprovalState.PENDING


def test_wrong_usage(place: Place, held: str) -> None:
    assert place.run("grant", held, "--reason", "fine").exit_code == 2
    both = place.run("grant", held, "--reason", "fine", "--token-stdin", "--token-file", "f", stdin="x")
    assert both.exit_code == 2
    assert place.run("grant", held, "--reason", "fine", "--token-file", "absent").exit_code == 2
    assert place.run("grant", held, token="x").exit_code == 2
    assert place.run("grant", held, "--reason", "fine", "--token", "x").exit_code == 2
    assert place.run("list", "--state", "nodded").exit_code == 2
    assert place.run("list", "--config", "absent.yaml").exit_code == 2


def test_a_decision_that_cannot_be_recorded_is_not_carried_out(place: Place, held: str) -> None:
    (place.folder / "spool").write_text("in the way")
    result = place.run("grant", held, "--reason", "fine", token=place.token("approver", "approvers"))
    assert result.exit_code == 2
    assert result.stderr.endswith("\nThe decision cannot be recorded and is not carried out.\n")
    assert place.state(held) is ApprovalState.PENDING


def test_keys_that_do_not_open_the_preview(place: Place, held: str) -> None:
    for file in (place.folder / "keys").iterdir():
        file.unlink()
    absent = place.run("show", held)
    assert absent.exit_code == 2
    assert "there are no keys in" in absent.stderr
    AuditKeys.load_or_create(place.folder / "keys")
    result = place.run("show", held)
    assert result.exit_code == 2
    assert "cannot be opened" in result.stderr


def test_a_store_or_an_issuer_that_cannot_be_reached(place: Place, held: str) -> None:
    token = place.token("approver", "approvers")
    config = place.folder / "config.yaml"
    document = yaml.safe_load(config.read_text())
    document["identity"]["issuers"][0]["issuer"] = "http://127.0.0.1:9"
    config.write_text(yaml.safe_dump(document))
    other = mint_token(
        place.folder / "issuer", subject="a", groups=("approvers",), audience=AUDIENCE, issuer="http://127.0.0.1:9"
    )
    unreachable = place.run("grant", held, "--reason", "fine", token=other)
    assert unreachable.exit_code == 2
    assert "identity provider" in unreachable.stderr
    document["approvals"]["database"] = "sqlite:////dev/null/approvals.db"
    config.write_text(yaml.safe_dump(document))
    for arguments in (("list",), ("show", held), ("grant", held, "--reason", "fine")):
        result = place.run(*arguments, token=token)
        assert (result.exit_code, result.stderr) == (2, "The approval store is not available.\n")


def test_the_installed_command_takes_the_token_on_standard_input(place: Place, held: str) -> None:
    config = str(place.folder / "config.yaml")
    arguments = ["approvals", "grant", held, "--reason", "fine", "--token-stdin", "--config", config]
    result = subprocess.run(
        [sys.executable, "-c", "from extproc.cli.main import main; main()", *arguments],
        input=place.token("approver", "approvers"),
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, "apr-held granted\n")
    assert result.stderr.startswith("counts for ")


def test_a_decision_counts_for_what_show_printed(place: Place, held: str) -> None:
    token = place.token("approver", "approvers")
    seen = json.loads(place.run("show", held, "--json").stdout)["seen"]
    assert seen in place.run("show", held).stdout
    other = place.run("grant", held, "--reason", "fine", "--seen", "0" * 64, token=token)
    assert (other.exit_code, other.stderr) == (1, "The approval is not the one that was shown; look at it again.\n")
    given = place.run("grant", held, "--reason", "fine", "--seen", seen, token=token)
    assert (given.exit_code, given.stdout, given.stderr) == (0, "apr-held granted\n", "")


def test_without_a_digest_it_is_said_what_a_decision_counts_for(place: Place, held: str) -> None:
    seen = json.loads(place.run("show", held, "--json").stdout)["seen"]
    given = place.run("grant", held, "--reason", "fine", token=place.token("approver", "approvers"))
    said = "Analyst, bulk, chat small, findings: 2 pan, 1 security_code"
    assert given.stderr == f"counts for {seen}: {said}\n"


def test_a_quorum_is_counted_where_everybody_sees_it(place: Place, ask: Ask) -> None:
    now = time.time()
    place.store.open(replace(ask("apr-2", CHAT, now, now + 600), quorum=2, each_of=("approvers", "größe")))
    first = place.run("grant", "apr-2", "--reason", "fine", token=place.token("approver", "approvers"))
    assert (first.exit_code, first.stdout) == (0, "apr-2 pending (1 of 2, needs größe)\n")
    assert "1 of 2" in place.run("list").stdout
    shown = place.run("show", "apr-2").stdout
    assert "1 of 2, needs größe" in shown
    assert "Approver" in shown
    again = place.run("grant", "apr-2", "--reason", "fine", token=place.token("approver", "approvers"))
    assert (again.exit_code, again.stderr.splitlines()[-1]) == (
        1,
        "The decider has decided already; another person is needed.",
    )
    last = place.run("grant", "apr-2", "--reason", "fine", token=place.token("second", "größe"))
    assert last.stdout == "apr-2 granted\n"


def test_one_person_of_two_groups_is_counted_for_one_of_them(place: Place, ask: Ask) -> None:
    now = time.time()
    both_needed = {"quorum": 2, "each_of": ("risk", "privacy"), "approver_groups": ("approvers", "risk", "privacy")}
    place.store.open(replace(ask("apr-2", CHAT, now, now + 600), **both_needed))
    both = place.run("grant", "apr-2", "--reason", "fine", token=place.token("both", "risk", "privacy"))
    assert both.stdout == "apr-2 pending (1 of 2, needs privacy)\n"
    other = place.run("grant", "apr-2", "--reason", "fine", token=place.token("other", "approvers"))
    assert other.stdout == "apr-2 pending (1 of 2, needs privacy)\n"
    last = place.run("grant", "apr-2", "--reason", "fine", token=place.token("risk", "risk"))
    assert last.stdout == "apr-2 granted\n"


def test_a_group_that_several_are_needed_of_is_named_once_with_their_number(place: Place, ask: Ask) -> None:
    now = time.time()
    needed = {"quorum": 4, "each_of": ("risk", "approvers", "approvers", "approvers")}
    place.store.open(replace(ask("apr-2", CHAT, now, now + 600), **needed))
    assert "0 of 4, needs risk, approvers (3)" in place.run("list").stdout
    first = place.run("grant", "apr-2", "--reason", "fine", token=place.token("approver", "approvers"))
    assert first.stdout == "apr-2 pending (1 of 4, needs risk, approvers (2))\n"


def test_revoking_reviewing_and_withdrawing(place: Place, held: str, ask: Ask) -> None:
    now, approver = time.time(), place.token("approver", "approvers")
    assert place.run("grant", held, "--reason", "fine", token=approver).exit_code == 0
    revoked = place.run("revoke", held, "--reason", "the wrong customer", token=approver)
    assert (revoked.exit_code, revoked.stdout) == (0, "apr-held revoked\n")
    assert place.run("revoke", held, "--reason", "again", token=approver).exit_code == 1
    place.store.open(replace(ask("apr-now", CHAT, now, now + 600), emergency=True, quorum=2))
    assert "an emergency" in place.run("list", "--state", "used").stdout
    assert "0 of" not in place.run("show", "apr-now").stdout
    reviewed = place.run("review", "apr-now", "--reason", "a real outage", "--json", token=approver)
    assert json.loads(reviewed.stdout)["reviewed_by_uid"] == f"{place.issuer}|approver"
    place.store.open(replace(ask("apr-own", CHAT, now, now + 600), requester_uid=f"{place.issuer}|analyst"))
    assert place.run("withdraw", "apr-own", token=approver).exit_code == 1
    own = place.run("withdraw", "apr-own", token=place.token("analyst", "staff"))
    assert (own.exit_code, own.stdout) == (0, "apr-own withdrawn\n")
    recorded = place.recorded()
    assert all(code.encode() in recorded for code in ("approval.revoke", "approval.review", "approval.withdraw"))


def test_list_filters(place: Place, held: str, ask: Ask) -> None:
    now = time.time()
    place.store.open(replace(ask("apr-other", CHAT, now, now + 600), rule="names", requester_name="Somebody"))

    def listed(*arguments: str, token: str = "") -> list[str]:
        shown = place.run("list", "--json", *arguments, token=token)
        return [one["approval_id"] for one in json.loads(shown.stdout)]

    assert listed("--rule", "names") == ["apr-other"]
    assert listed("--requester", "somebo") == ["apr-other"]
    assert listed("--requester", f"{place.issuer}|analyst") == [held]
    assert listed("--mine", token=place.token("approver", "approvers")) == ["apr-other", held]
    assert listed("--mine", token=place.token("analyst", "approvers")) == ["apr-other"]
    assert listed("--mine", token=place.token("nobody")) == []
    assert place.run("list", "--mine").exit_code == 2
    decided = place.run("list", "--mine", "--state", "granted", token=place.token("approver", "approvers"))
    assert (decided.exit_code, "leave `--state` out" in decided.stderr) == (2, True)


def test_show_tells_what_the_person_asked_before(place: Place, held: str, ask: Ask) -> None:
    earlier = replace(ask("apr-before"), requester_uid=f"{place.issuer}|analyst", rule="names")
    place.store.open(earlier)
    machine = json.loads(place.run("show", held, "--json").stdout)
    assert machine["history"] == [
        {"approval_id": "apr-before", "state": "expired", "rule": "names", "created_at": 1000.0}
    ]
    assert "Asked before" in place.run("show", held).stdout


def test_a_program_does_not_decide(place: Place, held: str) -> None:
    program = mint_token(
        place.folder / "issuer",
        subject="robot",
        groups=("approvers",),
        audience=AUDIENCE,
        issuer=place.issuer,
        extra={"gty": "client-credentials"},
    )
    result = place.run("grant", held, "--reason", "fine", token=program)
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (1, "Only people decide; this token is a program's.")
    assert place.state(held) is ApprovalState.PENDING
