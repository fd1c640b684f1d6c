"""The demo's nine steps: the command, what came back, the verdict. A step that is not as it should be fails."""

import json
import re
import subprocess
import time
from collections.abc import Callable

import httpx

from extproc.local.console_visit import ConsoleVisit, VisitFailed
from extproc.local.scene import TIMEOUT, Scene, StepFailed, chat, expect, extproc, request, show_curl

_CARD = re.compile(r"4[\d \-]{12,22}\d")
_FAILURES = (StepFailed, VisitFailed, httpx.HTTPError, subprocess.TimeoutExpired, ValueError, KeyError, IndexError)
"""What fails a step, and not the demo."""
_STREAM_SECONDS = 0.4
"""The least from the first piece of the streamed answer to its last: a third of what the model takes to write it, and
far more than what arrives in one lump takes to read."""
_REPLAYED = re.compile(r"^ *(\d+\.\d{3})s (->|<-) ", re.MULTILINE)


def no_token(scene: Scene) -> str:
    before = len(scene.seen())
    answer = request(scene, "/v1/chat/completions", "", chat(scene, "hello clean"))
    expect(answer.status_code == 401, "a request without a token must get 401")
    expect(len(scene.seen()) == before, "the model must have seen nothing")
    return "401: nobody is let in without an identity; the model saw nothing"


def _delta(line: str) -> str:
    """The text that a line of a streamed answer carries."""
    _, found, event = line.partition("data: {")
    return str(json.loads("{" + event)["choices"][0]["delta"].get("content") or "") if found else ""


def masked_stream(scene: Scene) -> str:
    """The model streams a card, split across tokens; the client sees the mask, token by token."""
    body = chat(scene, "Which card is on file? card-please", stream=True, max_tokens=64)
    show_curl(scene, "/v1/chat/completions", "analyst", body, {})
    text, arrivals = "", []
    headers = {"authorization": f"Bearer {scene.tokens['analyst']}"}
    with httpx.stream(
        "POST",
        scene.url + "/v1/chat/completions",
        json=body,
        headers=headers,
        timeout=TIMEOUT,
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
    answer = request(
        scene,
        "/v1/chat/completions",
        "analyst",
        chat(scene, "Card 4111 1111 1111 1111, cvv 123: is it clean", max_tokens=16),
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
    body = {**chat(scene, "hello clean"), "model": "fraud-7b"}
    answer = request(scene, "/v1/chat/completions", "analyst", body)
    expect(answer.status_code == 403, "a model that nobody allowed must get 403")
    expect("reserved for the fraud team" in answer.text, "the client must read the rule's own text")
    expect(len(scene.seen()) == before, "the model must have seen nothing")
    return "403 with the rule's own text; the model saw nothing"


def prohibited_operation(scene: Scene) -> str:
    before = len(scene.seen())
    answer = request(scene, "/v1/load_lora_adapter", "analyst", {"lora_name": "x", "lora_path": "adapters/x"})
    expect(answer.status_code == 403, "loading an adapter must get 403")
    expect(len(scene.seen()) == before, "the model must have seen nothing")
    return "403; the model saw nothing"


def held_request(scene: Scene) -> str:
    """A bulk request waits on its open connection until the approver decides from the command line."""

    def decide(approval_id: str) -> None:
        extproc(scene, "approvals", "show", approval_id)
        extproc(scene, "approvals", "grant", approval_id, "--reason", "quarterly report", who="approver")

    _held(scene, "Summarise everything clean", decide)
    return "held, and the model saw nothing of it; granted by the approver, went on"


def held_for_the_console(scene: Scene) -> str:
    """Another one waits until the approver has seen, in the console, what it asks, and pressed the button."""

    def decide(approval_id: str) -> None:
        path = f"/approvals/{approval_id}"
        scene.console.print(f"  the approver opens {scene.console_url}{path}", highlight=False, markup=False)
        with ConsoleVisit(scene.console_url) as visit:
            page = visit.log_in("approver", path)
            expect("Summarise card [PAN]" in page.text, "the approver must see the masked request")
            expect("4111" not in page.text, "no card number may be on the page")
            scene.console.print("  the page shows: Summarise card [PAN]", highlight=False, markup=False)
            visit.press(page, "Grant", reason="seen in the console")

    _held(scene, "Summarise card 4111 1111 1111 1111 clean", decide)
    return "the approver read it masked, in the console, and granted it there; it went on"


def _held(scene: Scene, prompt: str, decide: Callable[[str], None]) -> None:
    """A bulk request with `prompt` waits on its open connection until `decide` was called with its approval's id."""
    before = len(scene.seen())
    body = chat(scene, prompt, max_tokens=4000)
    show_curl(scene, "/v1/chat/completions", "analyst", body, {})
    headers = {"authorization": f"Bearer {scene.tokens['analyst']}"}
    with httpx.Client(timeout=TIMEOUT, trust_env=False) as client:
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - one waiting client

        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(client.post, scene.url + "/v1/chat/completions", json=body, headers=headers)
            approval_id = _await_pending(scene)
            expect(not waiting.done(), "the request must wait")
            scene.console.print(f"  ... waits for approval {approval_id}", highlight=False, markup=False)
            unseen = len(scene.seen()) == before
            decide(approval_id)
            answer = waiting.result(timeout=30)
    scene.console.print(f"  {answer.status_code} {answer.text[:200]}", highlight=False, markup=False, soft_wrap=True)
    expect(unseen, "the model must have seen nothing before the grant")
    expect(answer.status_code == 200, "the granted request must go on")
    expect(len(scene.seen()) == before + 1, "the model must have seen the granted request, once")


def _await_pending(scene: Scene) -> str:
    """By the console's API: a command for each look would take longer than the rest of the step."""
    deadline = time.monotonic() + 15
    headers = {"authorization": f"Bearer {scene.tokens['approver']}"}
    with httpx.Client(timeout=TIMEOUT, trust_env=False, headers=headers) as client:
        while time.monotonic() < deadline:
            answer = client.get(f"{scene.console_url}/api/v1/approvals", params={"state": "pending"})
            if pending := answer.raise_for_status().json()["approvals"]:
                return str(pending[0]["approval_id"])
            time.sleep(0.2)
    raise StepFailed("no approval was opened")


def verified(scene: Scene) -> str:
    extproc(scene, "audit", "verify")
    return "proven: nothing altered, removed, reordered or cut off"


def replayed(scene: Scene) -> str:
    """The stream of step 2, from its encrypted transcript, with the pauses that it had."""
    listed = extproc(scene, "audit", "list", "--json")
    exchanges = [json.loads(line) for line in listed.splitlines() if line.strip()]
    wanted = [e for e in exchanges if e["outcome"] == "completed" and e["findings"] == {"pan": 1}]
    expect(bool(wanted), "the exchange with the card must be in the audit log")
    started = time.monotonic()
    output = extproc(scene, "audit", "replay", "--raw", str(wanted[0]["exchange_id"]))
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
    ("another one: the approver decides in the console", held_for_the_console),
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
        except _FAILURES as error:
            failed += 1
            scene.console.print(
                f"  FAIL {type(error).__name__}: {error}", style="bold red", highlight=False, markup=False
            )
        else:
            scene.console.print(f"  OK   {verdict}", style="green", highlight=False, markup=False)
    return failed
