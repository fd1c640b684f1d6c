"""A reload: the policy's own cases first, one policy for each exchange, and what the operator is told."""

import asyncio
import hashlib
import http.server
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from extproc.app import Worker
from extproc.cli.policy import command
from extproc.core.document import Problem
from extproc.core.events import Attributes, RequestBody, RequestHeaders, Stored, TokenVerified
from extproc.core.exchange import Exchange
from extproc.core.headers import Headers
from extproc.core.identity import Principal
from extproc.core.policy_document import PolicyInvalid, parse_policy
from extproc.core.snapshot import Connection
from extproc.core.trust import Secret
from extproc.edge.configuration_watch import AsRead
from extproc.edge.kubernetes_events import Cluster, KubernetesEvents, Notice
from extproc.edge.policy_control import PolicyControl
from extproc.edge.policy_file import Fitness, PolicyFile, load_policy
from extproc.edge.policy_in_force import PolicyInForce
from extproc.edge.policy_status import PolicyStatus, read_status, status_path, tell_status, write_status
from extproc.edge.settings_file import load_settings
from extproc.local.guard import Wanted, write_config
from extproc.local.ports import free_port

POLICY = """\
apiVersion: extproc/v1
kind: Policy
name: {name}
rules:
  - {{name: {rule}, effect: allow, match: {{}}}}
tests:
  - name: all may chat
    now: 2026-11-28T10:00:00Z
    principal: {{subject: anna}}
    request: {{path: /v1/completions, body: {{model: m, prompt: Hello}}}}
    expect: {{effect: {effect}}}
"""


def text(name: str, effect: str = "allow") -> str:
    return POLICY.format(name=name, rule=f"rule-{name}", effect=effect)


# Cases first ----------------------------------------------------------------------------------------------------------


