"""A real llama.cpp server recites the scripts, token by token."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from extproc.local.model_server import RunningModel, start_model
from extproc.local.scripted_model import SCRIPTS, cut_pieces, script_text, write_model


def ask(model: RunningModel, key: str, prompt: str) -> list[str]:
    """The content of each streamed event."""
    body = {"messages": [{"role": "user", "content": prompt}], "stream": True}
    headers = {"authorization": f"Bearer {key}"}
    pieces = []
    with httpx.stream(
        "POST", f"{model.url}/v1/chat/completions", json=body, headers=headers, trust_env=False
    ) as answer:
        assert answer.status_code == 200
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                delta = json.loads(line[6:])["choices"][0]["delta"]
                pieces.append(delta.get("content") or "")
    return [piece for piece in pieces if piece]


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_the_last_word_of_the_prompt_selects_the_answer_with_its_token_borders(
    model: RunningModel, model_key: str, name: str
) -> None:
    assert ask(model, model_key, f"please say something, {name}") == list(SCRIPTS[name])


def test_the_demo_cards_are_published_test_numbers_split_across_tokens() -> None:
    for name, number in (("card-please", "4111 1111 1111 1111"), ("cvv-please", "5555 5555 5555 4444")):
        assert number in script_text(name)
        assert not any(number in piece for piece in SCRIPTS[name])
    assert "CVV 737" in script_text("cvv-please")


def test_the_long_answer_has_more_than_two_hundred_tokens_and_no_digit() -> None:
    assert len(SCRIPTS["long"]) > 200
    assert not any(character.isdigit() for character in script_text("long"))


def test_pieces_are_cut_so_that_each_is_the_only_one_of_its_kind() -> None:
    pieces = cut_pieces("a b a b a b")
    assert "".join(pieces) == "a b a b a b"
    assert len(set(pieces)) == len(pieces)


def test_a_piece_used_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="occurs twice"):
        write_model(tmp_path / "m.gguf", {"one": ("same", " end"), "two": ("same",)})


def test_a_prompt_without_a_script_ends_at_once(model: RunningModel, model_key: str) -> None:
    assert ask(model, model_key, "nothing in particular") == []


@pytest.mark.parametrize("path", ["/v1/completions", "/completion", "/v1/messages", "/v1/responses"])
def test_the_other_surfaces_recite_too(model: RunningModel, model_key: str, path: str) -> None:
    body: dict[str, object] = {"model": "scripted", "max_tokens": 64}
    if path.endswith("messages"):
        body["messages"] = [{"role": "user", "content": "say clean"}]
    elif path.endswith("responses"):
        body["input"] = "say clean"
    else:
        body["prompt"] = "say clean"
    headers = {"authorization": f"Bearer {model_key}"}
    answer = httpx.post(f"{model.url}{path}", json=body, headers=headers, trust_env=False)
    assert answer.status_code == 200
    assert script_text("clean") in answer.text


def test_without_its_key_the_server_answers_401(model: RunningModel) -> None:
    headers = {"authorization": "Bearer somebody-elses-token"}
    answer = httpx.post(f"{model.url}/v1/chat/completions", json={"messages": []}, headers=headers, trust_env=False)
    assert answer.status_code == 401


def test_the_key_is_not_in_the_process_list(model: RunningModel, model_key: str) -> None:
    assert model_key.encode() not in Path(f"/proc/{model.pid}/cmdline").read_bytes()


def test_a_broken_model_file_is_an_error_and_leaves_no_process(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(64))
    log = tmp_path / "log"
    with pytest.raises(RuntimeError, match="did not start"):
        start_model(broken, log=log)
    assert log.stat().st_size > 0


def test_the_server_ends_when_its_parent_is_killed(model_file: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from extproc.local.model_server import start_model\n"
        "running = start_model(Path(sys.argv[1])); print(running.pid, running.url, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(model_file)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid, url = parent.stdout.readline().split()
    assert httpx.get(f"{url}/health", trust_env=False).status_code == 200
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 30
    while _alive(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(int(pid))


def _alive(pid: int) -> bool:
    """Running, not merely waiting to be reaped by whoever inherited it."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
