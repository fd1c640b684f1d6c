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

_CARD = re.compile(r"4[\d \-]{12,22}\d")
_TIMEOUT = httpx.Timeout(60.0)


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


def own_command() -> str:
    """How to call this very program from any folder, for a line that a person pastes."""
    return shlex.quote(str(Path(sys.executable).with_name("extproc")))


def expect(condition: bool, sentence: str) -> None:
    """Raises `StepFailed(sentence)` unless `condition`."""
    if not condition:
        raise StepFailed(sentence)


def _show_curl(scene: Scene, path: str, who: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]) -> None:
    parts = ["curl", "-sN", f"{scene.url}{path}"]
    if who:
        parts += ["-H", f'"Authorization: Bearer $(cat {shlex.quote(str(scene.token_files[who]))})"']
    for name, value in headers.items():
        parts += ["-H", shlex.quote(f"{name}: {value}")]
    if body is not None:
        parts += ["-H", "'Content-Type: application/json'", "-d", shlex.quote(json.dumps(body))]
    scene.console.print("  $ " + " ".join(parts), style="cyan", highlight=False, markup=False, soft_wrap=True)


def _request(
    scene: Scene, path: str, who: str, body: Mapping[str, Any] | None, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    _show_curl(scene, path, who, body, headers or {})
    sent = dict(headers or {})
    if who:
        sent["authorization"] = f"Bearer {scene.tokens[who]}"
    method = "GET" if body is None else "POST"
    answer = httpx.request(method, scene.url + path, json=body, headers=sent, timeout=_TIMEOUT)
    scene.console.print(f"  {answer.status_code} {answer.text[:400]}", highlight=False, markup=False, soft_wrap=True)
    return answer


def _chat(scene: Scene, prompt: str, **more: Any) -> dict[str, Any]:
    return {"model": scene.model, "messages": [{"role": "user", "content": prompt}], **more}


def _extproc(scene: Scene, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """Run our own command as a person would; its output, or `StepFailed` on another exit code than 0."""
    shown = [f"EXTPROC_CONFIG={shlex.quote(str(scene.config))}"]
    if environment:
        shown.append(f'EXTPROC_TOKEN="$(cat {shlex.quote(str(scene.token_files["approver"]))})"')
    line = " ".join(["  $", *shown, own_command(), shlex.join(arguments)])
    scene.console.print(line, style="cyan", highlight=False, markup=False, soft_wrap=True)
    result = subprocess.run(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", "extproc", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "COLUMNS": "120", "EXTPROC_CONFIG": str(scene.config), **(environment or {})},
    )
    for line in (result.stdout + result.stderr).strip().splitlines()[:24]:
        scene.console.print("  " + line, highlight=False, markup=False, soft_wrap=True)
    expect(result.returncode == 0, f"`extproc {arguments[0]} {arguments[1]}` ended with {result.returncode}")
    return result.stdout


def no_token(scene: Scene) -> str:
    before = len(scene.seen())
    answer = _request(scene, "/v1/chat/completions", "", _chat(scene, "hello clean"))
    expect(answer.status_code == 401, "a request without a token must get 401")
    expect(len(scene.seen()) == before, "the model must have seen nothing")
    return "401: nobody is let in without an identity"


def masked_stream(scene: Scene) -> str:
    """The model streams a card, split across tokens; the client sees the mask, token by token."""
    body = _chat(scene, "Which card is on file? card-please", stream=True, max_tokens=64)
    _show_curl(scene, "/v1/chat/completions", "analyst", body, {})
    text, arrivals = "", []
    headers = {"authorization": f"Bearer {scene.tokens['analyst']}"}
    with httpx.stream(
        "POST", scene.url + "/v1/chat/completions", json=body, headers=headers, timeout=_TIMEOUT
    ) as answer:
        expect(answer.status_code == 200, f"the analyst's chat must be allowed, got {answer.status_code}")
        scene.console.print("  ", end="")
        for line in answer.iter_lines():
            if not line.startswith("data: {"):
                continue
            delta = json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
            if delta:
                arrivals.append(time.monotonic())
                text += delta
                scene.console.print(delta + "·", end="", highlight=False, markup=False)
    scene.console.print()
    expect("[PAN]" in text, "the card must be masked")
    expect(_CARD.search(text) is None, "no card number may reach the client")
    expect(len(arrivals) > 3, "the answer must arrive token by token")
    return f"masked in the stream; {len(arrivals)} pieces arrived one by one"


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
    with httpx.Client(timeout=_TIMEOUT) as client:
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - one waiting client

        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(client.post, scene.url + "/v1/chat/completions", json=body, headers=headers)
            approval_id = _await_pending(scene)
            expect(not waiting.done(), "the request must wait")
            expect(len(scene.seen()) == before, "the model must have seen nothing before the grant")
            scene.console.print(f"  ... waits for approval {approval_id}", highlight=False, markup=False)
            _extproc(scene, "approvals", "show", approval_id)
            own = {"EXTPROC_TOKEN": scene.tokens["approver"]}
            _extproc(scene, "approvals", "grant", approval_id, "--reason", "quarterly report", environment=own)
            answer = waiting.result(timeout=30)
    scene.console.print(f"  {answer.status_code} {answer.text[:200]}", highlight=False, markup=False, soft_wrap=True)
    expect(answer.status_code == 200, "the granted request must go on")
    return "held, granted by the approver, went on"


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
    """The exchange of step 3, from its encrypted transcript."""
    listed = _extproc(scene, "audit", "list", "--json")
    exchanges = [json.loads(line) for line in listed.splitlines() if line.strip()]
    wanted = [e for e in exchanges if e["outcome"] == "completed" and "security_code" in e["findings"]]
    expect(bool(wanted), "the exchange with the card must be in the audit log")
    output = _extproc(scene, "audit", "replay", str(wanted[0]["exchange_id"]), "--no-wait")
    expect("[PAN]" in output and "4111 1111" not in output, "the transcript must be the masked one")
    return "replayed with its timing, masked as it crossed the boundary"


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
