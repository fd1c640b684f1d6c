"""What is lost while somebody waits for an approval, the database or the worker, through the real Envoy."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from extproc.cli.main import main
from tests.approvals.postgres_server import DRIVER, PostgresServer, started_postgres
from tests.conformance.service.test_holds import approver

pytestmark = pytest.mark.timeout(240)


@dataclass
class Losses:
    """A guard of one worker whose approvals are in a PostgreSQL server that tests stop and start."""

    world: Any
    server: PostgresServer
    people: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4))

    def ask(self, model: str, **headers: str) -> httpx.Response:
        """The model's name is the prompt as well."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer: httpx.Response = self.world.chat(model, model=model, headers=named)
        return answer

    def wait(self, model: str, **headers: str) -> Future[httpx.Response]:
        """Ask in a thread, and be held."""
        waiting = self.people.submit(self.ask, model, **headers)
        self.await_approval(model)
        return waiting

    def await_approval(self, model: str) -> str:
        """The id of the one approval for the model."""
        deadline = time.monotonic() + 30
        while not (found := self.approvals(model)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        (approval_id,) = found
        return approval_id

    def approvals(self, model: str) -> list[str]:
        import psycopg

        with psycopg.connect(f"host={self.server.address.replace(':', ' port=')} user=app dbname=postgres") as asked:
            return [row[0] for row in asked.execute("SELECT approval_id FROM approvals WHERE model = %s", (model,))]

    def grant(self, approval_id: str) -> None:
        """By the command, in this process: starting one more takes longer than all that it does."""
        decider = {"EXTPROC_CONFIG": str(self.world.guard.config), "EXTPROC_TOKEN": approver(self.world)}
        granted = CliRunner().invoke(main, ["approvals", "grant", approval_id, "--reason", "fine"], env=decider)
        assert granted.exit_code == 0, granted.output

    def await_service(self) -> None:
        """Until requests are answered again."""
        deadline = time.monotonic() + 60
        while True:
            with suppress(httpx.HTTPError):
                if self.world.chat("marker-again").status_code == 200:
                    return
            assert time.monotonic() < deadline
            time.sleep(0.2)


@pytest.fixture(scope="module")
def losses(tmp_path_factory: pytest.TempPathFactory, make_world: Callable[..., Any]) -> Iterator[Losses]:
    with started_postgres() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(DRIVER), prepend=os.pathsep)
        database = {"database": f"postgresql+psycopg://app@{server.address}/postgres"}
        world, stop = make_world(tmp_path_factory.mktemp("losses"), workers=1, overrides={"approvals": database})
        lost = Losses(world, server)
        try:
            yield lost
        finally:
            stop()
            lost.people.shutdown()


def test_a_client_waits_on_while_postgresql_is_restarted_and_goes_on_once(losses: Losses) -> None:
    waiting = losses.wait("held-restart")
    losses.server.stop()
    losses.server.start()
    losses.grant(losses.await_approval("held-restart"))
    assert waiting.result(60).status_code == 200
    assert len(losses.world.upstream.requests("held-restart")) == 1


def test_without_postgresql_held_requests_are_refused_and_no_others(losses: Losses) -> None:
    """Also those that waited before; whoever of them comes back with their key is on the same approval."""
    waiting = losses.wait("held-lost", idempotency_key="lost-1")
    losses.server.stop()
    try:
        assert losses.ask("open-1").status_code == 200
        refused = [losses.ask("held-refused"), waiting.result(60)]
    finally:
        losses.server.start()
    told = [(answer.status_code, answer.json()["error"]["code"]) for answer in refused]
    assert told == [(503, "approvals_unavailable")] * 2
    assert len(losses.world.upstream.requests("open-1")) == 1
    assert not losses.world.upstream.requests("held-refused")
    assert not losses.world.upstream.requests("held-lost")
    losses.grant(losses.await_approval("held-lost"))
    assert losses.ask("held-lost", idempotency_key="lost-1").status_code == 200
    assert len(losses.world.upstream.requests("held-lost")) == 1


def test_a_worker_that_is_killed_lets_no_waiting_request_on_and_its_clients_come_back(losses: Losses) -> None:
    """By the same key and body, or by the approval's id: to the approval that was there, which is used once."""
    waiting = [losses.wait("held-killed-1", idempotency_key="killed-1"), losses.wait("held-killed-2")]
    (worker,) = losses.world.worker_pids()
    os.kill(worker, signal.SIGKILL)
    assert [answer.result(60).status_code for answer in waiting] == [503, 503]
    losses.await_service()
    again = losses.people.submit(losses.ask, "held-killed-1", idempotency_key="killed-1")
    ticket = losses.await_approval("held-killed-2")
    losses.grant(ticket)
    assert losses.ask("held-killed-2", x_extproc_approval=ticket).status_code == 200
    assert losses.ask("held-killed-2", x_extproc_approval=ticket).status_code == 403
    assert not losses.world.upstream.requests("held-killed-1")
    losses.grant(losses.await_approval("held-killed-1"))
    assert again.result(60).status_code == 200
    assert [len(losses.world.upstream.requests(f"held-killed-{n}")) for n in (1, 2)] == [1, 1]
