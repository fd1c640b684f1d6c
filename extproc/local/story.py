"""The demo's eight steps: the command, what came back, the verdict. A step that is not as it should be fails."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from extproc.local.own_command import own_command, shell_path

_CARD = re.compile(r"4[\d \-]{12,22}\d")
_TIMEOUT = httpx.Timeout(60.0)
_STREAM_SECONDS = 0.4
"""The least from the first piece of the streamed answer to its last: a third of what the model takes to write it, and
far more than what arrives in one lump takes to read."""
_REPLAYED = re.compile(r"^ *(\d+\.\d{3})s (->|<-) ", re.MULTILINE)


class StepFailed(Exception):
    """What was expected and did not happen."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Where the story plays. `seen` returns what the model server received, oldest first."""

    url: str
    config: Path
    model: str
    tokens: Mapping[str, str] = field(repr=False)
    token_files: Mapping[str, Path]
    seen: Callable[[], list[dict[str, Any]]]
    console: Console


def expect(condition: bool, sentence: str) -> None:
    """Raises `StepFailed(sentence)` unless `condition`."""
    if not condition:
        raise StepFailed(sentence)


def _show_curl(scene: Scene, path: str, who: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]) -> None:
    parts = ["curl", "-sN", f"{scene.url}{path}"]
    if who:
        parts += ["-H", f'"Authorization: Bearer {_token(scene, who)}"']
    for name, value in headers.items():
        parts += ["-H", shlex.quote(f"{name}: {value}")]
    if body is not None:
        parts += ["-H", "'Content-Type: application/json'", "-d", shlex.quote(json.dumps(body))]
    _show_command(scene, " ".join(parts))


def _show_command(scene: Scene, line: str) -> None:
    scene.console.print(f"  $ {line}", style="cyan", highlight=False, markup=False, soft_wrap=True)


def _token(scene: Scene, who: str) -> str:
    """For a shell, inside double quotes."""
    return f"$(cat {shell_path(scene.token_files[who])})"


def _request(
    scene: Scene, path: str, who: str, body: Mapping[str, Any] | None, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    _show_curl(scene, path, who, body, headers or {})
    sent = dict(headers or {})
    if who:
        sent["authorization"] = f"Bearer {scene.tokens[who]}"
    method = "GET" if body is None else "POST"
    answer = httpx.request(method, scene.url + path, json=body, headers=sent, timeout=_TIMEOUT, trust_env=False)
    scene.console.print(f"  {answer.status_code} {answer.text[:400]}", highlight=False, markup=False, soft_wrap=True)
    return answer


def _chat(scene: Scene, prompt: str, **more: Any) -> dict[str, Any]:
    return {"model": scene.model, "messages": [{"role": "user", "content": prompt}], **more}


def _extproc(scene: Scene, *arguments: str, who: str = "") -> str:
    """Run the very line that is shown; its output, or `StepFailed` on another exit code than 0."""
    variables = f"EXTPROC_CONFIG={shell_path(scene.config)} "
    if who:
        variables += f'EXTPROC_TOKEN="{_token(scene, who)}" '
    line = f"{variables}{own_command()} {shlex.join(arguments)}"
    _show_command(scene, line)
    result = subprocess.run(  # noqa: S603 - our own command, every part quoted
        ["/bin/sh", "-c", line],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "COLUMNS": "120"},
    )
    for text in (result.stdout + result.stderr).strip().splitlines()[:24]:
        scene.console.print("  " + text.rstrip(), highlight=False, markup=False, soft_wrap=True)
    expect(result.returncode == 0, f"`extproc {arguments[0]} {arguments[1]}` ended with {result.returncode}")
    return result.stdout


def no_token(scene: Scene) -> str:
    before = len(scene.seen())
    answer = _request(scene, "/v1/chat/completions", "", _chat(scene, "hello clean"))
    expect(answer.status_code == 401, "a request without a token must get 401")
    expect(len(scene.seen()) == before, "the model must have seen nothing")
    return "401: nobody is let in without an identity; the model saw nothing"


