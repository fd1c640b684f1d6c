"""What the doctor asks of files, keys, clocks and others' addresses, each broken alone. Nothing of ours runs."""

import os
import shutil
import subprocess
import sys
import time
from concurrent import futures
from dataclasses import replace
from datetime import date, timedelta
from email.utils import formatdate
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from extproc.audit.log.clock import KernelClock, Synchronised
from extproc.edge.settings import Settings
from extproc.live import clock_checks
from extproc.live.check import Check, State
from extproc.live.clock_checks import OtherClock, check_clock, compare_clock
from extproc.live.examination import Terms, examine
from extproc.live.identity_checks import check_issuers
from extproc.live.key_checks import check_files, check_keys
from extproc.live.model_checks import check_models
from extproc.live.policy_checks import check_policy
from extproc.live.telemetry_checks import check_telemetry
from extproc.live.worker_checks import check_workers
from extproc.local.guard import Wanted, write_config
from extproc.local.ports import free_port
from tests.live.doctor.unwell import POLICY, mode, unwell


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (POLICY.replace("effect: allow", "effect: perhaps", 1), "perhaps"),
        (POLICY + 'tests:\n  - name: t\n    input: {groups: [analysts], operation: chat}\n    expect: {effect: deny}\n', ""),
    ],
    ids=["unsound", "a case fails"],
)  # fmt: skip
def test_a_policy_that_is_no_good(settings: Settings, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text, "utf-8")
    found = unwell(check_policy(replace(settings, policy_file=path)))
    assert set(found) == {"policy"}
    assert said in found["policy"].said
    assert f"extproc policy check {path}" in found["policy"].mend


@pytest.mark.parametrize(("days", "state"), [(3, State.WARN), (-3, State.FAIL)])
def test_rules_that_are_recorded_and_not_enforced(settings: Settings, tmp_path: Path, days: int, state: State) -> None:
    path = tmp_path / "policy.yaml"
    until = (date.today() + timedelta(days=days)).isoformat()  # noqa: DTZ011 - three days are no matter of zones
    rule = f"  - name: later\n    effect: deny\n    mode: shadow\n    shadow_until: {until}\n    match: {{models: [x]}}\n    text: No.\n"
    path.write_text(POLICY + rule, "utf-8")
    check = unwell(check_policy(replace(settings, policy_file=path)))["policy, shadow rules"]
    assert (check.state, "later" in check.said) == (state, True)


