"""`extproc policy check`: output and exit codes."""

from pathlib import Path

from click.testing import CliRunner

from extproc.cli.policy import command
from extproc.core.masking.rule_catalogue import CATALOGUES

POLICIES = Path(__file__).parents[2] / "policies"


def check(*files: Path | str) -> tuple[int, str]:
    result = CliRunner().invoke(command, ["check", *map(str, files)])
    return result.exit_code, result.output


def test_a_clean_policy_exits_0_with_digest_and_rules_by_effect() -> None:
    code, output = check(POLICIES / "demo.yaml")
    assert code == 0
    first, tally = output.splitlines()
    assert first.startswith(f"{POLICIES / 'demo.yaml'}: policy demo, sha256:")
    assert first.endswith("rules: 1 allow, 1 hold, 1 deny")
    assert tally == "1 checked: 1 clean, 0 with problems, 0 unreadable"


def test_problems_exit_1_each_on_a_line_with_its_place() -> None:
    file = POLICIES / "many-problems.yaml"
    code, output = check(file, POLICIES / "demo.yaml")
    assert code == 1
    lines = output.splitlines()
    expected = (POLICIES / "many-problems.txt").read_text("utf-8").splitlines()
    assert lines[: len(expected)] == [f"{file}:{line}" for line in expected]
    assert lines[len(expected)] == f"{file}: {len(expected)} problems"
    assert lines[-1] == "2 checked: 1 clean, 1 with problems, 0 unreadable"


def test_an_unreadable_file_exits_2_and_the_others_are_still_checked(tmp_path: Path) -> None:
    code, output = check(tmp_path / "none.yaml", tmp_path, POLICIES / "many-problems.yaml", POLICIES / "demo.yaml")
    assert code == 2
    assert f"{tmp_path / 'none.yaml'}: the file cannot be read: no such file or directory" in output
    assert output.splitlines()[-1] == "4 checked: 1 clean, 1 with problems, 2 unreadable"


def test_wrong_usage_exits_2() -> None:
    assert check()[0] == 2


def test_without_being_asked_only_own_masking_rules_that_delay_a_stream_are_told(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(
        "apiVersion: extproc/v1\nkind: Policy\nname: p\nmasking:\n  profile: [pci-pii]\n  rules:\n"
        "    - {name: badge, pattern: '\\bB-\\d{4}\\b'}\n    - {name: word, pattern: '\\b[a-z]{4,9}@x\\b'}\n"
        "rules: [{name: r, effect: allow, match: {}}]\n"
    )
    code, output = check(file)
    _, told, _ = output.splitlines()
    assert code == 0
    assert told.startswith(f"{file}: masking rule word: [WORD], lag class 1, ordinary words wait for the next piece, ")


def test_masking_rules_tell_how_they_delay_a_stream(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(
        "apiVersion: extproc/v1\nkind: Policy\nname: p\n"
        "masking:\n  profile: [pci-pii]\n  rules:\n    - {name: badge, pattern: '\\bB-\\d{4}\\b'}\n"
        "rules: [{name: r, effect: allow, match: {}}]\n"
    )
    code, output = check(file, "--masking-rules")
    assert code == 0
    lines = output.splitlines()
    assert f"{file}: masking rule badge: [BADGE], lag class 0, at most 6 characters of a stream held" in lines
    (email,) = (line for line in lines if "masking rule email" in line)
    assert "[EMAIL], lag class 1, ordinary words wait for the next piece, at most " in email
    assert sum("masking rule " in line for line in lines) == len(CATALOGUES["pci-pii"]) + 1
