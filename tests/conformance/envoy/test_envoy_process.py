"""The child process: ready when it says so, its own words when it fails, gone with its parent."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from extproc.edge.bootstrap import render_bootstrap
from extproc.edge.settings import EnvoySettings, ListenerSettings
from extproc.local.envoy_process import EnvoyFailed, start_envoy
from extproc.local.ports import free_port

GATE = "a-gate-secret-for-tests-0123456789abcdef"


@pytest.fixture
def bootstrap(make_settings: Any) -> tuple[str, int]:
    port = free_port()
    return render_bootstrap(make_settings(listener=ListenerSettings(port=port)), GATE), port


def test_it_accepts_at_once_and_stops_on_request(bootstrap: tuple[str, int], tmp_path: Path) -> None:
    text, port = bootstrap
    envoy = start_envoy(text, tmp_path / "e", ready_timeout_seconds=20)
    try:
        assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 503
        assert envoy.poll() is None
    finally:
        envoy.stop()
    assert envoy.poll() is not None
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/")
    assert '"status":503' in envoy.access_log_path.read_text()
    assert GATE not in envoy.log_path.read_text()
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "e").iterdir()} == {0o600}


def test_a_refused_bootstrap_ends_in_envoys_own_words(bootstrap: tuple[str, int], tmp_path: Path) -> None:
    text = bootstrap[0].replace("message_timeout: 10s", "message_timeout: 9999s")
    with pytest.raises(EnvoyFailed, match="value must be inside range") as caught:
        start_envoy(text, tmp_path / "e", ready_timeout_seconds=20)
    assert GATE not in str(caught.value)


def test_a_port_in_use_is_not_mistaken_for_readiness(bootstrap: tuple[str, int], tmp_path: Path) -> None:
    text, port = bootstrap
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(EnvoyFailed, match="Address already in use"):
            start_envoy(text, tmp_path / "e", ready_timeout_seconds=20)


def test_two_envoys_cannot_share_a_port(bootstrap: tuple[str, int], tmp_path: Path) -> None:
    first = start_envoy(bootstrap[0], tmp_path / "one", ready_timeout_seconds=20)
    try:
        with pytest.raises(EnvoyFailed, match="Address already in use"):
            start_envoy(bootstrap[0], tmp_path / "two", ready_timeout_seconds=20)
    finally:
        first.stop()


def test_it_dies_with_its_parent(bootstrap: tuple[str, int], tmp_path: Path) -> None:
    path = tmp_path / "bootstrap.yaml"
    path.write_text(bootstrap[0])
    script = (
        "import pathlib, sys, time\n"
        "from extproc.local.envoy_process import start_envoy\n"
        "here = pathlib.Path(sys.argv[1])\n"
        "text = (here / 'bootstrap.yaml').read_text()\n"
        "print(start_envoy(text, here / 'e', ready_timeout_seconds=20).pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)
        os.kill(parent.pid, signal.SIGKILL)
    until = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until, "envoy outlives its parent"
        time.sleep(0.05)


def test_draining_lets_what_is_in_flight_finish(start_edge: Any) -> None:
    edge = start_edge(envoy=EnvoySettings(admin_port=free_port()))
    edge.service.delay_seconds = 0.5
    with httpx.Client() as client, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.post, f"{edge.url}/alpha/v1", content=b"{}", timeout=10)
        time.sleep(0.2)
        edge.envoy.stop(drain_seconds=10)
        assert answer.result().status_code == 200
