"""`extproc mask`: what it gives out, what it reports, its exit codes, and that no digit of a card is in a report."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from extproc.cli import mask_input
from extproc.cli.mask import command
from extproc.cli.mask_input import PIECE_BYTES
from extproc.cli.policy import command as policy_command
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings

ROOT = Path(__file__).parents[3]
POLICIES = ROOT / "tests" / "policies"
PAN = "4111 1111 1111 1111"
SCANNER = Scanner(MaskingSettings())


def run(*arguments: str | Path, stdin: str | bytes = b"") -> Result:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def real(*arguments: str, stdin: bytes) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-m", "extproc", "mask", *arguments],
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
    )


def policy(folder: Path, pan: str) -> Path:
    file = folder / "policy.yaml"
    text = (POLICIES / "demo.yaml").read_text("utf-8")
    assert text.count("pan: label}") == 1
    file.write_text(text.replace("pan: label}", f"pan: {pan}}}"), "utf-8")
    return file


def test_the_command_as_a_person_runs_it() -> None:
    result = real("--explain", stdin=f"hello\r\ncard {PAN}, cvv 123\n\u00e9 1700000000123".encode())
    assert result.returncode == 0
    assert result.stdout.decode() == "hello\r\ncard [PAN], cvv [CVV]\n\u00e9 1700000000123"
    assert result.stderr.decode().splitlines() == [
        "stdin:2:6: 12..31: pan: visa: 16 digits, tier strong, right check digit, written 4-4-4-4",
        "stdin:2:31: 37..40: security_code: after the word `cvv`",
        "stdin:3:3: 43..56: stays: no issuer range begins so",
        "1 read: 1 pan, 1 security_code masked, 1 looked at and left",
    ]


def test_without_explain_the_report_is_of_what_was_masked() -> None:
    result = run(stdin=f"{PAN} 1700000000123")
    assert (result.exit_code, result.stdout) == (0, "[PAN] 1700000000123")
    assert result.stderr == "stdin:1:1: 0..19: pan\n1 read: 1 pan masked\n"


def test_nothing_to_mask_is_said(tmp_path: Path) -> None:
    result = run(stdin="")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "1 read: nothing masked\n")


def test_files_are_read_in_order_and_not_changed(tmp_path: Path) -> None:
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_text(f"{PAN}\n", "utf-8")
    second.write_text("x\n\n cvv 123\n", "utf-8")
    before = first.stat().st_mtime_ns
    result = run(first, "-", second, "--report", "json", stdin="4242424242424242\n")
    assert result.stdout == "[PAN]\n[PAN]\nx\n\n cvv [CVV]\n"
    assert [json.loads(line) for line in result.stderr.splitlines()] == [
        {"file": str(first), "line": 1, "column": 1, "start": 0, "end": 19, "kind": "pan"},
        {"file": "stdin", "line": 1, "column": 1, "start": 0, "end": 16, "kind": "pan"},
        {"file": str(second), "line": 3, "column": 6, "start": 8, "end": 11, "kind": "security_code"},
    ]
    assert first.read_text("utf-8") == f"{PAN}\n"
    assert first.stat().st_mtime_ns == before


def test_equal_cards_have_equal_numbers_in_all_inputs(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text(f"{PAN} and 4242424242424242\n", "utf-8")
    result = run(file, "-", "--policy", policy(tmp_path, "numbered"), stdin="4242424242424242")
    assert result.stdout == "[PAN_1] and [PAN_2]\n[PAN_2]"


def test_what_stays_has_no_kind_in_json() -> None:
    result = run("--explain", "--report", "json", stdin="1700000000123")
    row = json.loads(result.stderr)
    assert (row["start"], row["end"], row["kind"], row["why"]) == (0, 13, None, "no issuer range begins so")


@pytest.mark.parametrize(("text", "code"), [(PAN, 1), ("cvv 123", 1), ("1700000000123", 0), ("", 0)])
def test_check_says_by_its_exit_code_whether_something_is_masked(text: str, code: int) -> None:
    result = run("--check", "--explain", stdin=text)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith("stdin:1:") or not text


def test_the_report_can_go_to_a_file_but_not_over_an_input(tmp_path: Path) -> None:
    file, report = tmp_path / "a.txt", tmp_path / "report"
    file.write_text(PAN, "utf-8")
    result = run(file, "--report-to", report)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "[PAN]", "")
    assert report.read_text("utf-8") == f"{file}:1:1: 0..19: pan\n1 read: 1 pan masked\n"
    (tmp_path / "link").symlink_to(file)
    assert run(file, "--report-to", tmp_path / "link").exit_code == 2
    assert file.read_text("utf-8") == PAN
    assert run(file, "--report-to", tmp_path / "none" / "report").exit_code == 2


def test_a_large_text_is_masked_as_it_is_whole(tmp_path: Path) -> None:
    """A card, and a character of several bytes, across each border between two pieces."""
    filler = "\u00e9 1 order "
    text = ""
    while len(text.encode()) < 3 * PIECE_BYTES:
        text += filler * ((PIECE_BYTES - 8 - len(text.encode()) % PIECE_BYTES) // len(filler.encode()))
        text += f"{PAN}\n\u00e9 cvv 123 \n" * 40
    file = tmp_path / "a.txt"
    file.write_text(text, "utf-8")
    result = run(file)
    assert result.stdout == SCANNER.masker().mask_text(text)
    places = [(m[1], m[2], m[3]) for m in re.finditer(r":(\d+):(\d+): (\d+)\.\.", result.stderr)]
    found = [one.start for one in SCANNER.find(text)]
    assert len(found) > 100
    assert places == [(str(text.count("\n", 0, at) + 1), str(at - text.rfind("\n", 0, at)), str(at)) for at in found]


@pytest.mark.parametrize(("name", "option"), [("a.json", None), ("a.ndjson", None), ("a.JSONL", None), ("a", "--json")])
def test_json_stays_json(name: str, option: str | None, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text('{"a": 4111111111111111}\n{"cvv": 123,\n "b": "\\u0034111111111111111"}\n', "utf-8")
    result = run(file, *([option] if option else []))
    assert result.stdout == '{"a": "[PAN]"}\n{"cvv": "[CVV]",\n "b": "[PAN]"}\n'
    assert result.stderr.splitlines()[:-1] == [
        f"{file}:1:7: 6..22: pan",
        f"{file}:2:9: 32..35: security_code",
        f"{file}:3:8: 44..65: pan",
    ]


def test_json_can_be_masked_as_text(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text("{'a': 4111111111111111", "utf-8")
    assert run(file, "--text").stdout == "{'a': [PAN]"


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (b"x" * PIECE_BYTES + b"4111111111111111\xff", (), f"not UTF-8 at byte offset {PIECE_BYTES + 16}"),
        (b"\xc3" * 2, (), "not UTF-8 at byte offset 0"),
        (b"x" * (PIECE_BYTES - 1) + b"\xe2\x82", (), f"not UTF-8 at byte offset {PIECE_BYTES - 1}"),
        (b"x" * (PIECE_BYTES - 1) + b"\xe2\x82x", (), f"not UTF-8 at byte offset {PIECE_BYTES - 1}"),
        (b'{"a": 1}\n {"b": 4111111111111111', ("--json",), "2:24: not JSON"),
        (b"[" * 65 + b"]" * 65, ("--json",), "nested too deeply"),
    ],
    ids=range(6),
)
def test_what_cannot_be_read_gives_out_nothing(
    data: bytes, options: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad 4111111111111111"
    good.write_text("5", "utf-8")
    bad.write_bytes(data)
    result = run(good, bad, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    between = ":" if message.endswith("not JSON") else ": "
    assert result.stderr == f"{tmp_path}/bad [PAN]{between}{message}\n"


def test_a_file_that_is_not_there_and_wrong_usage_exit_2(tmp_path: Path) -> None:
    result = run(tmp_path / "none")
    assert (result.exit_code, result.stderr) == (
        *(2, f"{tmp_path / 'none'}: the file cannot be read: no such file or directory\n"),
    )
    assert run(tmp_path).exit_code == 2
    assert run("-", "-", stdin="x").exit_code == 2


def test_json_larger_than_memory_should_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask_input, "MAX_JSON_CHARACTERS", 100)
    assert run("--json", stdin="1" * 100).exit_code == 0
    result = run("--json", stdin="1" * 101)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "more than 100 characters" in result.stderr


def test_the_policy_says_the_style_and_its_problems_are_those_of_policy_check(tmp_path: Path) -> None:
    assert run("--policy", policy(tmp_path, "truncate"), stdin=PAN).stdout == "411111******1111"
    problems = POLICIES / "many-problems.yaml"
    result = run("--policy", problems, stdin=PAN)
    assert (result.exit_code, result.stdout) == (2, "")
    checked = CliRunner().invoke(policy_command, ["check", str(problems)]).stdout
    assert result.stderr.splitlines() == checked.splitlines()[:-1]
    missing = run("--policy", tmp_path / "none", stdin=PAN)
    assert (missing.exit_code, missing.stdout) == (2, "")


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "extproc", "mask"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.write(f"{PAN} ".encode() + b"x" * 10**6)
        process.stdin.close()
        said = process.stderr.read().decode()
        assert process.wait(60) == 2
    assert said == "stdin:1:1: 0..19: pan\n1 read: 1 pan masked\n"


def test_no_digits_of_an_input_are_in_reports_and_errors(corpus: list[str], tmp_path: Path) -> None:
    """All texts at once, in one file each, with a card in each file's name; then the same texts cut where it hurts."""
    files = []
    for index, text in enumerate(corpus):
        file = tmp_path / f"{index} 4111111111111111"
        file.write_bytes(text.encode())
        files.append(file)
    said = ""
    for options in ([], ["--explain"], ["--explain", "--report", "json"]):
        for style in ("label", "truncate"):
            result = run(*files, *options, "--policy", policy(tmp_path, style))
            assert result.exit_code == 0
            said += result.stderr
    documents = [[text, {"card_number": text}] for text in corpus]
    said += run("--json", "--explain", stdin=json.dumps(documents)).stderr
    for text in corpus[::6]:  # each is a run of its own, for what cannot be read ends it
        said += run("--json", "--explain", stdin=text.encode()).stderr
        said += run(stdin=text.encode() + b"\xff").stderr
    assert said.count("[PAN]") > len(corpus)
    said = said.replace(str(tmp_path), "")
    shown = {run[at : at + 7] for run in re.findall(r"[0-9]{7,}", said) for at in range(len(run) - 6)}
    for text in corpus:
        digits = "".join(str(int(char)) for char in text if char.isdecimal())
        assert shown.isdisjoint(digits[at : at + 7] for at in range(len(digits) - 6)), ascii(text)


