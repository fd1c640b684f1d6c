"""One world for the doctor: the real Envoy with its admin, workers, console and an issuer, all well."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from extproc.edge.settings import Settings
from extproc.live.check import Check, State
from extproc.live.examination import Terms, examine
from extproc.local.ports import free_port
from tests.conformance.service.conftest import AnotherEnvoy, World, build_world


@pytest.fixture(scope="session")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    ports = [free_port() for _ in range(8)]
    overrides = {"envoy": {"admin_port": ports[4], "status_port": ports[5]}, "audit": {"segment_interval": "1s"}}
    world, stop = build_world(
        tmp_path_factory.mktemp("patient"),
        workers=2,
        drain_seconds=2,
        metrics_port=ports[1],
        console_port=ports[0],
        overrides=overrides,
    )
    yield world
    stop()


@pytest.fixture
def settings(patient: World) -> Settings:
    return patient.guard.settings


@pytest.fixture
def another_envoy(tmp_path: Path) -> Iterator[AnotherEnvoy]:
    """Envoys with other bootstraps before the same workers."""
    start = AnotherEnvoy(tmp_path)
    yield start
    for envoy in start.running:
        envoy.stop()


Diagnosis = Callable[..., dict[str, Check]]


@pytest.fixture
def diagnose() -> Diagnosis:
    """All checks that are not well, by name."""

    def look(settings: Settings, **terms: object) -> dict[str, Check]:
        return {each.name: each for each in examine(settings, Terms(**terms)) if each.state in (State.FAIL, State.WARN)}  # type: ignore[arg-type]

    return look
