"""The README's commands, run as a newcomer runs them."""

import contextlib
import os
import re
import resource
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Self

import httpx
import psutil
import pytest
import yaml
from click.testing import CliRunner

from extproc.cli.main import main
from extproc.cli.run import WatchedPolicy
from extproc.edge.policy_file import Fitness, load_policy
from extproc.local.model_server import start_model
from extproc.local.ports import free_port
from extproc.local.scripted_model import write_model

pytestmark = pytest.mark.timeout(300)
"""Whole guards start: in half a minute on two idle cores, in minutes on busy ones."""

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text("utf-8")


def timeless(output: str) -> list[str]:
    """Its lines; whatever time something took is the same."""
    return re.sub(r"\b\d+(\.\d+)? s\b", "N s", output).splitlines()


def shown_output() -> list[str]:
    """What the README shows of the demo's output."""
    block = re.search(r"\$ make demo\n```.*?```text\n(.*?)```", README, re.DOTALL)
    assert block is not None
    return timeless(block[1])


def shown_commands(output: str) -> list[str]:
    return [line[4:] for line in output.splitlines() if line.startswith("  $ ")]


def computed_by_children() -> float:
    """Seconds of CPU of whatever has ended of what we started, and of what that started."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def still_running(folder: Path, before: set[int]) -> list[str]:
    """The commands of what was started since and has to do with a folder."""
    since = (process for process in psutil.process_iter(["cmdline"]) if process.pid not in before)
    commands = (" ".join(process.info["cmdline"] or ()) for process in since)
    return [command for command in commands if str(folder) in command]


def check_story(said: str) -> None:
    """Every verdict that the README shows is in the demo's output, and its commands can be pasted."""
    assert "9 of 9 steps as they should be" in said, said
    lines = iter(timeless(said))
    for line in shown_output():
        assert line in lines, f"the README shows `{line}`, which is not in the output, or not in this order"
    for line in shown_commands(said):
        words = shlex.split(line)  # raises where a line is cut in the middle of a quoted word
        assert words[0] == "curl" or words[0].startswith("EXTPROC_CONFIG="), line
    path = r"(?:'[^']+'|\S+)"
    grant = rf'EXTPROC_CONFIG={path} EXTPROC_TOKEN="\$\(cat {path}\)" \S+ -m extproc approvals grant '
    assert re.search(grant, said), said


HOLDS_THE_ANSWER_BACK = """
import extproc.core.answer as a

class Late:
    def __init__(self, real):
        self.real, self.data = real, b""
    def feed(self, data):
        self.data += data
        return b""
    def finish(self):
        return self.real.feed(self.data) + self.real.finish()
    def __getattr__(self, name):
        return getattr(self.real, name)

real = a.open_response
a.open_response = lambda *arguments: Late(real(*arguments))
"""
FINDS_NOTHING = """
import extproc.core.masking.masker as m

m.Masker.mask_text = lambda self, text: text
m.Masker.mask_value = lambda self, value, key='': value
"""
ASKS_THE_MODEL_WHILE_IT_HOLDS = """
import http.client
import os
import pathlib
from urllib.parse import urlsplit

import extproc.edge.holding as h
import yaml

real = h.Holding.open

def open_and_ask(self, action):
    config = yaml.safe_load(pathlib.Path(os.environ["PLANT_DIRECTORY"], "guard", "config.yaml").read_text())
    client = http.client.HTTPConnection(urlsplit(config["connections"][0]["upstream"]).netloc, timeout=5)
    client.request("POST", "/v1/chat/completions", bytes(action.request.preview))
    client.getresponse().read()
    client.close()
    real(self, action)

h.Holding.open = open_and_ask
"""


def failed_steps(output: str) -> dict[int, str]:
    """What each failed step said, by its number."""
    failed, number = {}, 0
    for line in output.splitlines():
        if title := re.match(r"(\d)\. ", line):
            number = int(title[1])
        elif line.startswith("  FAIL "):
            failed[number] = line
    return failed


BUGS = {
    2: ("as the model writes them", HOLDS_THE_ANSWER_BACK),
    3: ("the masked prompt", FINDS_NOTHING),
    6: ("nothing before the grant", ASKS_THE_MODEL_WHILE_IT_HOLDS),
}
"""By the step that must notice them: what it then says, and the bug."""