def _delta(line: str) -> str:
    """The text that a line of a streamed answer carries."""
    _, found, event = line.partition("data: {")
    return str(json.loads("{" + event)["choices"][0]["delta"].get("content") or "") if found else ""


def masked_stream(scene: Scene) -> str:
    """The model streams a card, split across tokens; the client sees the mask, token by token."""
    body = _chat(scene, "Which card is on file? card-please", stream=True, max_tokens=64)
    _show_curl(scene, "/v1/chat/completions", "analyst", body, {})
    text, arrivals = "", []
    headers = {"authorization": f"Bearer {scene.tokens['analyst']}"}
    with httpx.stream(
        "POST",
        scene.url + "/v1/chat/completions",
        json=body,
        headers=headers,
        timeout=_TIMEOUT,
        trust_env=False,
    ) as answer:
        expect(answer.status_code == 200, f"the analyst's chat must be allowed, got {answer.status_code}")
        scene.console.print("  ", end="")
        for line in answer.iter_lines():
            if delta := _delta(line):
                arrivals.append(time.monotonic())
                text += delta
                scene.console.print(delta + "·", end="", highlight=False, markup=False)
    scene.console.print()
    expect("[PAN]" in text, "the card must be masked")
    expect(_CARD.search(text) is None, "no card number may reach the client")
    expect(len(arrivals) > 3, "the answer must arrive token by token")
    seconds = arrivals[-1] - arrivals[0]
    expect(seconds >= _STREAM_SECONDS, f"the pieces must arrive as the model writes them, not within {seconds:.3f} s")
    return f"masked in the stream; {len(arrivals)} pieces arrived one by one, over {seconds:.1f} s"


def masked_prompt(scene: Scene) -> str:
    before = len(scene.seen())
    answer = _request(
        scene,
        "/v1/chat/completions",
        "analyst",
        _chat(scene, "Card 4111 1111 1111 1111, cvv 123: is it clean", max_tokens=16),
    )
    expect(answer.status_code == 200, "the request must go through")
    seen = scene.seen()[before:]
    expect(len(seen) == 1, "the model must have seen one request")
    body = str(seen[0]["body"])
    scene.console.print(f"  the model saw: {body}", highlight=False, markup=False, soft_wrap=True)
    expect("[PAN]" in body and "[CVV]" in body and "4111" not in body, "the model must see the masked prompt")
    expect(scene.tokens["analyst"] not in json.dumps(seen[0]["headers"]), "the caller's token must not reach the model")
    return "the model received the prompt masked, with its own key and without the caller's token"


def forbidden_model(scene: Scene) -> str:
    before = len(scene.seen())
    body = {**_chat(scene, "hello clean"), "model": "fraud-7b"}
    answer = _request(scene, "/v1/chat/completions", "analyst", body)
    expect(answer.status_code == 403, "a model that nobody allowed must get 403")
    expect("reserved for the fraud team" in answer.text, "the client must read the rule's own text")
    expect(len(scene.seen()) == before, "the model must have seen nothing")
    return "403 with the rule's own text; the model saw nothing"


def prohibited_operation(scene: Scene) -> str:
    before = len(scene.seen())
    answer = _request(scene, "/v1/load_lora_adapter", "analyst", {"lora_name": "x", "lora_path": "adapters/x"})
    expect(answer.status_code == 403, "loading an adapter must get 403")
    expect(len(scene.seen()) == before, "the model must have seen nothing")
    return "403; the model saw nothing"