def test_a_worker_whose_memory_may_reach_a_disk(settings: Settings, tmp_path: Path) -> None:
    """A process of ours stands for it: the real one forbids it to itself."""
    source = "import resource, socket, sys; resource.setrlimit(resource.RLIMIT_CORE, (4096, 4096)); s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); print(flush=True); sys.stdin.read()"
    run = tmp_path / "run"
    run.mkdir(mode=0o700)
    process = subprocess.Popen(
        [sys.executable, "-c", source, str(run / "worker-0.sock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        found = unwell(check_workers(replace(settings, run_directory=run, workers=1)))
    finally:
        process.communicate()
    assert found["core dumps"].said == "the kernel may write one of worker 0"


def _elsewhere(settings: Settings, upstream: str) -> Settings:
    return replace(settings, connections=tuple(replace(each, upstream=upstream) for each in settings.connections))


def test_a_model_server_that_is_away_and_one_that_answers_past_the_gateway(settings: Settings) -> None:
    away = _elsewhere(settings, f"http://127.0.0.1:{free_port()}")
    assert set(unwell(check_models(away, outside=False))) == {"model server model"}
    assert unwell(check_models(away, outside=True)) == {}
    found = unwell(check_models(settings, outside=True))
    assert "NetworkPolicy" in found["model server model, way around"].mend
    assert [each.name for each in examine(settings, Terms(outside=True))] == ["model server model, way around"]


def test_an_issuer_that_is_away_or_has_no_key_of_ours(settings: Settings) -> None:
    (issuer,) = settings.issuers
    gone = replace(issuer, issuer=f"http://127.0.0.1:{free_port()}")
    assert "cannot be had" in unwell(check_issuers(replace(settings, issuers=(gone,))))[f"issuer {gone.issuer}"].said
    other = replace(issuer, algorithms=("ES384",))
    found = unwell(check_issuers(replace(settings, issuers=(other,))))
    assert found[f"issuer {issuer.issuer}"].said == "none of its keys is for ES384"


@pytest.mark.parametrize(("days", "state"), [(0, State.FAIL), (3, State.WARN)])
def test_keys_at_the_end_of_their_cryptoperiod(settings: Settings, days: int, state: State) -> None:
    found = unwell(check_keys(replace(settings, audit=replace(settings.audit, cryptoperiod_days=days))))
    assert {name: check.state for name, check in found.items()} == {"keys": state}


def test_keys_that_are_not_there(settings: Settings, tmp_path: Path) -> None:
    found = unwell(check_keys(replace(settings, audit=replace(settings.audit, keys=tmp_path / "none"))))
    assert set(found) == {"keys"}
    assert not (tmp_path / "none").exists()


def test_a_public_key_file_that_lost_a_key(settings: Settings, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    shutil.copytree(settings.audit.keys, keys)
    mine = replace(settings, audit=replace(settings.audit, keys=keys))
    assert unwell(check_keys(mine)) == {}
    from extproc.audit.keys.rotation import rotate_keys

    rotate_keys(mine.audit, int(time.time() * 1000))
    public = keys / "deployment.pub"
    whole = public.read_text("ascii")
    assert unwell(check_keys(mine)) == {}
    public.write_text(
        whole[: whole.index("-----BEGIN", 5)] if "-----" in whole else whole.splitlines()[0] + "\n", "ascii"
    )
    assert set(unwell(check_keys(mine))) == {"keys, public"}


@pytest.mark.parametrize("secret", ["digest.key", "mask.key", "model.key", "run/gate", "keys/content.key"])
def test_a_secret_that_others_can_read(settings: Settings, secret: str) -> None:
    path = settings.digest_key_file.parent / secret
    with mode(path, 0o640):
        found = unwell(iter((check_files(settings),)))
    assert f"({path}) has mode 0640, not 0600" in found["secrets, modes"].said
    assert path.read_bytes().hex() not in found["secrets, modes"].said


def test_a_secret_that_is_gone(settings: Settings, tmp_path: Path) -> None:
    check = check_files(replace(settings, digest_key_file=tmp_path / "gone"))
    assert (check.state, "digest_key" in check.said) == (State.FAIL, True)


@pytest.mark.parametrize(
    ("word", "refuses", "state"),
    [
        (Synchronised.NO, False, State.WARN),
        (Synchronised.NO, True, State.FAIL),
        (Synchronised.UNKNOWN, True, State.LEFT),
        (Synchronised.YES, True, State.OK),
    ],
)
def test_a_clock_that_nobody_keeps(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, word: Synchronised, refuses: bool, state: State
) -> None:
    """The kernel's word is not a test's to change."""
    monkeypatch.setattr(clock_checks, "ask_kernel", lambda: KernelClock(word, 1.0))
    audit = replace(settings.audit, refuse_unsynchronised_clock=refuses)
    assert [each.state for each in check_clock(replace(settings, audit=audit))] == [state]


@pytest.mark.parametrize(("seconds", "state"), [(1, State.OK), (60, State.WARN), (-60, State.WARN), (400, State.FAIL), (-400, State.FAIL)])  # fmt: skip
def test_a_clock_that_differs_from_another_s(seconds: int, state: State) -> None:
    other = OtherClock.parse("the store", formatdate(1_000_000 + seconds, usegmt=True), 1_000_000.0)
    assert other is not None
    assert compare_clock(other).state is state
    assert OtherClock.parse("the store", "yesterday") is None


class _Collector(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self) -> None:
        self.got: list[Any] = []

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's method
        self.got.append(request)
        return trace_service_pb2.ExportTraceServiceResponse()


def _exporting(settings: Settings, endpoint: str) -> dict[str, Check]:
    return unwell(check_telemetry(replace(settings, telemetry=replace(settings.telemetry, otlp_endpoint=endpoint))))


def test_a_collector_that_is_there_gets_nothing_and_one_that_is_away_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector, server = _Collector(), grpc.server(futures.ThreadPoolExecutor(1))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        assert _exporting(settings, f"http://127.0.0.1:{port}") == {}
        assert [len(each.resource_spans) for each in collector.got] == [0]
    finally:
        server.stop(0).wait()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
    assert set(_exporting(settings, f"http://127.0.0.1:{port}")) == {"otlp"}


def test_a_header_for_the_collector_that_cannot_be_read_is_not_shown(tmp_path: Path) -> None:
    config = write_config(Wanted(tmp_path, "http://127.0.0.1:9"), "http://127.0.0.1:9", 9)
    key = "not-for-the-screen"
    said = {"ENDPOINT": "http://127.0.0.1:1", "HEADERS": f"x-api-key {key}", "TIMEOUT": "1"}
    environment = {**os.environ, **{f"OTEL_EXPORTER_OTLP_{name}": value for name, value in said.items()}}
    whole = [sys.executable, "-m", "extproc", "doctor", "--config", str(config)]
    done = subprocess.run(whole, capture_output=True, text=True, check=False, timeout=100, env=environment)
    assert (done.returncode, "otlp: the collector did not take" in done.stdout) == (1, True)
    assert key not in done.stdout + done.stderr
