"""The whole guard on one machine, in one folder: issuer, workers, Envoy, console.

`extproc run` and `extproc demo` start it.
"""

import os
import secrets
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from extproc.edge.bootstrap import render_here, write_discovery, write_secret_configs
from extproc.edge.gate import read_or_create_gate
from extproc.edge.policy_file import Fitness, load_policy
from extproc.edge.program import digest_file
from extproc.edge.settings import Settings
from extproc.edge.settings_checks import MAX_SOCKET_PATH_BYTES
from extproc.edge.settings_file import load_settings
from extproc.local.console_process import StartingConsole, console_sections, console_url
from extproc.local.envoy_process import RunningEnvoy, start_envoy
from extproc.local.folder_lock import lock_folder
from extproc.local.issuer import RunningIssuer, read_issuer_file, start_issuer
from extproc.local.own_settings import marked, read_own
from extproc.local.ports import free_port, is_free
from extproc.local.service_process import READY_SECONDS, NotStarted, RunningService, StartingService

AUDIENCE = "extproc-local"
_RUN = "run"
_TEMPORARY = "extproc-run-"
_LONGEST_SOCKET = len("/run/worker-63.sock")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to guard and how. `port` 0: any free one."""

    directory: Path
    upstream: str
    port: int = 0
    workers: int = 2
    credential: str = ""
    policy: Path | None = None
    drain_seconds: int = 20
    metrics_port: int = 0
    otlp_endpoint: str = ""
    console_port: int = 0
    """0: no console."""
    overrides: dict[str, Any] | None = None
    """Top-level keys of `config.yaml` that replace or, for mappings, extend the defaults (tests and benchmarks)."""


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text, "utf-8")


def _run_directory(directory: Path) -> str:
    """Below `directory`, or a folder of its own where that path is too long for a Unix socket."""
    if len(os.fsencode(directory.resolve())) + _LONGEST_SOCKET <= MAX_SOCKET_PATH_BYTES:
        return _RUN
    return tempfile.mkdtemp(prefix=_TEMPORARY)


def _lock(directory: Path) -> int:
    """Held until closed. A second guard in the folder would take the first one's issuer and sockets."""
    try:
        return lock_folder(directory, "guard.lock")
    except BlockingIOError:
        raise NotStarted(f"another guard runs in {directory}; stop it, or give this one its own --directory") from None


def write_config(wanted: Wanted, issuer_url: str, port: int, run_directory: str = _RUN) -> Path:
    """`config.yaml` and what it names, in `wanted.directory`. An existing policy and existing keys are kept.

    What the folder's `config.own.yaml` says counts in any case. Raises `NotStarted` when that cannot be read.
    """
    directory = wanted.directory
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    policy = wanted.policy or directory / "policy.yaml"
    if not policy.exists():
        policy.write_text(resources.files("extproc.local").joinpath("policy.yaml").read_text("utf-8"), "utf-8")
    digest_key = directory / "digest.key"
    if not digest_key.exists():
        _write_private(digest_key, secrets.token_hex(32))
    mask_key = directory / "mask.key"
    if not mask_key.exists():
        _write_private(mask_key, secrets.token_hex(32))
    connection: dict[str, Any] = {"name": "model", "upstream": wanted.upstream}
    if wanted.credential:
        _write_private(directory / "model.key", wanted.credential)
        connection["credential_file"] = "model.key"
    issuer = {
        "issuer": issuer_url,
        "discovery": True,
        "audiences": [AUDIENCE],
        "algorithms": ["ES256", "RS256", "EdDSA"],
    }
    document: dict[str, Any] = {
        "apiVersion": "extproc/v1",
        "kind": "Config",
        "deployment": "local",
        "run_directory": run_directory,
        "workers": wanted.workers,
        "drain": f"{wanted.drain_seconds}s",
        "listener": {"address": "127.0.0.1", "port": port},
        "envoy": {"access_log": "access.log"},
        "connections": [connection],
        "identity": {"issuers": [issuer]},
        "policy": str(policy.resolve()),
        "digest_key": "digest.key",
        "mask_keys": [{"id": "k1", "file": "mask.key"}],
        "approvals": {"database": f"sqlite:///{(directory / 'approvals.db').resolve()}"},
        "audit": {"spool": "spool", "keys": "keys", "store": {"directory": "store"}, "shredders": ["privacy"]},
        "telemetry": {"metrics_port": wanted.metrics_port, "otlp_endpoint": wanted.otlp_endpoint},
    }
    if wanted.console_port:
        _merge(document, console_sections(wanted.console_port, issuer_url))
    _merge(document, wanted.overrides or {})
    path = directory / "config.yaml"
    _merge(document, read_own(directory))
    path.write_text(marked(yaml.safe_dump(document, sort_keys=False)), "utf-8")
    return path