def held_request(scene: Scene) -> str:
    """A bulk request waits on its open connection until the approver decides from the command line."""
    before = len(scene.seen())
    body = _chat(scene, "Summarise everything clean", max_tokens=4000)
    _show_curl(scene, "/v1/chat/completions", "analyst", body, {})
    headers = {"authorization": f"Bearer {scene.tokens['analyst']}"}
    with httpx.Client(timeout=_TIMEOUT, trust_env=False) as client:
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - one waiting client

        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(client.post, scene.url + "/v1/chat/completions", json=body, headers=headers)
            approval_id = _await_pending(scene)
            expect(not waiting.done(), "the request must wait")
            scene.console.print(f"  ... waits for approval {approval_id}", highlight=False, markup=False)
            _extproc(scene, "approvals", "show", approval_id)
            unseen = len(scene.seen()) == before
            _extproc(scene, "approvals", "grant", approval_id, "--reason", "quarterly report", who="approver")
            answer = waiting.result(timeout=30)
    scene.console.print(f"  {answer.status_code} {answer.text[:200]}", highlight=False, markup=False, soft_wrap=True)
    expect(unseen, "the model must have seen nothing before the grant")
    expect(answer.status_code == 200, "the granted request must go on")
    expect(len(scene.seen()) == before + 1, "the model must have seen the granted request, once")
    return "held, and the model saw nothing of it; granted by the approver, went on"


def _await_pending(scene: Scene) -> str:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        result = subprocess.run(
            [sys.executable, "-m", "extproc", "approvals", "list", "--state", "pending", "--json"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "EXTPROC_CONFIG": str(scene.config)},
        )
        pending = json.loads(result.stdout) if result.returncode == 0 and result.stdout.strip() else []
        if pending:
            return str(pending[0]["approval_id"])
        time.sleep(0.2)
    raise StepFailed("no approval was opened")


def verified(scene: Scene) -> str:
    _extproc(scene, "audit", "verify")
    return "proven: nothing altered, removed, reordered or cut off"


def replayed(scene: Scene) -> str:
    """The stream of step 2, from its encrypted transcript, with the pauses that it had."""
    listed = _extproc(scene, "audit", "list", "--json")
    exchanges = [json.loads(line) for line in listed.splitlines() if line.strip()]
    wanted = [e for e in exchanges if e["outcome"] == "completed" and e["findings"] == {"pan": 1}]
    expect(bool(wanted), "the exchange with the card must be in the audit log")
    started = time.monotonic()
    output = _extproc(scene, "audit", "replay", "--raw", str(wanted[0]["exchange_id"]))
    took = time.monotonic() - started
    text = "".join(_delta(line) for line in output.splitlines())
    expect("[PAN]" in text and _CARD.search(text) is None, "the transcript must be the masked one")
    pieces = [(float(at), arrow) for at, arrow in _REPLAYED.findall(output)]
    times = [at for at, _ in pieces]
    expect({arrow for _, arrow in pieces} == {"->", "<-"}, "both directions must be shown, each piece with its time")
    expect(times == sorted(times), "the pieces must come in the order of their times")
    answered = [at for at, arrow in pieces if arrow == "<-"]
    expect(answered[-1] - answered[0] >= _STREAM_SECONDS, "the times must be those of the stream")
    expect(took >= times[-1], f"a replay of {times[-1]:.1f} s must take as long")
    return f"replayed over {times[-1]:.1f} s as it happened, masked as it crossed the boundary"


STEPS: tuple[tuple[str, Callable[[Scene], str]], ...] = (
    ("no token", no_token),
    ("an analyst's chat, streamed: the model answers with a card", masked_stream),
    ("a prompt with a card and a security code", masked_prompt),
    ("a model nobody allowed to this group", forbidden_model),
    ("a prohibited operation: loading a LoRA adapter", prohibited_operation),
    ("a bulk request: held until an approver decides", held_request),
    ("the audit log, verified", verified),
    ("an exchange, replayed", replayed),
)


def tell(scene: Scene) -> int:
    """Play every step; returns how many were not as they should be."""
    failed = 0
    for number, (title, step) in enumerate(STEPS, 1):
        scene.console.print(f"\n{number}. {title}", style="bold", highlight=False, markup=False)
        try:
            verdict = step(scene)
        except (StepFailed, httpx.HTTPError, subprocess.TimeoutExpired, ValueError, KeyError, IndexError) as error:
            failed += 1
            scene.console.print(
                f"  FAIL {type(error).__name__}: {error}", style="bold red", highlight=False, markup=False
            )
        else:
            scene.console.print(f"  OK   {verdict}", style="green", highlight=False, markup=False)
    return failed
