"""A process that has imported the libraries, and nothing of ours, and forks for every run of tests.

`python warm.py SOCKET` takes a JSON object a connection, `{"copy", "tests", "folder", "seconds"}`, and answers it with
`{"code"}`: pytest's exit code, `null` where the time ran out, `FOREIGN` where code from outside of the copy was imported.
In `folder` stand afterwards what was printed (`log`) and the ids of the tests that failed when they were called
(`failed`, one a line). It has one thread, so that a fork is safe: libraries that start threads do so in the fork.
"""

import gc
import json
import os
import signal
import sys
import threading
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from socketserver import ForkingMixIn, StreamRequestHandler, UnixStreamServer
from typing import Any, NoReturn

import pytest
from _pytest.config import default_plugins

FOREIGN = 70
BROKEN = 71
OURS = ("bench", "extproc", "tests")
PLUGINS = ("pytest_asyncio.plugin", "pytest_timeout", "_hypothesis_pytestplugin")
"""What pytest finds by itself elsewhere. It is given them here, since it would look for all of them in every fork."""

LIBRARIES = (
    "alembic.command", "anthropic", "boto3", "cel_expr_python.cel", "click", "cryptography.hazmat.primitives.asymmetric.ed25519",
    "cryptography.hazmat.primitives.asymmetric.rsa", "cryptography.hazmat.primitives.ciphers.aead",
    "cryptography.hazmat.primitives.kdf.hkdf", "cryptography.x509",
    "envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3", "envoy_data_plane.envoy.config.bootstrap.v3",
    "google.protobuf.struct_pb2", "google.protobuf.wrappers_pb2", "google_crc32c", "grpc.aio", "grpc_health.v1.health",
    "httpx", "hypothesis.internal.conjecture.engine", "hypothesis.strategies", "jsonschema", "jwt", "lxml.etree", "msgspec",
    "ollama", "openai", "opentelemetry.exporter.otlp.proto.grpc.metric_exporter",
    "opentelemetry.exporter.otlp.proto.grpc.trace_exporter", "opentelemetry.exporter.prometheus",
    "opentelemetry.sdk.metrics", "opentelemetry.sdk.trace.export", "pdb", "psutil", "re2", "signxml.signer",
    "signxml.verifier", "sqlalchemy.dialects.postgresql", "sqlalchemy.dialects.sqlite", "starlette.applications", "tomllib", "unittest.mock", "uvloop", "yaml",
)  # fmt: skip
"""One that is missing here is imported in the fork: it costs time, no more."""


def warm_up() -> list[object]:
    """The plugins, ready to be given to pytest. Nothing that was imported is looked at again by the garbage collector."""
    for name in (*(f"_pytest.{plugin}" for plugin in default_plugins), *LIBRARIES):
        import_module(name)
    plugins: list[object] = [import_module(name) for name in PLUGINS]
    gc.collect()
    gc.freeze()
    return plugins


def is_ours(name: str) -> bool:
    return name.partition(".")[0] in OURS


def find_foreign(copy: Path) -> list[str]:
    """Our modules that came from elsewhere than from the copy."""
    files = {name: getattr(module, "__file__", None) for name, module in sys.modules.copy().items() if is_ours(name)}
    return sorted(name for name, file in files.items() if file and not Path(file).is_relative_to(copy))


class Failures:
    """A plugin that notes which tests failed, not those that could not be set up."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.failed:
            with self._file.open("a", encoding="utf-8") as file:
                print(report.nodeid, file=file)


def run_in_fork(job: dict[str, Any], plugins: list[object]) -> NoReturn:
    """As `python -m pytest` would run in the copy, its process group its own."""
    code = BROKEN
    try:
        os.setsid()
        folder = Path(job["folder"])
        log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for fd, target in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
            os.dup2(fd, target)
        os.chdir(job["copy"])
        os.environ["PYTHONPATH"] = job["copy"]
        sys.path.insert(0, job["copy"])
        sys.argv = ["pytest"]
        options = ["-x", "-q", "--no-header", "-p", "no:cacheprovider", "--hypothesis-profile=planted"]
        options.append(f"--basetemp={folder / 't'}")
        code = int(pytest.main([*options, *job["tests"]], plugins=[*plugins, Failures(folder / "failed")]))
        if foreign := find_foreign(Path(job["copy"])):
            print("imported from elsewhere:", *foreign)
            code = FOREIGN
    except BaseException:  # noqa: BLE001 - a fork must not go on as its parent
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def wait_ended(pid: int, seconds: float) -> int | None:
    """The exit code; None where the run was killed, by us after `seconds` or by a signal."""
    signal.signal(signal.SIGALRM, lambda *_: os.kill(pid, signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        _, status = os.waitpid(pid, 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # what the tests started and left behind
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else None


class Run(StreamRequestHandler):
    """In a process of its own, so that several go on at a time."""

    server: "Runs"

    def handle(self) -> None:
        job = json.loads(self.rfile.readline())
        pid = os.fork()
        if pid == 0:
            run_in_fork(job, self.server.plugins)
        self.wfile.write(json.dumps({"code": wait_ended(pid, job["seconds"])}).encode() + b"\n")


class Runs(ForkingMixIn, UnixStreamServer):
    def __init__(self, path: str, plugins: list[object]) -> None:
        self.plugins = plugins
        self._parent = os.getppid()
        super().__init__(path, Run)

    def verify_request(self, *_: object) -> bool:
        return threading.active_count() == 1 and not any(map(is_ours, sys.modules))

    def service_actions(self) -> None:
        super().service_actions()
        if os.getppid() != self._parent:
            sys.exit("who started this has gone")


def main() -> None:
    with Runs(sys.argv[1], warm_up()) as runs:
        print("ready", flush=True)
        runs.serve_forever()


if __name__ == "__main__":
    main()
