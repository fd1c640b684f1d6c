"""A model server's pod with both sidecars as the chart renders it, as processes: in their order, behind their locks, and to
the end of the last stream. The model server of the test answers at the pod's loopback; the container that stands for it does
nothing.
"""

import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from extproc.edge import gate
from tests.helm.backends import CREDENTIALS

CONFORMANCE = "tests.conformance.service"
pytest.register_assert_rewrite(*(f"{CONFORMANCE}.{name}" for name in ("test_requests", "test_responses")))

from tests.conformance.service.test_requests import (  # noqa: E402, F401
    test_a_clean_request_goes_on_as_it_came,
    test_a_denied_operation_and_an_unknown_group,
    test_a_prompt_with_a_card_reaches_the_model_masked,
    test_card_data_in_the_url_is_refused,
    test_identity_headers_from_a_client_are_dropped,
    test_no_token_is_401,
    test_path_tricks_reach_no_model,
)
from tests.conformance.service.test_responses import (  # noqa: E402, F401
    test_a_card_split_into_single_characters_is_masked,
    test_a_json_answer_is_masked_everywhere,
    test_tokens_arrive_one_by_one,
    test_what_cannot_be_inspected_is_withheld,
)
from tests.helm.pod_world import entered, sidecar_world, silent_probes, status_of  # noqa: E402

pytestmark = pytest.mark.timeout(300)

MODEL = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: exit(0))
while True:
    time.sleep(0.1)
"""
MODEL_UID, OUR_UID = 1000, 65532


@pytest.fixture(scope="module")
def running() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in CREDENTIALS.items():
            environment.setenv(name, value)
        with sidecar_world(["/opt/venv/bin/python", "-c", MODEL]) as world:
            yield world


@pytest.fixture
def world(running: Any) -> Iterator[Any]:
    """The pod's, entered: connections of the test are made in its network."""
    with entered(running):
        yield running


def test_every_probe_answers_as_rendered(world: Any) -> None:
    """Those of the model server through Envoy, on the port that nothing else is on."""
    assert silent_probes(world.guard.pod, count=9) == []
    assert [seen.path for seen in world.upstream.seen if seen.path == "/health"]


def test_only_the_model_server_runs_as_its_user(world: Any) -> None:
    pod = world.guard.pod
    for name, user in (("vllm", MODEL_UID), ("extproc", OUR_UID), ("extproc-envoy", OUR_UID)):
        status = status_of(pod.containers[name])
        assert status["Uid"].split() == [str(user)] * 4, name
        assert int(status["CapEff"], 16) == 0, name


def test_the_model_server_sees_nothing_of_ours(world: Any) -> None:
    """No key, no record, no socket of the service: its container has none of the volumes, and is another user."""
    model = world.guard.pod.containers["vllm"]
    for path in ("/run/extproc", "/etc/extproc", "/var/lib/extproc/spool"):
        assert model.run(["ls", path]).returncode != 0, path


def test_where_nobody_judges_nothing_reaches_the_model_server(world: Any) -> None:
    """The worker is stopped as it stands: it holds its socket and answers nothing. The marker of the lock leaves with no
    answer that was judged."""
    judged = world.chat("marker-judged")
    assert judged.status_code == 200
    assert gate.GATE_HEADER not in judged.headers
    config = (world.guard.pod.volumes.path("extproc-run") / "envoy.yaml").read_text("utf-8")
    assert "failure_mode_allow: true" not in config
    extproc = world.guard.pod.containers["extproc"]
    before = len(world.upstream.requests("marker-unjudged"))
    stopped = extproc.run(["/opt/venv/bin/python", "-c", FREEZE.replace("SIGNAL", "SIGSTOP")])
    assert stopped.returncode == 0, stopped.stderr
    try:
        answer = httpx.post(
            f"{world.guard.url}/v1/chat/completions",
            json={"model": "m", "messages": [{"role": "user", "content": "marker-unjudged"}]},
            headers=world.headers(),
            timeout=60,
        )
    finally:
        assert extproc.run(["/opt/venv/bin/python", "-c", FREEZE.replace("SIGNAL", "SIGCONT")]).returncode == 0
    assert answer.status_code in (503, 504)
    assert len(world.upstream.requests("marker-unjudged")) == before
    deadline = time.monotonic() + 60
    while world.chat("marker-again").status_code != 200:
        assert time.monotonic() < deadline, "it does not come back"


FREEZE = """
import os, signal
for name in os.listdir("/proc"):
    if name.isdigit() and b"--wor" b"ker" in open(f"/proc/{name}/cmdline", "rb").read():
        os.kill(int(name), signal.SIGNAL)
"""


def test_a_stream_finishes_while_the_pod_ends(world: Any) -> None:
    """The last test of the pod: hooks at once, then the model server's SIGTERM, and of the sidecars the last one first."""
    got: list[str] = []
    network = world.guard.pod.network

    def read() -> None:
        with network.entered():
            got.append(world.stream_text("x", ["4111", " 1111", " 1111", " 1111 "] + ["so "] * 30 + ["end"], pause=0.2))

    reader = threading.Thread(target=read)
    reader.start()
    deadline = time.monotonic() + 10
    while not [seen for seen in world.upstream.seen if b'"pause"' in seen.body]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    codes = world.guard.pod.stop()
    reader.join(10)
    assert got == ["[PAN] " + "so " * 30 + "end"]
    assert codes == {"vllm": 0, "extproc": 0, "extproc-envoy": 0}


def test_after_the_end_the_log_is_whole(world: Any) -> None:
    """In the bucket: each exchange of the pod has its record, and none waits in the spool."""
    assert {record["event_code"] for record in world.records()} >= {"inference.request", "inference.end", "auth.fail"}
    spool = world.guard.pod.volumes.path("extproc-spool")
    assert not [path for path in spool.rglob("*.jsonl") if path.is_file()]