def test_the_output_is_bytes_as_they_came(tmp_path: Path) -> None:
    data = b"\xef\xbb\xbfa\r\nb\rc\x00\x0b" + "\u2028\U0001f600 4111111111111111".encode()
    result = real(stdin=data)
    assert result.stdout == data.replace(b"4111111111111111", b"[PAN]")
    assert os.fsdecode(result.stderr).startswith("stdin:2:9: ")


def test_the_readme_shows_what_is_said() -> None:
    section = (ROOT / "README.md").read_text("utf-8").split("## Try the masking\n")[1].split("\n## ")[0]
    line = re.search(r"^\$ echo '(.*)' \| \.venv/bin/extproc mask (.*)$", section, re.MULTILINE)
    shown = re.search(r"```text\n(.*?)```", section, re.DOTALL)
    assert line is not None
    assert shown is not None
    result = run(*line[2].split(), stdin=f"{line[1]}\n")
    assert result.stdout + result.stderr == shown[1]


def test_the_styles_of_either_direction(tmp_path: Path) -> None:
    """Tokens are made with a key of the run: nobody needs the deployment's to try a policy."""
    path = tmp_path / "policy.yaml"
    head = (POLICIES / "demo.yaml").read_text("utf-8").replace("{pan: label}", "{pan: {request: token}}")
    path.write_text(head, "utf-8")
    asked, answered = (run("--policy", path, "--direction", side, stdin=PAN) for side in ("request", "response"))
    assert re.fullmatch(r"\[PAN_k0_[a-z]{20}\]", asked.stdout)
    assert answered.stdout == "[PAN]"
    assert run("--policy", path, stdin=PAN).stdout != asked.stdout
