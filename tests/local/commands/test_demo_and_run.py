"""The README's commands, run as a newcomer runs them."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest
from click.testing import CliRunner

from extproc.cli.main import main
from extproc.local.guard import Wanted, free_port, start_guard
from extproc.local.issuer import start_issuer
from extproc.local.model_server import start_model
from extproc.local.scripted_model import write_model

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text("utf-8")


def console_commands() -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def test_every_make_command_of_the_readme_is_a_target() -> None:
    commands = [command for command in console_commands() if command.startswith("make ")]
    assert {"make demo", "make test"} <= set(commands)
    for command in commands:
        target = command.split()[1]
        assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE), (
            f"`{command}` is not in `make help`"
        )


def test_the_make_targets_run_what_the_readme_says() -> None:
    def plan(*words: str) -> str:
        return subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert ".venv/bin/extproc demo" in plan("demo")
    assert "--keep" not in plan("demo")
    assert 'run --upstream "http://127.0.0.1:8000" --port 8081' in plan(
        "run", "UPSTREAM=http://127.0.0.1:8000", "PORT=8081"
    )
    assert "-m pytest" in plan("test")
    missing = subprocess.run(["make", "run"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert missing.returncode == 2
    assert "UPSTREAM=http://" in missing.stderr
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("dev", "run", "demo", "test", "check", "bench", "proto"):
        assert re.search(rf"^  {target} ", listed, re.MULTILINE), target


def test_every_command_of_the_readme_exists() -> None:
    """The table names commands with their subcommands; each of them explains itself."""
    rows = re.findall(r"^\| `extproc ([a-z ]+?)(?: FILE)?`((?:, `[a-z]+`)*) \|", README, re.MULTILINE)
    assert len(rows) >= 5
    for first, others in rows:
        words = first.split()
        for last in [words[-1], *re.findall(r"`([a-z]+)`", others)]:
            result = CliRunner().invoke(main, [*words[:-1], last, "--help"])
            assert result.exit_code == 0, (first, last)
            assert "Usage:" in result.output


def test_a_token_as_the_readme_makes_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = next(command for command in console_commands() if " dev token " in command)
    start_issuer(tmp_path / ".run" / "issuer").stop()
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, line.split()[1:])
    assert result.exit_code == 0, result.output
    assert result.output.count(".") == 2


def test_the_demo_tells_the_whole_story_and_leaves_nothing_running(tmp_path: Path) -> None:
    """`make demo` runs exactly this; every verdict that the README shows is in its output."""
    before = {process.pid for process in psutil.process_iter()}
    started = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-m", "extproc", "demo", "--directory", str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert time.monotonic() - started <= 60
    assert "8 of 8 steps as they should be" in result.stdout
    assert "8 of 8 steps as they should be" in README
    assert not (tmp_path / "demo").exists()
    for process in psutil.process_iter(["cmdline"]):
        command = " ".join(process.info["cmdline"] or ())
        assert process.pid in before or str(tmp_path) not in command, f"still running: {command}"


def test_the_demo_fails_when_a_step_is_not_as_it_should_be(tmp_path: Path) -> None:
    """A planted bug: a masking that finds nothing. The demo must notice and say so by its exit code."""
    plant = tmp_path / "plant"
    plant.mkdir()
    (plant / "sitecustomize.py").write_text(
        "import extproc.core.masking.masker as m\n"
        "m.Masker.mask_text = lambda self, text: text\n"
        "m.Masker.mask_value = lambda self, value, key='': value\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(plant)}
    result = subprocess.run(
        [sys.executable, "-m", "extproc", "demo", "--directory", str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        env=environment,
    )
    assert result.returncode == 1, result.stdout
    assert "FAIL" in result.stdout


@pytest.fixture
def llama(tmp_path: Path):
    write_model(tmp_path / "model.gguf")
    model = start_model(tmp_path / "model.gguf", log=tmp_path / "model.log")
    yield model
    model.stop()


def test_run_guards_a_real_model_and_says_how_to_get_a_token(llama, tmp_path: Path) -> None:
    port = free_port()
    directory = tmp_path / "run"
    run = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "extproc",
            "run",
            "--upstream",
            llama.url,
            "--directory",
            str(directory),
            "--port",
            str(port),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        said = ""
        assert run.stdout is not None
        while "stop with" not in said:
            line = run.stdout.readline()
            assert line, said
            said += line
        command = re.search(r"extproc (dev token .*)", said)
        assert command is not None
        words = command[1].split()
        words[words.index("S")] = "alice"
        token = subprocess.run(
            [sys.executable, "-m", "extproc", *words], capture_output=True, text=True, timeout=60, check=True
        ).stdout.strip()
        answer = httpx.post(
            f"http://127.0.0.1:{port}/v1/chat/completions",
            json={"model": "scripted-tiny", "messages": [{"role": "user", "content": "card-please"}], "max_tokens": 64},
            headers={"authorization": f"Bearer {token}"},
            timeout=30,
        )
        assert answer.status_code == 200
        assert "[PAN]" in answer.text
    finally:
        run.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(60)
        run.kill()
        run.wait()
        if run.stdout is not None:
            run.stdout.close()
    assert run.returncode == 0
    assert (directory / "policy.yaml").exists()


def test_the_demo_removes_no_folder_but_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep me")
    result = subprocess.run(
        [sys.executable, "-m", "extproc", "demo", "--directory", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 2
    assert "--directory" in result.stderr
    assert (tmp_path / "mine").read_text() == "keep me"


def test_the_demo_stays_when_asked_and_its_lines_can_be_pasted(tmp_path: Path) -> None:
    """`make demo KEEP=1`: every printed curl line runs as it stands; Ctrl-C ends all and leaves nothing."""
    made = subprocess.run(["make", "-n", "demo", "KEEP=1"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "extproc demo --keep" in made.stdout
    directory = tmp_path / "a folder's"
    demo = subprocess.Popen(
        [sys.executable, "-m", "extproc", "demo", "--keep", "--directory", str(directory)],
        stdout=subprocess.PIPE,
        text=True,
    )
    said = ""
    try:
        assert demo.stdout is not None
        while "stop with" not in said:
            line = demo.stdout.readline()
            assert line, said
            said += line
        assert re.search(r"running: http://127\.0\.0\.1:\d+/v1", said)
        lines = [line.strip()[2:] for line in said.splitlines() if line.strip().startswith("$ ")]
        chats = [line for line in lines if line.startswith("curl") and 'max_tokens": 4000' not in line]
        answers = [
            subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60, check=True).stdout
            for line in chats
        ]
        assert "token_missing" in answers[0]
        assert "[PAN]" in "".join(re.findall(r'"content":"([^"]*)"', answers[1]))
        assert "policy_denied" in answers[-1]
        verify = next(line for line in lines if "audit verify" in line)
        assert subprocess.run(["sh", "-c", verify], capture_output=True, timeout=60, check=False).returncode == 0
    finally:
        demo.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            demo.wait(60)
        demo.kill()
        demo.wait()
        if demo.stdout is not None:
            demo.stdout.close()
    assert demo.returncode == 0
    assert not directory.exists()
    for process in psutil.process_iter(["cmdline"]):
        assert str(tmp_path) not in " ".join(process.info["cmdline"] or ())


def test_a_token_and_the_issuer_survive_a_restart(tmp_path: Path) -> None:
    """The issuer's address is part of who somebody is: a requester must not come back as another person."""
    first = start_guard(Wanted(directory=tmp_path, upstream="http://127.0.0.1:9"))
    url = first.issuer.url
    first.stop()
    second = start_guard(Wanted(directory=tmp_path, upstream="http://127.0.0.1:9"))
    second.stop()
    assert second.issuer.url == url


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = subprocess.run(
            [sys.executable, "-m", "extproc", "run", "--upstream", "http://127.0.0.1:9", "--port", str(port)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert result.returncode == 1
    assert f"port {port} is in use" in result.stderr


def test_run_says_what_is_wrong_with_its_input(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "extproc", "run", "--upstream", "ftp://nowhere", "--directory", str(tmp_path / "run")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 2
    assert "upstream" in result.stderr
    assert "Traceback" not in result.stderr
