"""Installations for the doctor: one that runs, and one on paper, of files and addresses alone."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from extproc.audit.keys.keys import open_or_make_keys
from extproc.edge.gate import read_or_create_gate
from extproc.edge.settings import Settings
from extproc.edge.settings_file import load_settings
from extproc.local.guard import AUDIENCE, Wanted, write_config
from extproc.local.issuer import start_issuer
from extproc.local.ports import free_port
from tests.live.doctor.unwell import POLICY


@pytest.fixture(scope="session")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A `World`: the real Envoy with its admin, two workers, console and issuer, all well."""
    from tests.conformance.service.conftest import build_world

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


@pytest.fixture(scope="session")
def on_paper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Configuration, policy, keys and gate, a model server and an issuer; no worker, no Envoy."""
    folder = tmp_path_factory.mktemp("paper")
    (folder / "policy.yaml").write_text(POLICY, "utf-8")
    with (
        socket.create_server(("127.0.0.1", 0)) as model,
        start_issuer(folder / "issuer", audience=AUDIENCE) as issuer,
    ):
        upstream = f"http://127.0.0.1:{model.getsockname()[1]}"
        wanted = Wanted(directory=folder, upstream=upstream, policy=folder / "policy.yaml", credential="model-key")
        settings = load_settings(write_config(wanted, issuer.url, free_port()))
        read_or_create_gate(settings.run_directory)
        open_or_make_keys(settings.audit)
        for each in (settings.audit.spool, settings.audit.store.directory):  # type: ignore[union-attr]
            each.mkdir(mode=0o700)
        yield settings


@pytest.fixture
def settings(on_paper: Settings) -> Settings:
    return on_paper