def _merge(document: dict[str, Any], more: dict[str, Any]) -> None:
    """Keys of mappings are added, other values replaced."""
    for key, value in more.items():
        known = document.get(key)
        document[key] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value


@dataclass
class Guard:
    """What runs. `url` is where clients connect."""

    wanted: Wanted
    config: Path
    settings: Settings
    issuer: RunningIssuer
    service: RunningService
    envoy: RunningEnvoy
    url: str
    policy_digest: str
    sockets: str
    lock: int
    console: RunningService | None
    """None where none is wanted."""

    @property
    def console_url(self) -> str:
        """Where people look; empty where there is no console."""
        return self.settings.console.url if self.console and self.settings.console else ""

    @property
    def issuer_directory(self) -> Path:
        return self.wanted.directory / "issuer"

    def stop(self) -> int:
        """Envoy first, so that nothing new comes in, then the service, which drains, then the console.

        Returns the service's exit code, or else the console's.
        """
        try:
            self.envoy.stop()
        finally:
            status = self.service.stop(self.settings.drain_seconds + 20.0)
            if self.console is not None:
                status = self.console.stop() or status
            self.issuer.stop()
            _clean_up(self.sockets)
            os.close(self.lock)
        return status

    def ended(self) -> str:
        """Which part has ended by itself, and where it says why; empty while all run."""
        if (status := self.service.process.poll()) is not None:
            return f"the service ended with status {status}; its log is {self.service.log}"
        if (status := self.envoy.poll()) is not None:
            return f"Envoy ended with status {status}; its log is {self.envoy.log_path}"
        if self.console is not None and (status := self.console.process.poll()) is not None:
            return f"the console ended with status {status}; its log is {self.console.log}"
        return ""


def _clean_up(sockets: str) -> None:
    """Remove what `_run_directory` returned, where it made a folder for it."""
    if sockets != _RUN:
        shutil.rmtree(sockets, ignore_errors=True)


def _start_issuer(folder: Path) -> RunningIssuer:
    """Where it was the last time, if it can be: its address is part of everybody's identity."""
    try:
        port = urlsplit(read_issuer_file(folder).issuer).port or 0
        return start_issuer(folder, port, audience=AUDIENCE)
    except (OSError, ValueError):
        return start_issuer(folder, audience=AUDIENCE)


def start_guard(wanted: Wanted) -> Guard:
    """Start everything and wait until it answers; on failure stop what was started.

    Raises `NotStarted`, `SettingsInvalid`, `PolicyInvalid`, `EnvoyFailed` and OSError.
    """
    directory = wanted.directory.resolve()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as undo:
        lock = _lock(directory)
        undo.callback(os.close, lock)
        guard = _start_guard(wanted, directory, lock, undo)
        undo.pop_all()
        return guard


def _start_guard(wanted: Wanted, directory: Path, lock: int, undo: ExitStack) -> Guard:
    """`undo` gets what stops each part that was started."""
    if wanted.port and not is_free(wanted.port):
        raise NotStarted(f"port {wanted.port} is in use; choose another: --port N, or make run PORT=N")
    if wanted.console_port and not is_free(wanted.console_port):
        raise NotStarted(f"port {wanted.console_port} is in use; choose another: --console-port N")
    sockets = _run_directory(directory)
    undo.callback(_clean_up, sockets)
    issuer = _start_issuer(directory / "issuer")
    undo.callback(issuer.stop)
    port = wanted.port or free_port()
    config = write_config(wanted, issuer.url, port, sockets)
    settings = load_settings(config)
    policy = load_policy(settings.policy_file, Fitness.of(settings))
    settings.run_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    bootstrap = render_here(settings, read_or_create_gate(settings.run_directory), os.environ)
    write_secret_configs(settings)
    write_discovery(settings, digest_file(config))
    serving = StartingService(config, settings, directory / "service.log")
    undo.callback(serving.running.stop, 5.0)
    starting = None
    if wanted.console_port and settings.console:  # beside the workers: each takes seconds to import what it needs
        serving.wait_keys()
        starting = StartingConsole(config, console_url(settings.console.port), directory / "console.log")
        undo.callback(starting.running.stop, 5.0)
    service = serving.wait_ready()
    envoy = start_envoy(
        bootstrap,
        directory / "envoy",
        ready_timeout_seconds=READY_SECONDS,
        concurrency=settings.envoy.concurrency,
    )
    undo.callback(envoy.stop)
    console = starting.wait_ready() if starting else None
    scheme = "http" if settings.listener.tls is None else "https"
    url = f"{scheme}://127.0.0.1:{settings.listener.port}"
    return Guard(wanted, config, settings, issuer, service, envoy, url, policy.digest, sockets, lock, console)
