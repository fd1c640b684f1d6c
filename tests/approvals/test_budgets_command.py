"""`extproc budgets list` with a real configuration and the store."""

import json
import time
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from extproc.approvals.budgets import BudgetStore
from extproc.approvals.database import open_database
from extproc.cli.budgets import command
from extproc.core.budget_charge import Charge
from extproc.core.trust import Secret

ANNA, DAY = "https://idp.test|anna", 86400.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
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
                {
                    "issuer": "https://idp.test",
                    "discovery": True,
                    "audiences": ["extproc"],
                    "algorithms": ["ES256"],
                }
            ]
        },
        "policy": str(Path(__file__).parents[2] / "extproc" / "local" / "policy.yaml"),
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
    assert [one["budget"] for one in json.loads(run(folder, "--json", "--tenant", "north").output)] == ["ours"]
    assert run(folder, "--person", "north").output == "Nothing counts now.\n"


def test_list_says_what_is_wrong(folder: Path) -> None:
    assert run(folder).output == "Nothing counts now.\n"
    both = run(folder, "--person", "a", "--tenant", "b")
    assert (both.exit_code, "not given together" in both.output) == (2, True)
    (folder / "approvals.db").write_bytes(b"this is no database, whatever its name says" * 99)
    away = run(folder)
    assert (away.exit_code, away.output) == (2, "The approval store is not available.\n")