def test_a_policy_whose_own_case_fails_is_refused_at_start(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(text("one", "deny"))
    with pytest.raises(PolicyInvalid) as invalid:
        load_policy(file, Fitness())
    (problem,) = invalid.value.problems
    assert str(problem) == "7:5: tests: the case `all may chat` fails: effect: expected deny, is allow"


def test_a_policy_whose_own_case_fails_keeps_the_last_good_one(tmp_path: Path) -> None:
    told: list[Any] = []
    path = tmp_path / "policy.yaml"
    path.write_text(text("one"))
    file = PolicyFile(path, on_change=told.append, on_failure=told.append)
    file.load()
    path.write_text(text("two", "deny"))
    asyncio.run(file._take(file._look(), 10.0))
    assert file.failing
    assert [problem.message for problem in told[0]] == [
        "the case `all may chat` fails: effect: expected deny, is allow"
    ]
    assert file.problems == told[0]
    path.write_text(text("three"))
    asyncio.run(file._take(file._look(), 10.0))
    assert told[1].name == "three"
    assert not file.failing
    assert file.problems == ()


def test_check_does_not_run_the_cases(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(text("one", "deny"))
    assert CliRunner().invoke(command, ["check", str(file)]).exit_code == 0


# One policy for each exchange -----------------------------------------------------------------------------------------


def test_an_exchange_is_judged_and_recorded_by_the_policy_it_began_under(tmp_path: Path) -> None:
    """Exchanges side by side, and a reload between any two events of one: each has one digest from start to end."""
    settings = load_settings(write_config(Wanted(tmp_path, "http://127.0.0.1:9"), "http://127.0.0.1:9", 9))
    in_force = PolicyInForce((Connection("model"),), settings, Secret("k" * 64))
    policies = [parse_policy(text(f"p{number}").encode()) for number in range(3)]
    digests: dict[int, set[str]] = {}
    rules: dict[int, set[str]] = {}
    running: list[tuple[int, Iterator[Any]]] = []
    for step in range(12):
        in_force.put(policies[step % 3])
        exchange = Exchange(f"ex-{step}", in_force.get(), started_unix=1e9, started_at=0.0, accepting=True)
        running.append((step, _steps(exchange)))
        for number, steps in running:
            for record in next(steps, ()):
                digests.setdefault(number, set()).add(record.policy.digest)
                rules.setdefault(number, set()).add(record.policy.rule)
    for number in range(8):  # those that have come to their end
        assert digests[number] == {policies[number % 3].digest}
        assert rules[number] == {f"rule-p{number % 3}"}


def _steps(exchange: Exchange) -> Iterator[Any]:
    """The records of each event's actions."""
    pairs = {
        ":method": "POST",
        ":path": "/v1/completions",
        "authorization": "Bearer a.b.c",
        "content-type": "application/json",
    }
    headers = Headers(tuple((name, value.encode()) for name, value in pairs.items()))
    body = json.dumps({"model": "m", "prompt": "Hello"}).encode()
    events: list[Any] = [
        RequestHeaders(headers, False, Attributes(), 0.1),
        TokenVerified(Principal("https://issuer", "anna", "Anna", ()), 0.2),
        RequestBody(body, True, 0.3),
    ]
    for event in events:
        yield [action.record for action in exchange.receive(event) if hasattr(action, "record")]
    yield [action.record for action in exchange.receive(Stored(9, 0.4)) if hasattr(action, "record")]


# What the operator is told --------------------------------------------------------------------------------------------


@contextmanager
def listening(path: Path) -> Iterator[None]:
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(str(path))
        server.listen(8)
        yield


class Deployment:
    """A configuration with two workers, of which each says what the test writes."""

    def __init__(self, folder: Path) -> None:
        self.config = write_config(Wanted(folder, "http://127.0.0.1:9"), "http://127.0.0.1:9", 9)
        lines = self.config.read_text().splitlines()
        self.config.write_text("\n".join("workers: 2" if line.startswith("workers:") else line for line in lines))
        self.settings = load_settings(self.config)
        self.settings.run_directory.mkdir(exist_ok=True)
        self.digest = f"sha256:{hashlib.sha256(self.settings.policy_file.read_bytes()).hexdigest()}"

    def say(self, index: int, **changed: Any) -> None:
        looked = time.time() - changed.pop("age", 0)
        said = {"digest": self.digest, "since_unix": 1_700_000_000.0, "looked_unix": looked, **changed}
        write_status(status_path(self.settings.run_directory, index), PolicyStatus(**said))

    def socket(self, index: int) -> Path:
        return self.settings.run_directory / f"worker-{index}.sock"

    def status(self) -> tuple[int, list[str]]:
        result = CliRunner().invoke(command, ["status", "--config", str(self.config)])
        return result.exit_code, result.output.splitlines()


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


def test_status_exits_0_when_the_file_is_in_force_in_all_workers(deployment: Deployment) -> None:
    with listening(deployment.socket(0)), listening(deployment.socket(1)):
        deployment.say(0)
        deployment.say(1)
        code, lines = deployment.status()
    assert (code, lines) == (
        0,
        [
            f"{deployment.settings.policy_file}: {deployment.digest}",
            "worker 0: in force since 2023-11-14T22:13:20Z",
            "worker 1: in force since 2023-11-14T22:13:20Z",
            "in force in 2 of 2 workers",
        ],
    )


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"digest": "sha256:old"}, "has not taken the file over; sha256:old in force since 2023-11-14T22:13:20Z"),
        ({"failing": True, "problems": ("3:1: rules: is missing",)}, "refuses the file as it is; "),
        ({"age": 3600}, "has not looked at the file for 3"),
        ({"age": -3600}, "has not looked at the file for -3"),
    ],
    ids=["older", "failing", "hangs", "clock"],
)
def test_status_exits_1_when_a_worker_serves_by_another(deployment: Deployment, said: dict[str, Any], why: str) -> None:
    with listening(deployment.socket(0)), listening(deployment.socket(1)):
        deployment.say(0)
        deployment.say(1, **said)
        code, lines = deployment.status()
    assert code == 1
    assert lines[2].startswith(f"worker 1: {why}")
    assert lines[3:] == [*(f"worker 1: {each}" for each in said.get("problems", ())), "in force in 1 of 2 workers"]


