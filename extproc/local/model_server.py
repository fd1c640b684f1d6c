"""llama.cpp's own HTTP server, by xllamacpp, in a child process on loopback; it ends when its parent does.

Run as `python -m extproc.local.model_server MODEL PORT`: the first line on standard output is its URL, and it serves
until its standard input closes. A model server that outlives a killed parent is so impossible on every system, and
whichever thread of the parent started it (Linux's parent-death signal follows the thread).
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx

KEY_VARIABLE: Final = "EXTPROC_MODEL_KEY"
"""Carries the API key to the child: an argument would show in the process list."""
START_SECONDS: Final = 30.0
"""A tiny model is up in well under a second; a machine under load may take longer."""
_STOP_SECONDS = 5.0
_SLOTS = 4
_SLOT_TOKENS = 2048


class RunningModel:
    """A model server on loopback until `stop`. `url` has no path and no slash at its end."""

    def __init__(self, child: "subprocess.Popen[bytes]", url: str) -> None:
        self.url = url
        self._child = child

    @property
    def pid(self) -> int:
        return self._child.pid

    def stop(self) -> None:
        """The process is gone afterwards. May be called twice."""
        if self._child.stdin is not None:
            self._child.stdin.close()
        try:
            self._child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def start_model(path: Path, port: int = 0, log: Path | None = None, *, api_key: str = "") -> RunningModel:
    """A server of the model at `path` that answers `/health`; port 0 takes a free one.

    With `api_key`, requests need `Authorization: Bearer <api_key>`. The server's own log goes to `log`, or nowhere.
    Raises `RuntimeError` when the server ends, or is not ready within `START_SECONDS`.
    """
    command = [sys.executable, "-m", "extproc.local.model_server", str(path), str(port)]
    environment = {**os.environ, KEY_VARIABLE: api_key}
    with (log or Path(os.devnull)).open("ab") as sink:
        child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sink, env=environment, bufsize=0
        )
    url = child.stdout.readline().decode().strip() if child.stdout is not None else ""
    running = RunningModel(child, url)
    try:
        _wait_ready(running)
    except BaseException:
        running.stop()
        raise
    return running


def _wait_ready(running: RunningModel) -> None:
    deadline = time.monotonic() + START_SECONDS
    while running.url and time.monotonic() < deadline:
        try:
            if httpx.get(f"{running.url}/health", timeout=1.0, trust_env=False).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass  # not listening yet
        time.sleep(0.02)
    raise RuntimeError("the model server did not start")


def _serve(model: str, port: int, api_key: str) -> None:
    """Serve until standard input ends."""
    said = os.dup(1)
    os.dup2(2, 1)  # llama.cpp writes its log to both; standard output is for the URL alone
    import xllamacpp  # noqa: PLC0415 - loads for half a second, and only in the child

    settings = xllamacpp.CommonParams()
    settings.model.path = model
    settings.hostnames = ["127.0.0.1"]
    settings.port = port
    settings.n_parallel = _SLOTS
    settings.n_ctx = _SLOTS * _SLOT_TOKENS
    settings.use_jinja = True
    settings.warmup = False
    settings.endpoint_metrics = True
    settings.n_threads_http = 2 * _SLOTS
    settings.ui = False
    settings.cpuparams.n_threads = 1
    settings.cpuparams_batch.n_threads = 1
    settings.sampling.temp = 0.0
    if api_key:
        settings.api_keys = [api_key]
    server = xllamacpp.Server(settings)
    os.write(said, f"{server.listening_address}\n".encode())
    os.close(said)
    while os.read(0, 1024):
        pass
    # A stop that waits for clients which still read would outlive the parent.
    os._exit(0)


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]), os.environ.pop(KEY_VARIABLE, ""))
