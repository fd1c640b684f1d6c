"""The probes of `extproc serve`: `GET /livez` and `GET /readyz`, in a thread of the supervisor with a loop of its own.

Alive: the supervisor turns, and not all of its workers die again and again. Ready: at least one worker answers that it
serves, and the service is not told to stop. One, not all: Envoy leaves out the worker that is away, and a pod that is
taken out of its Service for one restarting worker would move its load to others while it can carry most of it.

Nothing of a request is read past its head, at most `MAX_HEAD_BYTES` within `HEAD_SECONDS`; a probe asks no worker, no
file and no store. The answers hold names, digests and numbers, never content.
"""

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import Callable
from typing import Any, Final

from extproc.edge.settings import HealthSettings
from extproc.edge.standing import Standing
from extproc.edge.worker_health import WorkersHealth

MAX_HEAD_BYTES: Final = 8 * 1024
HEAD_SECONDS: Final = 2.0
"""For a whole request head to arrive, and for the answer to be taken."""
MAX_CONNECTIONS: Final = 32
_START_SECONDS: Final = 10.0
_REASONS: Final = {200: "OK", 400: "Bad Request", 404: "Not Found", 503: "Service Unavailable"}

_log = logging.getLogger(__name__)


class HealthEndpoint:
    """Answers from `start` until `stop`, also while the supervisor waits for a store or for its workers' end."""

    def __init__(self, settings: HealthSettings, workers: WorkersHealth, standing: Callable[[], Standing]) -> None:
        self._settings, self._workers, self._standing = settings, workers, standing
        self._listening = threading.Event()
        self._failed: OSError | None = None
        self._open = 0
        self._stopping = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)

    def start(self) -> None:
        """Raises `OSError` when the address cannot be listened at."""
        self._thread.start()
        self._listening.wait(_START_SECONDS)
        if self._failed is not None:
            raise self._failed

    def stop(self) -> None:
        """What is being answered is cut."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(HEAD_SECONDS)

    def _run(self) -> None:
        with asyncio.Runner() as runner:  # which ends every task that is left
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            server = await asyncio.start_server(
                self._answer, self._settings.address, self._settings.port, limit=MAX_HEAD_BYTES, reuse_address=True
            )
        except OSError as error:
            self._failed = error
            return
        finally:
            self._listening.set()
        asking = asyncio.create_task(self._ask_workers())
        await self._stopping.wait()
        asking.cancel()
        server.close()

    async def _ask_workers(self) -> None:
        while True:
            try:
                await self._workers.run()
            except Exception as error:  # noqa: BLE001 - a boundary: probes are answered whatever it is
                _log.error("the workers cannot be asked", extra={"failure": type(error).__name__})
                await asyncio.sleep(1.0)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open > MAX_CONNECTIONS:
                return
            async with asyncio.timeout(HEAD_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                status, said = self.answer(head.partition(b"\r\n")[0])
                body = json.dumps(said, separators=(",", ":")).encode()
                writer.write(
                    f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: application/json\r\n"
                    f"content-length: {len(body)}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n".encode()
                    + body
                )
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return  # whoever asked so needs no answer
        finally:
            self._open -= 1
            writer.close()

    def answer(self, request_line: bytes) -> tuple[int, dict[str, Any]]:
        """Status and body for a request whose head begins with this line."""
        match request_line.split(b" "):
            case [b"GET", b"/livez", b"HTTP/1.1" | b"HTTP/1.0"]:
                alive = self._standing().alive
                return 200 if alive else 503, {"alive": alive}
            case [b"GET", b"/readyz", b"HTTP/1.1" | b"HTTP/1.0"]:
                return self._readiness()
        return 404, {"error": "only GET /livez and GET /readyz are answered"}

    def _readiness(self) -> tuple[int, dict[str, Any]]:
        standing = self._standing()
        ready = self._workers.any_serves and not standing.draining
        workers = [
            {
                "worker": index,
                "serving": each.serving,
                "policy": each.policy,
                "configuration": each.configuration,
                "failing": each.failing,
            }
            for index, each in enumerate(self._workers.now)
        ]
        said = {
            "ready": ready,
            "draining": standing.draining,
            "restart_needed": standing.restart_needed,
            "failing": standing.failing,
            "workers": workers,
        }
        return 200 if ready else 503, said