def test_status_of_a_worker_that_is_gone(deployment: Deployment) -> None:
    """Its last word is still there, and so is its socket."""
    with listening(deployment.socket(0)):
        pass
    deployment.say(0)
    code, lines = deployment.status()
    assert code == 1
    assert lines[1:] == [
        f"worker 0: not running; {deployment.digest} in force since 2023-11-14T22:13:20Z",
        "worker 1: not running",
        "in force in 0 of 2 workers",
    ]
    status_path(deployment.settings.run_directory, 0).write_text("{")
    assert deployment.status()[1][1] == "worker 0: not running"


def test_status_exits_2_when_the_file_cannot_be_read(deployment: Deployment) -> None:
    deployment.settings.policy_file.unlink()
    code, lines = deployment.status()
    assert code == 2
    assert lines == [f"{deployment.settings.policy_file}: the file cannot be read: no such file or directory"]


async def test_a_worker_says_what_is_in_force_and_what_it_refuses(deployment: Deployment) -> None:
    settings = deployment.settings
    in_force = PolicyInForce((), settings, Secret("k" * 64))
    file = PolicyFile(settings.policy_file, on_change=in_force.put, on_failure=lambda _: None)
    in_force.put(file.load())
    path = status_path(settings.run_directory, 0)
    task = asyncio.create_task(tell_status(path, lambda: in_force.status(file)))
    try:
        first = await _said(path)
        assert first == PolicyStatus(deployment.digest, in_force.since_unix, file.looked_unix)
        assert abs(first.since_unix - time.time()) < 60
        path.unlink()
        settings.policy_file.write_text("a: 1\n")
        await file._take(file._look(), 10.0)
        second = await _said(path)
    finally:
        task.cancel()
    assert second.failing
    assert second.digest == deployment.digest
    assert "1:1: a: unknown key" in second.problems[0]
    assert [each.name for each in settings.run_directory.glob("worker-0.policy*")] == [path.name]


async def _said(path: Path) -> PolicyStatus:
    while (status := read_status(path)) is None:
        await asyncio.sleep(0.01)
    return status


def test_since_when_does_not_change_with_a_policy_that_returns(deployment: Deployment) -> None:
    in_force = PolicyInForce((), deployment.settings, Secret("k" * 64))
    policy = parse_policy(text("one").encode())
    in_force.put(policy)
    in_force.since_unix = 5.0
    in_force.put(policy)
    assert in_force.since_unix == 5.0
    in_force.put(parse_policy(text("two").encode()))
    assert in_force.since_unix > 5.0


# Kubernetes -----------------------------------------------------------------------------------------------------------


class Api(http.server.BaseHTTPRequestHandler):
    """The one path of the API server that is asked."""

    status = 201
    seen: list[tuple[str, str, Any]] = []  # noqa: RUF012 - replaced by each test

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.seen.append((self.path, self.headers["authorization"], body))
        self.send_response(self.status)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None: ...


class Pod:
    """A pod's ServiceAccount and environment, and an API server over TLS."""

    def __init__(self, folder: Path, certificate: tuple[bytes, bytes]) -> None:
        self.folder, self.port = folder / "account", free_port()
        self.folder.mkdir()
        (self.folder / "namespace").write_text("payments\n")
        (self.folder / "token").write_text("first-token\n")
        (self.folder / "ca.crt").write_bytes(certificate[0])
        (folder / "api.pem").write_bytes(certificate[0] + certificate[1])
        self.environment = {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(self.port),
            "HOSTNAME": "extproc-0",
            "POD_UID": "u-1",
        }
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(folder / "api.pem")

    @contextmanager
    def serving(self, status: int = 201) -> Iterator[type[Api]]:
        handler = type("Handler", (Api,), {"status": status, "seen": []})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        server.socket = self.tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield handler
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def events(self) -> KubernetesEvents:
        cluster = Cluster.around(self.environment, self.folder)
        assert cluster is not None
        # The test's certificate names nobody.
        cluster.tls.check_hostname = False
        return KubernetesEvents(cluster)


@pytest.fixture
def pod(tmp_path: Path, certificate: tuple[bytes, bytes]) -> Pod:
    return Pod(tmp_path, certificate)


async def _told(events: KubernetesEvents, until: Any, *notices: Notice) -> None:
    task = asyncio.create_task(events.run())
    for notice in notices:
        events.tell(notice)
    while not until():
        assert not task.done()
        await asyncio.sleep(0.01)
    task.cancel()


