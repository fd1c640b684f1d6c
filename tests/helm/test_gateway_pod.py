"""The gateway's pod as the chart renders it, as processes: it starts, serves, guards and ends as it is meant to.

Envoy runs on the configuration that the rendered init container made of the rendered config.yaml. A selection of the
conformance tests runs through it: each is the same function as there, in another world.
"""

import json
import re
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from extproc.edge.bootstrap_check import validate_bootstrap

CONFORMANCE = "tests.conformance.service"
pytest.register_assert_rewrite(*(f"{CONFORMANCE}.{name}" for name in ("test_requests", "test_responses", "test_holds")))

from tests.conformance.service import test_holds  # noqa: E402
from tests.conformance.service.test_holds import (  # noqa: E402, F401
    test_a_held_request_goes_on_when_it_is_granted,
    test_a_refused_request_gets_403,
)
from tests.conformance.service.test_requests import (  # noqa: E402, F401
    test_a_clean_request_goes_on_as_it_came,
    test_a_denied_operation_and_an_unknown_group,
    test_a_prompt_with_a_card_reaches_the_model_masked,
    test_an_expired_token_is_401,
    test_an_upgrade_is_refused,
    test_card_data_in_the_url_is_refused,
    test_identity_headers_from_a_client_are_dropped,
    test_no_token_is_401,
    test_path_tricks_reach_no_model,
)
from tests.conformance.service.test_responses import (  # noqa: E402, F401
    test_a_card_split_into_single_characters_is_masked,
    test_a_clean_stream_goes_on_byte_for_byte,
    test_a_json_answer_is_masked_everywhere,
    test_tokens_arrive_one_by_one,
    test_what_cannot_be_inspected_is_withheld,
)
from tests.envoy_in_one import in_one  # noqa: E402
from tests.helm.pod_world import entered, pod_world, silent_probes, status_of  # noqa: E402

UID = 65532
SHARED_MEMORY, DEVICES, PROCESSES = "/dev/shm", "/dev/", "/proc"


@pytest.fixture(scope="module")
def running() -> Iterator[Any]:
    with pod_world() as world:
        yield world


@pytest.fixture
def world(running: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The pod's, entered: connections of the test are made in its network. Commands run inside, as whoever looks with
    `kubectl exec`: what root leaves in the volumes the pod cannot read."""

    def as_the_pod(_: Any, *arguments: str, token: str = "", expect: int = 0) -> str:
        command = ["/usr/bin/env", f"EXTPROC_TOKEN={token}", "extproc", *arguments]
        ran = running.guard.pod.containers["extproc"].run(command, 60)
        assert ran.returncode == expect, ran.stdout + ran.stderr
        return str(ran.stdout)

    monkeypatch.setattr(test_holds, "cli", as_the_pod)
    with entered(running):
        yield running


def test_every_probe_answers_as_rendered(world: Any) -> None:
    assert silent_probes(world.guard.pod, count=6) == []


def test_the_status_listener_gives_metrics_and_nothing_else(world: Any) -> None:
    status = "http://127.0.0.1:9902"
    assert "envoy_http_downstream_rq_total" in httpx.get(f"{status}/stats/prometheus", timeout=10).text
    for path in ("/", "/config_dump", "/certs", "/clusters", "/server_info", "/stats"):
        assert httpx.get(status + path, timeout=10).status_code in (403, 404), path
    assert httpx.post(f"{status}/quitquitquit", timeout=10).status_code in (403, 404, 405)


def test_workers_and_supervisor_are_scraped_at_the_ports_that_are_named(world: Any) -> None:
    ports = [port for port in world.guard.pod.spec("extproc")["ports"] if port["name"].startswith("metrics")]
    assert len(ports) == 2
    for port in ports:
        assert "# HELP extproc_" in httpx.get(f"http://127.0.0.1:{port['containerPort']}/metrics", timeout=10).text


def test_envoy_accepts_the_configuration_that_the_init_container_made(world: Any) -> None:
    """In its own words, which also load every file that is named. Nothing in it lets traffic by where the service fails."""
    run = world.guard.pod.volumes.path("run")
    text = yaml.safe_dump(in_one((run / "envoy.yaml").read_text("utf-8"), run / "envoy"))
    validate_bootstrap(text)
    assert "failure_mode_allow: true" not in text
    assert "/run/extproc/worker-0.sock" in text


@pytest.mark.parametrize("name", ["extproc", "envoy"])
def test_a_container_is_a_user_without_privileges_on_a_tree_that_it_cannot_change(world: Any, name: str) -> None:
    container = world.guard.pod.containers[name]
    status = status_of(container)
    assert status["Uid"].split() == status["Gid"].split() == [str(UID)] * 4
    assert {int(status[kind], 16) for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert status["NoNewPrivs"] == "1"
    mounts = container.run(["cat", "/proc/self/mounts"]).stdout.splitlines()
    writable = {line.split()[1] for line in mounts if "rw" in line.split()[3].split(",")}
    volumes = {mount["mountPath"] for mount in world.guard.pod.spec(name)["volumeMounts"] if not mount.get("readOnly")}
    system = {path for path in writable if path in (SHARED_MEMORY, PROCESSES) or path.startswith(DEVICES)}
    assert writable - system == volumes
    assert container.run(["touch", "/etc/anything"]).returncode != 0


def test_what_was_written_is_for_its_user_alone(world: Any) -> None:
    """Sockets, gate, Envoy's configuration, spool: nothing for others, nothing of another user.

    But which policy is in force, by its digest: anybody on the machine may ask.
    """
    world.chat("marker-written 4111 1111 1111 1111")
    volumes = world.guard.pod.volumes.writable
    written = [path for folder in volumes for path in folder.rglob("*") if path.exists()]
    assert {"gate", "envoy.yaml", "worker-0.sock"} <= {path.name for path in written}
    assert {path.lstat().st_uid for path in written} == {UID}
    assert {path.name for path in written if open_to_others(path, volumes)} <= {"worker-0.policy.json", "approvals.db"}


def open_to_others(path: Path, volumes: list[Path]) -> bool:
    """Also by every folder above it, up to the volume."""
    inside = [
        path,
        *(folder for folder in path.parents if any(folder.is_relative_to(v) and folder != v for v in volumes)),
    ]
    return path.is_file() and all(each.stat().st_mode & stat.S_IRWXO for each in inside)


def test_containers_stay_below_their_memory_limits(world: Any) -> None:
    for name in ("extproc", "envoy"):
        limit = world.guard.pod.spec(name)["resources"]["limits"]["memory"]
        number, unit = re.fullmatch(r"(\d+)([MG]i)", limit).groups()
        assert world.guard.pod.containers[name].memory_bytes() < int(number) * {"Mi": 2**20, "Gi": 2**30}[unit]


def test_a_changed_policy_is_taken_over_and_a_bad_one_is_not(world: Any) -> None:
    """As the kubelet changes a ConfigMap: all files at once, behind a link."""
    volumes = world.guard.pod.volumes
    (policy,) = (d for d in world.guard.pod.documents if d["metadata"]["name"] == "guard-extproc-policy")
    text = policy["data"]["policy.yaml"]
    assert world.chat("marker-before").status_code == 200
    volumes.update("guard-extproc-policy", {"policy.yaml": text.replace("pci-strict", "no-such-profile")})
    time.sleep(1)
    assert world.chat("marker-bad").status_code == 200
    volumes.update("guard-extproc-policy", {"policy.yaml": text.replace('"analysts"', '"others"', 1)})
    wait_status(world, 403)
    volumes.update("guard-extproc-policy", {"policy.yaml": text})
    wait_status(world, 200)


def test_another_model_server_is_taken_over_and_a_bad_configuration_is_not(world: Any) -> None:
    """By the service and by the pod's Envoy."""
    volumes = world.guard.pod.volumes
    (config,) = (d for d in world.guard.pod.documents if d["metadata"]["name"] == "guard-extproc-config")
    text = config["data"]["config.yaml"]
    document = json.loads(text)
    document["connections"].append({**document["connections"][0], "name": "second", "path_prefix": "/second"})
    wait_path(world, "/second/v1/chat/completions")
    volumes.update("guard-extproc-config", {"config.yaml": json.dumps(document)})
    wait_path(world, "/v1/chat/completions")
    volumes.update("guard-extproc-config", {"config.yaml": "{"})
    while "configuration" not in readiness(world)["failing"]:
        time.sleep(0.2)
    wait_path(world, "/v1/chat/completions")
    volumes.update("guard-extproc-config", {"config.yaml": text})
    wait_path(world, "/second/v1/chat/completions")
    assert readiness(world)["failing"] == []
    assert not readiness(world)["restart_needed"]


def readiness(world: Any) -> dict[str, Any]:
    port = next(
        port["containerPort"] for port in world.guard.pod.spec("extproc")["ports"] if port["name"] == "health"
    )  # fmt: skip
    return dict(httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=10).json())