def extproc(*arguments: str, seconds: float = 60, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A command as it ended, with more in its environment than there is in ours."""
    return subprocess.run(
        [sys.executable, "-m", "extproc", *arguments],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        env={**os.environ, **environment},
    )


def test_the_demo_tells_the_whole_story_and_leaves_nothing_running(tmp_path: Path) -> None:
    """`make demo` runs exactly this. It computes for less than a minute in all its processes together."""
    before = {process.pid for process in psutil.process_iter()}
    computed = computed_by_children()
    demo = extproc("demo", "--directory", str(tmp_path / "demo"), seconds=280)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    check_story(demo.stdout)
    assert computed_by_children() - computed <= 60
    assert not (tmp_path / "demo").exists()
    assert still_running(tmp_path, before) == []


def test_the_demo_fails_when_steps_are_not_as_they_should_be(tmp_path: Path) -> None:
    """Planted bugs. The demo must notice each at the step that shows it, and say so by its exit code.

    It ends by itself, and leaves no folder and nothing running.
    """
    before = {process.pid for process in psutil.process_iter()}
    (tmp_path / "plant").mkdir()
    for step in BUGS:
        (tmp_path / "plant" / f"bug_of_step_{step}.py").write_text(BUGS[step][1])
    (tmp_path / "plant" / "sitecustomize.py").write_text("".join(f"import bug_of_step_{step}\n" for step in BUGS))
    result = extproc(
        "demo", "--directory", str(tmp_path / "demo"), seconds=280,
        PYTHONPATH=f"{tmp_path / 'plant'}{os.pathsep}{ROOT}", PLANT_DIRECTORY=str(tmp_path / "demo"),
    )  # fmt: skip
    assert result.returncode == 1, result.stdout
    failed = failed_steps(result.stdout)
    assert set(failed) >= set(BUGS), result.stdout + result.stderr
    for step in BUGS:
        assert BUGS[step][0] in failed[step], result.stdout + result.stderr
    assert not (tmp_path / "demo").exists()
    assert still_running(tmp_path, before) == []


def test_a_demo_that_is_kept_answers_its_own_curl_lines_until_ctrl_c(tmp_path: Path) -> None:
    """The lines are pasted where the demo was started; Ctrl-C reaches its whole process group, and nothing is left running."""
    before = {process.pid for process in psutil.process_iter()}
    demo = subprocess.Popen(
        [sys.executable, "-m", "extproc", "demo", "--keep", "--directory", "the demo"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    assert demo.stdout is not None
    started: list[psutil.Process] = []
    try:
        said = ""
        while "stop with" not in said:
            line = demo.stdout.readline()
            assert line, said
            said += line
        check_story(said)
        assert "is removed, with the audit log" in said
        started = psutil.Process(demo.pid).children(recursive=True)
        assert len(started) >= 4, "the model server, Envoy, the service and its workers"
        second = extproc("demo", "--directory", str(tmp_path / "the demo"))
        assert (second.returncode, second.stdout) == (2, ""), "it would have removed the first one's folder"
        assert "another demo runs in" in second.stderr
        (curl,) = [line for line in shown_commands(said) if line.startswith("curl ") and "card-please" in line]
        answer = subprocess.run(
            ["/bin/sh", "-c", curl], capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path
        )
        text = "".join(re.findall(r'"content":"([^"]*)"', answer.stdout))
        assert text == "Of course. The customer paid with card [PAN], and the receipt went out the same day."
        assert answer.stdout.rstrip().endswith("data: [DONE]")
        os.killpg(demo.pid, signal.SIGINT)
        assert demo.wait(60) == 0
        assert [process for process in started if process.is_running()] == []
        assert not (tmp_path / "the demo").exists()
        assert still_running(tmp_path, before) == []
    finally:
        demo.kill()
        demo.wait()
        demo.stdout.close()


@pytest.fixture
def llama(tmp_path: Path):
    write_model(tmp_path / "model.gguf")
    model = start_model(tmp_path / "model.gguf", log=tmp_path / "model.log")
    yield model
    model.stop()


def test_run_guards_a_real_model_and_says_how_to_get_a_token(llama, tmp_path: Path) -> None:
    """In a folder whose path is longer than a Unix socket's may be (107 bytes), as a CI's workspace can be.

    Ctrl-C reaches its whole process group, as a terminal sends it.
    """
    port = free_port()
    directory = tmp_path / ("long-" * 20) / "run"
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
        start_new_session=True,
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
        words = shlex.split(command[1])
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
        sockets = Path(yaml.safe_load((directory / "config.yaml").read_text("utf-8"))["run_directory"])
        assert sockets.is_absolute()
        assert sockets.stat().st_mode & 0o777 == 0o700
    finally:
        os.killpg(run.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(60)
        run.kill()
        run.wait()
        if run.stdout is not None:
            run.stdout.close()
    assert run.returncode == 0
    assert (directory / "policy.yaml").exists()
    assert not sockets.exists()


@pytest.mark.parametrize("upstream", ["ftp://nowhere", "127.0.0.1:8000", "http://127.0.0.1:8000/v1", "http://nowhere"])
def test_a_wrong_upstream_is_named_and_nothing_is_written(upstream: str, tmp_path: Path) -> None:
    """Written, it would stop every command that reads the configuration until the next good start."""
    result = CliRunner().invoke(main, ["run", "--upstream", upstream, "--directory", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert "'--upstream': must be http://host:port, without path" in result.stderr
    assert not (tmp_path / "run").exists()


def test_run_says_what_is_wrong_with_a_credential_file_and_quotes_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("first-line\nsecond-line\n")
    result = extproc(
        "run", "--upstream", "http://127.0.0.1:9", "--directory", str(tmp_path / "run"),
        "--credential-file", str(tmp_path / "key"),
    )  # fmt: skip
    assert result.returncode == 2
    assert result.stderr == (
        f"{tmp_path / 'key'}:1:1: the file holds more than one line of text (one line, ended by nothing or a line feed)\n"
    )


NO_PROXY_THERE = {
    **dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9"),
    "NO_PROXY": "",
}


class Run:
    """`extproc run` in a folder, until it has said how to stop it."""

    def __init__(self, directory: Path, upstream: str = "http://127.0.0.1:9", **environment: str) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "extproc", "run", "--upstream", upstream),
                *("--directory", str(directory), "--port", str(self.port)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **environment},
        )
        self.said = ""
        self.read_until("stop with")

    def read_until(self, wanted: str) -> None:
        assert self.process.stdout is not None
        while wanted not in self.said:
            line = self.process.stdout.readline()
            assert line, self.said
            self.said += line

    @staticmethod
    def token(directory: Path) -> str:
        command = ["dev", "token", "--directory", str(directory / "issuer"), "--subject", "s", "--groups", "analysts"]
        return CliRunner().invoke(main, command).stdout.strip()

    def ask(self, token: str) -> httpx.Response:
        return httpx.post(
            f"http://127.0.0.1:{self.port}/v1/chat/completions",
            json={"model": "m", "messages": [{"role": "user", "content": "clean"}]},
            headers={"authorization": f"Bearer {token}"},
            timeout=30,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(60)
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def test_a_run_survives_a_wrong_policy_a_second_start_and_a_kill(llama, tmp_path: Path) -> None:
    """On the way nothing listens where a proxy should be: whoever asks it for loopback fails."""
    directory = tmp_path / "run"
    with Run(directory, llama.url, **NO_PROXY_THERE) as run:
        before = (directory / "config.yaml").read_bytes()
        second = extproc("run", "--upstream", "http://127.0.0.1:9", "--directory", str(directory))
        assert second.returncode == 1, "it would take the first one's issuer and sockets"
        assert f"another guard runs in {directory.resolve()}" in second.stderr
        assert "guarding" not in second.stdout
        assert (directory / "config.yaml").read_bytes() == before
        token = run.token(directory)
        assert run.ask(token).status_code == 200

        policy = directory / "policy.yaml"
        good = policy.read_text("utf-8")
        policy.write_text(good.replace("effect: allow", "effect: alow", 1), "utf-8")
        run.read_until("the last good one stays")
        assert "alow" in run.said
        assert re.search(rf"{re.escape(str(policy))}:\d+:\d+: rules\[\d\]\.effect: ", run.said)
        policy.write_text(good + "# edited\n", "utf-8")
        run.read_until("the policy was replaced")

        parts = psutil.Process(run.process.pid).children(recursive=True)
        assert len(parts) >= 4
        run.process.kill()
        _, alive = psutil.wait_procs(parts, 30)
        assert not alive
    with Run(directory, llama.url) as again:
        assert again.ask(token).status_code == 200, "the issuer's address is part of who somebody is"


def test_run_says_what_is_wrong_with_a_policy_at_start(tmp_path: Path) -> None:
    """As `extproc policy check` does."""
    directory = tmp_path / "run"
    directory.mkdir()
    good = (ROOT / "extproc/local/policy.yaml").read_text("utf-8")
    (directory / "policy.yaml").write_text(good.replace("effect: allow", "effect: alow", 1), "utf-8")
    result = extproc(
        "run", "--upstream", "http://127.0.0.1:9", "--directory", str(directory), "--port", str(free_port())
    )
    assert result.returncode == 2
    assert "rules[" in result.stderr
    assert result.stderr.endswith("not started: the policy is refused\n")


def test_a_part_that_ends_is_named(tmp_path: Path) -> None:
    with Run(tmp_path / "run") as run:
        (service,) = [child for child in psutil.Process(run.process.pid).children() if "serve" in child.cmdline()]
        service.kill()
        run.read_until("stopped: the service ended with status -9; its log is ")
        assert run.process.wait(60) == 1


def test_the_demo_removes_no_folder_but_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep me")
    result = extproc("demo", "--directory", str(tmp_path))
    assert result.returncode == 2
    assert "--directory" in result.stderr
    assert (tmp_path / "mine").read_text() == "keep me"


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


def test_an_edit_before_the_first_look_is_said_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever edits at once, while `run` still prints its lines, hears of it as well; who edits nothing hears nothing."""
    policy = tmp_path / "policy.yaml"
    good = (ROOT / "extproc/local/policy.yaml").read_text("utf-8")
    policy.write_text(good, "utf-8")
    started_with = load_policy(policy, Fitness(60.0)).digest
    watched = WatchedPolicy(policy, Fitness(60.0), started_with)
    for _ in range(3):
        watched.look()
    assert capsys.readouterr() == ("", "")
    policy.write_text(good.replace("effect: allow", "effect: alow", 1), "utf-8")
    watched = WatchedPolicy(policy, Fitness(60.0), started_with)
    for _ in range(3):
        watched.look()
    assert capsys.readouterr().err.count("the last good one stays") == 1
    policy.write_text(good, "utf-8")
    for _ in range(3):
        watched.look()
    assert capsys.readouterr().out == "the policy was replaced\n"


def test_a_write_under_way_is_not_taken_for_a_bad_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = tmp_path / "policy.yaml"
    good = (ROOT / "extproc/local/policy.yaml").read_text("utf-8")
    policy.write_text(good, "utf-8")
    watched = WatchedPolicy(policy, Fitness(60.0), load_policy(policy, Fitness(60.0)).digest)
    for text in (good[:300], good + "# edited\n", good + "# edited\n"):
        if text != policy.read_text("utf-8"):
            policy.write_text(text, "utf-8")
        watched.look()
    assert capsys.readouterr() == ("the policy was replaced\n", "")


def test_a_start_that_fails_leaves_no_folder_of_sockets(tmp_path: Path) -> None:
    """Where the path is too long for a socket, one was made elsewhere before the policy was found wrong."""
    (tmp_path / "tmp").mkdir()
    directory = tmp_path / ("long-" * 20) / "run"
    directory.mkdir(parents=True)
    (directory / "policy.yaml").write_text("rules: nothing of the kind")
    result = subprocess.run(
        [
            *(sys.executable, "-m", "extproc", "run", "--upstream", "http://127.0.0.1:9"),
            *("--directory", str(directory)),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
    )
    assert result.returncode == 2, result.stderr
    assert list((tmp_path / "tmp").glob("extproc-run-*")) == []
