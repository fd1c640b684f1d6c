"""Two services of one deployment as processes: the same keys, store and database, a run directory and a spool each."""

import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from extproc.local.guard import Wanted, write_config
from extproc.local.ports import free_port
from extproc.local.service_process import start_command


def extproc(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "extproc", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


@pytest.fixture
def replicas(tmp_path: Path) -> list[tuple[Path, int]]:
    """The configuration and the health port of each. The keys are there before either starts, as from a Secret."""
    (tmp_path / "digest.key").write_bytes(bytes(range(32)))
    made = extproc("audit", "make-keys", str(tmp_path / "keys"), "--digest-key", str(tmp_path / "digest.key"))
    assert made.returncode == 0, made.stderr
    found = []
    for name in ("first", "second"):
        health = free_port()
        shared = {
            "health": {"port": health},
            "digest_key": str(tmp_path / "digest.key"),
            "approvals": {"database": f"sqlite:///{tmp_path}/approvals.db"},
            "audit": {"keys": str(tmp_path / "keys"), "store": {"directory": str(tmp_path / "store")}},
        }
        wanted = Wanted(tmp_path / name, "http://127.0.0.1:9", workers=1, overrides=shared)
        found.append((write_config(wanted, "http://127.0.0.1:9", free_port(), str(tmp_path / name / "run")), health))
    return found


def await_ready(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_two_services_start_at_once_and_their_log_is_proven_as_one(replicas: list[tuple[Path, int]]) -> None:
    with ExitStack() as stack:
        services = []
        for config, _ in replicas:
            services.append(start_command("serve", config, config.with_name("service.log")))
            stack.callback(services[-1].stop)
        for _, port in replicas:
            await_ready(port)
        assert [service.stop() for service in services] == [0, 0]
    for config, _ in replicas:
        verified = extproc("audit", "verify", "--config", str(config))
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert "2 epoch(s)" in verified.stdout, verified.stdout
