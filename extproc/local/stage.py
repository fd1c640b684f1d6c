"""What the demo plays on: model server, wiretap, guard and tokens, all in one folder."""

import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from rich.console import Console

from extproc.local.guard import AUDIENCE, Guard, Wanted, start_guard
from extproc.local.issuer import mint_token
from extproc.local.model_server import start_model
from extproc.local.own_command import own_command, shell_path
from extproc.local.ports import free_port
from extproc.local.scene import Scene
from extproc.local.scripted_model import write_model
from extproc.local.wiretap import start_wiretap

MODEL = "scripted-tiny"
_PEOPLE = {"analyst": ["analysts"], "approver": ["approvers"]}
_PACE_SECONDS = 0.12
"""Between two tokens: the scripted model alone is done in a few milliseconds, and nobody sees a stream."""
_MODEL_KEY = "demo-model-key-of-the-gateway"


class Stage:
    """A context manager: everything is up inside, and stopped after. `scene` is what the story needs."""

    scene: Scene
    guard: Guard

    def __init__(self, directory: Path, console: Console) -> None:
        self._directory = directory.resolve()
        self._console = console
        self._parts = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._parts.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._parts.close()

    def _start(self) -> None:
        directory, console = self._directory, self._console
        console.print("starting a llama.cpp server with a scripted model ...")
        write_model(directory / "model.gguf")
        model = start_model(directory / "model.gguf", log=directory / "model.log", api_key=_MODEL_KEY)
        self._parts.callback(model.stop)
        tap = start_wiretap(model.url, pace_seconds=_PACE_SECONDS)
        self._parts.callback(tap.stop)
        console.print("starting Envoy, two workers, the console and a development issuer ...")
        self.guard = start_guard(
            Wanted(
                directory=directory / "guard",
                upstream=tap.url,
                workers=2,
                credential=_MODEL_KEY,
                policy=Path(__file__).with_name("demo-policy.yaml"),
                console_port=free_port(),
            )
        )
        self._parts.callback(self.guard.stop)
        tokens, files = self._mint()

        def seen() -> list[dict[str, Any]]:
            return list(httpx.get(tap.view_url, timeout=10, trust_env=False).json())

        self.scene = Scene(
            url=self.guard.url,
            console_url=self.guard.console_url,
            config=self.guard.config,
            model=MODEL,
            tokens=tokens,
            token_files=files,
            seen=seen,
            console=console,
        )

    def _mint(self) -> tuple[dict[str, str], dict[str, Path]]:
        tokens: dict[str, str] = {}
        files: dict[str, Path] = {}
        for subject, groups in _PEOPLE.items():
            tokens[subject] = mint_token(
                self.guard.issuer_directory,
                subject=subject,
                groups=groups,
                audience=AUDIENCE,
                issuer=self.guard.issuer.url,
            )
            files[subject] = self._directory / f"{subject}.token"
            files[subject].touch(mode=0o600)
            files[subject].write_text(tokens[subject], "ascii")
        return tokens, files

    def wait(self) -> None:
        """Keep everything up until Ctrl-C."""
        guard = self.guard
        for line in (
            f"\nrunning: {guard.url}/v1   config {guard.config}   tokens {self._directory}/*.token",
            f"console: {guard.console_url}   (log in as whoever you want to be: analyst, approver, auditor ...)",
            f"audit:   {own_command()} audit list --config {shell_path(guard.config)}",
            f"stop with Ctrl-C; then {shell_path(self._directory)} is removed, with the audit log and all keys",
        ):
            self._console.print(line, markup=False, soft_wrap=True)
        try:
            while not guard.ended():
                time.sleep(0.5)
        except KeyboardInterrupt:
            return
