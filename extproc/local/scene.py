"""Where the demo's story plays, and what its steps do: show a command, carry it out, say what came back."""

import json
import os
import shlex
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from extproc.local.own_command import own_command, shell_path

TIMEOUT = httpx.Timeout(60.0)


class StepFailed(Exception):
    """What was expected and did not happen."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Where the story plays. `seen` returns what the model server received, oldest first."""

    url: str
    console_url: str
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


def show_curl(scene: Scene, path: str, who: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]) -> None:
    parts = ["curl", "-sN", f"{scene.url}{path}"]
    if who:
        parts += ["-H", f'"Authorization: Bearer {token(scene, who)}"']
    for name, value in headers.items():
        parts += ["-H", shlex.quote(f"{name}: {value}")]
    if body is not None:
        parts += ["-H", "'Content-Type: application/json'", "-d", shlex.quote(json.dumps(body))]
    show_command(scene, " ".join(parts))


def show_command(scene: Scene, line: str) -> None:
    scene.console.print(f"  $ {line}", style="cyan", highlight=False, markup=False, soft_wrap=True)


def token(scene: Scene, who: str) -> str:
    """For a shell, inside double quotes."""
    return f"$(cat {shell_path(scene.token_files[who])})"


def request(
    scene: Scene, path: str, who: str, body: Mapping[str, Any] | None, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    show_curl(scene, path, who, body, headers or {})
    sent = dict(headers or {})
    if who:
        sent["authorization"] = f"Bearer {scene.tokens[who]}"
    method = "GET" if body is None else "POST"
    answer = httpx.request(method, scene.url + path, json=body, headers=sent, timeout=TIMEOUT, trust_env=False)
    scene.console.print(f"  {answer.status_code} {answer.text[:400]}", highlight=False, markup=False, soft_wrap=True)
    return answer


def chat(scene: Scene, prompt: str, **more: Any) -> dict[str, Any]:
    return {"model": scene.model, "messages": [{"role": "user", "content": prompt}], **more}


def extproc(scene: Scene, *arguments: str, who: str = "") -> str:
    """Run the very line that is shown; its output, or `StepFailed` on another exit code than 0."""
    variables = f"EXTPROC_CONFIG={shell_path(scene.config)} "
    if who:
        variables += f'EXTPROC_TOKEN="{token(scene, who)}" '
    line = f"{variables}{own_command()} {shlex.join(arguments)}"
    show_command(scene, line)
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
