"""Phoenix on loopback: an OTLP back end that keeps traces in a database of its own and answers questions about them."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from extproc.local.ports import free_port

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".servers" / "phoenix" / "bin" / "python"
START_SECONDS = 600.0
"""It imports 550 MB: 28 s of CPU."""


@dataclass(frozen=True, slots=True)
class Span:
    """As the back end tells of it."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    status: str
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Backend:
    url: str
    """Of its API."""
    otlp: str
    """Where spans are sent, by gRPC."""
    directory: Path

    def spans(self) -> list[Span]:
        """Every span that it keeps."""
        found: list[Span] = []
        cursor = ""
        while True:
            query = {"limit": "1000", **({"cursor": cursor} if cursor else {})}
            answer = httpx.get(f"{self.url}/v1/projects/default/spans", params=query, timeout=30, trust_env=False)
            if answer.status_code == 404:  # nothing has arrived yet
                return []
            document = answer.raise_for_status().json()
            found += [_span(each) for each in document["data"]]
            cursor = document["next_cursor"] or ""
            if not cursor:
                return found

    def wait(self, enough: Callable[[list[Span]], bool], seconds: float = 60.0) -> list[Span]:
        """The spans, once they are enough."""
        until = time.monotonic() + seconds
        while not enough(spans := self.spans()):
            assert time.monotonic() < until, sorted((span.trace_id[-4:], span.name) for span in spans)
            time.sleep(0.5)
        return spans

    def stored(self) -> bytes:
        """All that it has written, the database's log too."""
        return b"\n".join(path.read_bytes() for path in sorted(self.directory.rglob("*")) if path.is_file())


def _span(told: dict[str, Any]) -> Span:
    context = told["context"]
    return Span(
        told["name"],
        context["trace_id"],
        context["span_id"],
        told["parent_id"] or "",
        told["status_code"],
        told["attributes"],
    )


@contextmanager
def run_backend(directory: Path) -> Iterator[Backend]:
    """Stopped when the block ends."""
    port, otlp = free_port(), free_port()
    told = {
        "PHOENIX_WORKING_DIR": str(directory),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(otlp),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | told
    log = directory.with_suffix(".log")
    with log.open("wb") as file:
        process = subprocess.Popen(
            [str(PYTHON), "-m", "phoenix.server.main", "serve"], stdout=file, stderr=file, env=environment
        )
    try:
        _await(process, f"http://127.0.0.1:{port}/healthz", log)
        yield Backend(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{otlp}", directory)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(url, timeout=2, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise AssertionError(log.read_text("utf-8")[-2000:])