def wait_path(world: Any, path: str) -> None:
    """What is sent below the second server's prefix gets to the model server there: without it, if there is such a one."""
    deadline = time.monotonic() + 60
    body = {"model": "m", "messages": [{"role": "user", "content": "marker-second"}]}
    while True:
        url = f"{world.guard.url}/second/v1/chat/completions"
        assert httpx.post(url, json=body, headers=world.headers(), timeout=60).status_code == 200
        if world.upstream.requests("marker-second")[-1].path == path:
            return
        assert time.monotonic() < deadline


def wait_status(world: Any, status: int) -> None:
    """Each worker has taken it over: ten answers in a row."""
    deadline, row = time.monotonic() + 30, 0
    while row < 10:
        row = row + 1 if world.chat("marker-waiting").status_code == status else 0
        assert time.monotonic() < deadline


def test_a_stream_finishes_while_the_pod_ends(world: Any) -> None:
    """The last test of this file. Hooks and SIGTERM as the kubelet sends them; the time that the pod is given is enough."""
    got: list[str] = []
    pieces = ["It ", "is ", "4111", " 1111", " 1111", " 1111 "] + ["so "] * 30 + ["end"]
    network = world.guard.pod.network

    def read() -> None:
        with network.entered():
            got.append(world.stream_text("x", pieces, pause=0.2))

    reader = threading.Thread(target=read)
    reader.start()
    deadline = time.monotonic() + 10
    while not [seen for seen in world.upstream.seen if b'"pause"' in seen.body]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    began = time.monotonic()
    codes = world.guard.pod.stop()
    seconds = time.monotonic() - began
    reader.join(10)
    assert got == ["It is [PAN] " + "so " * 30 + "end"]
    assert codes == {"extproc": 0, "envoy": 0}
    assert seconds < world.guard.pod.pod.spec["terminationGracePeriodSeconds"] - 10


def test_after_the_end_the_log_is_whole(running: Any) -> None:
    """Each exchange of the pod has its record, none waits in the spool, and the spool holds no card number."""
    assert {record["event_code"] for record in running.records()} >= {"inference.request", "auth.fail"}
    spool: Path = running.guard.pod.volumes.path("spool")
    assert not [path for path in spool.rglob("*") if path.is_file() and b"4111 1111 1111 1111" in path.read_bytes()]
