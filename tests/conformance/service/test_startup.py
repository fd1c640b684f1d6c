"""What a service that cannot start says, and what the absence of a part costs."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from extproc.edge.metrics import Gauge
from extproc.local.ports import free_port
from extproc.local.service_process import start_service


def serve(config: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "extproc", "serve", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )


def test_a_second_service_on_the_same_run_directory_is_refused(own_world: Any) -> None:
    """It would take the first one's sockets, and with its end nobody would be served."""
    world = own_world(workers=1)
    second = serve(world.guard.config)
    assert second.returncode == 2
    assert "another service runs in" in second.stderr
    assert "Traceback" not in second.stderr
    assert world.chat("still served").status_code == 200


def test_a_bad_policy_at_start_is_named_line_by_line(own_world: Any) -> None:
    world = own_world(workers=1)
    world.guard.service.stop()
    policy = world.guard.settings.policy_file
    policy.write_text(policy.read_text("utf-8").replace("effect: allow", "effect: alow", 1), "utf-8")
    result = serve(world.guard.config)
    assert result.returncode == 2
    assert f"{policy}:" in result.stderr
    assert "alow" in result.stderr or "effect" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_approval_store_that_is_broken_at_start_costs_held_requests_only(own_world: Any) -> None:
    """README: 503 for held requests only."""
    world = own_world(workers=1)
    world.guard.service.stop()
    database = world.guard.config.parent / "approvals.db"
    for leftover in database.parent.glob("approvals.db*"):
        leftover.unlink()
    database.write_bytes(b"this is no database" * 1000)
    world.guard.service = start_service(world.guard.config, world.guard.settings, world.directory / "again.log")
    assert world.chat("a plain one").status_code == 200
    held = world.chat("a held one", model="held-1")
    assert held.status_code == 503
    assert held.json()["error"]["code"] == "approvals_unavailable"
    database.unlink()
    ticket = world.chat("a held one", model="brief-1")
    assert ticket.status_code == 202
    assert ticket.headers["x-extproc-approval"]


def test_a_worker_that_can_record_nothing_is_replaced(own_world: Any) -> None:
    """The spool's epochs vanish and the disk is well again: refused meanwhile, served by the worker that follows."""
    world = own_world(workers=1)
    assert world.chat("before").status_code == 200
    spool = world.guard.settings.audit.spool
    (spool / "epochs").rename(spool.with_name("vanished"))  # at one stroke: the worker writes meanwhile
    deadline = time.monotonic() + 40
    statuses: list[int] = []
    while time.monotonic() < deadline and not (503 in statuses and statuses[-1] == 200):
        statuses.append(world.chat("meanwhile").status_code)
        time.sleep(0.3)
    assert 503 in statuses
    assert statuses[-1] == 200
    assert set(statuses) <= {200, 503}


def test_no_worker_may_leave_a_core_file(world: Any) -> None:
    """P5: memory of an exchange reaches no disk by accident."""
    for pid in world.worker_pids():
        limits = Path(f"/proc/{pid}/limits").read_text("ascii").splitlines()
        core = next(line for line in limits if line.startswith("Max core file size"))
        assert core.split()[4:6] == ["0", "0"]


def test_each_kind_of_exchange_and_every_gauge_shows_in_the_metrics(own_world: Any) -> None:
    port = free_port()
    world = own_world(workers=1, metrics_port=port)
    assert world.chat("allowed").status_code == 200
    assert world.chat("held", model="brief-1").status_code == 202
    assert httpx.post(world.guard.url + "/v1/load_lora_adapter", json={}, headers=world.headers()).status_code == 403
    assert httpx.get(world.guard.url + "/v1/models").status_code == 401
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
    for effect in ("allow", "hold", "deny"):
        assert re.search(rf'^extproc_decisions_total{{.*effect="{effect}".*}} 1(\.0)?$', text, re.MULTILINE), effect
    assert re.search(r'^extproc_refusals_total{.*reason="token_missing".*} 1(\.0)?$', text, re.MULTILINE)
    for gauge in Gauge:
        name = gauge.value.replace(".", "_")
        assert re.search(rf"^{name}[a-z_]* ?({{.*}})? ?[0-9.]", text, re.MULTILINE), gauge