async def test_an_event_of_the_pod_with_the_token_of_now(pod: Pod) -> None:
    events = pod.events()
    with pod.serving() as api:
        await _told(events, lambda: len(api.seen) == 1, Notice("PolicyRefused", "é" * 1000, warning=True))
        (pod.folder / "token").write_text("second-token\n")
        await _told(events, lambda: len(api.seen) == 2, Notice("PolicyReplaced", "in force", warning=False))
    (path, authorization, event), (_, renewed, second) = api.seen
    assert path == "/api/v1/namespaces/payments/events"
    assert (authorization, renewed) == ("Bearer first-token", "Bearer second-token")
    assert event["involvedObject"] == {
        "apiVersion": "v1", "kind": "Pod", "namespace": "payments", "name": "extproc-0", "uid": "u-1",
    }  # fmt: skip
    assert event["metadata"] == {"generateName": "extproc-0.extproc-", "namespace": "payments"}
    assert (event["reason"], event["type"]) == ("PolicyRefused", "Warning")
    assert len(event["message"].encode()) == 1024
    assert (second["reason"], second["type"], second["message"]) == ("PolicyReplaced", "Normal", "in force")
    assert event["firstTimestamp"] == event["lastTimestamp"]


async def test_without_the_right_the_log_says_it_once(pod: Pod, caplog: pytest.LogCaptureFixture) -> None:
    events = pod.events()
    notices = [Notice("PolicyRefused", f"number {number}", warning=True) for number in range(3)]
    with pod.serving(403) as api:
        await _told(events, lambda: len(api.seen) == 3, *notices)
    assert [record.getMessage() for record in caplog.records if record.name.endswith("kubernetes_events")] == [
        "Kubernetes takes no Events from this pod; they are left out"
    ]
    assert "first-token" not in caplog.text


async def test_an_api_server_that_is_not_there_keeps_nobody_waiting(pod: Pod, caplog: pytest.LogCaptureFixture) -> None:
    events = pod.events()
    for number in range(100):
        events.tell(Notice("PolicyRefused", f"number {number}", warning=True))
    await _told(events, lambda: bool(caplog.records))
    assert "Kubernetes takes no Events" in caplog.text


def test_outside_a_cluster_nothing_is_told(pod: Pod) -> None:
    assert Cluster.around({}, pod.folder) is None
    assert Cluster.around(pod.environment, pod.folder.parent) is None
    nowhere = KubernetesEvents(None)
    nowhere.tell(Notice("PolicyRefused", "", warning=True))
    asyncio.run(nowhere.run())
    assert nowhere._waiting.empty()


class Journal:
    def append_record(self, _: object) -> int:
        return 1


class Telemetry:
    def control_failure(self, control: str, failing: bool) -> None: ...

    def set_policy(self, digest: str, loaded_unix: float) -> None: ...


def test_a_reload_is_told_by_one_worker_of_the_pod(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, pod: Pod
) -> None:
    cluster = Cluster.around(pod.environment, pod.folder)
    monkeypatch.setattr(Cluster, "around", lambda _: cluster)
    told: list[list[Notice]] = []
    for index in range(2):
        worker = Worker(deployment.settings, index, AsRead(Path(), Path(), ""))
        in_force = PolicyInForce((), deployment.settings, Secret("k" * 64))
        control = PolicyControl(in_force, Journal(), Telemetry(), worker._events)
        in_force.put(parse_policy(text("one").encode()))
        control.failed((Problem("rules", 3, 1, "a message"),))
        control.changed(parse_policy(text("two").encode()))
        waiting = worker._events._waiting
        told.append([waiting.get_nowait() for _ in range(waiting.qsize())])
    first, second = (parse_policy(text(name).encode()).digest for name in ("one", "two"))
    assert told == [
        [
            Notice(
                "PolicyRefused",
                f"the new policy is refused; {first} stays in force: 3:1: rules: a message",
                warning=True,
            ),
            Notice("PolicyReplaced", f"the policy {second} is in force", warning=False),
        ],
        [],
    ]
