"""The workers of a running service take another configuration over: what a hold is for, and who is believed.

The supervisor's part is played here; with its own the whole stands in `test_configuration_live.py`.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from extproc.cli.main import main
from extproc.edge.envoy_admin import EnvoyAdmin, Followed
from extproc.edge.policy_status import read_status, status_path
from extproc.edge.program import digest_file
from extproc.local.guard import AUDIENCE
from extproc.local.issuer import mint_token, start_issuer
from extproc.local.ports import free_port
from tests.conformance.service.conftest import Upstream, World, run_upstream
from tests.conformance.service.test_holds import approver, cli, held_in_background

WORKERS = 2


@dataclass
class Service:
    """The world, another model server beside it, and the supervisor's part of a change, played."""

    world: World
    other: Upstream
    admin_port: int
    generation: int = 0
    document: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.document = yaml.safe_load(self.world.guard.config.read_text())
        self.copy = self.world.guard.settings.run_directory / "config.as-read.yaml"

    def connection(self, upstream: Upstream, key: str, **more: Any) -> dict[str, Any]:
        file = self.world.directory / f"{key}.key"
        file.write_text(key)
        return {"name": "model", "upstream": upstream.url, "credential_file": str(file), **more}

    def change(self, **sections: Any) -> str:
        """Envoy has it first, then the workers, with one rename. Its digest, once all of them serve by it."""
        self.generation += 1
        fresh = self.copy.with_name(f"fresh-{self.generation}.yaml")
        fresh.write_text(json.dumps({**self.document, **sections}))  # which is YAML, without aliases
        digest = digest_file(fresh)
        told = ["--config", str(self.world.guard.config), "--as-read", str(fresh), "--also", str(self.copy)]
        ran = CliRunner().invoke(main, ["envoy", "discovery", *told])
        assert ran.exit_code == 0, ran.output
        self.await_envoy(digest)
        os.replace(fresh, self.copy)
        self.await_workers(digest)
        return digest

    def await_envoy(self, digest: str) -> None:
        end = time.monotonic() + 10
        while EnvoyAdmin(self.world.guard.settings).followed() != Followed(frozenset({digest}), 0):
            assert time.monotonic() < end, "Envoy has not taken its routes over"
            time.sleep(0.05)

    def await_workers(self, digest: str) -> None:
        """Within ten seconds: each looks three times a second, and says what it has once a second."""
        end = time.monotonic() + 10
        folder = self.world.guard.settings.run_directory
        while time.monotonic() < end:
            said = [read_status(status_path(folder, index)) for index in range(WORKERS)]
            if all(each is not None and each.configuration == digest for each in said):
                return
            time.sleep(0.05)
        raise AssertionError("a worker has not taken the configuration over")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, make_world: Callable[..., Any]) -> Iterator[Service]:
    other, server = run_upstream()
    admin_port = free_port()
    world, stop = make_world(
        tmp_path_factory.mktemp("reload") / "guard",
        workers=WORKERS,
        drain_seconds=5,
        overrides={"envoy": {"admin_port": admin_port, "access_log": "access.log"}},
    )
    yield Service(world, other, admin_port)
    stop()
    server.shutdown()
    server.server_close()


def test_a_held_request_reaches_the_server_that_it_was_judged_for(service: Service) -> None:
    world, other = service.world, service.other
    service.change(connections=[service.connection(world.upstream, "first-key")])
    thread, got, approval_id = held_in_background(world, "marker-held")
    service.change(connections=[service.connection(other, "second-key")])
    cli(world, "approvals", "grant", approval_id, "--reason", "fine", token=approver(world))
    thread.join(30)
    assert got[0].status_code == 200
    (seen,) = world.upstream.requests("marker-held")
    assert seen.headers["authorization"] == "Bearer first-key"
    assert not other.requests("marker-held")


def test_other_issuers_count_at_once_and_those_that_went_no_more(service: Service, tmp_path: Path) -> None:
    """Not even a token that was verified a moment ago."""
    world, identity = service.world, service.document["identity"]
    model = service.connection(world.upstream, "first-key")
    service.change(connections=[model])
    second = start_issuer(tmp_path, audience=AUDIENCE)
    try:
        tokens = (
            world.token(),
            mint_token(tmp_path, subject="s", groups=["analysts"], audience=AUDIENCE, issuer=second.url),
        )

        def answers() -> list[int]:
            sent = [{"authorization": f"Bearer {token}"} for token in tokens]
            return [world.chat("marker-issuer", headers=headers).status_code for headers in sent for _ in range(4)]

        assert answers() == [200] * 4 + [401] * 4
        other = {**identity["issuers"][0], "issuer": second.url}
        service.change(connections=[model], identity={"issuers": [*identity["issuers"], other]})
        assert answers() == [200] * 8
        service.change(connections=[model], identity={"issuers": [other]})
        assert answers() == [401] * 4 + [200] * 4
        service.change(connections=[model])
        assert answers() == [200] * 4 + [401] * 4
    finally:
        second.stop()


def test_a_copy_that_is_no_configuration_leaves_the_last_one_and_is_told(service: Service) -> None:
    world, good = service.world, service.copy.read_text()
    spoiled = service.copy.with_name("spoiled.yaml")
    spoiled.write_text("connections: [")
    os.replace(spoiled, service.copy)
    try:
        failed = world.await_record(
            lambda record: (
                (record.get("detail") or {}).get("control") == "configuration"
                and record["event_code"] == "control.failure"
            )
        )
        assert failed["status"] == "failed"
        assert world.chat("marker-spoiled").status_code == 200
    finally:
        spoiled.write_text(good)
        os.replace(spoiled, service.copy)
    world.await_record(lambda record: record["event_code"] == "control.restored")
    assert world.chat("marker-good-again").status_code == 200
