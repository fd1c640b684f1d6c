"""Other connections and a policy that names them: in force together, or neither."""

from pathlib import Path
from typing import Any

import pytest

from tests.edge.settings.test_configuration_watch import FAILED, Worker

NAMING = "apiVersion: extproc/v1\nkind: Policy\nname: {0}\nrules:\n  - {{name: a, effect: deny, match: {{connections: [{0}]}}}}\n"


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(tmp_path)


def named(worker: Worker, policy: str) -> None:
    """A policy that denies what is for this connection, and is longer than the one before."""
    size = worker.in_force.settings.policy_file.stat().st_size
    worker.in_force.settings.policy_file.write_text(NAMING.format(policy).ljust(size + 1, "#"))


async def test_a_connection_and_the_rules_that_name_it_get_their_new_name_together(worker: Worker) -> None:
    """In between, the rule of the old name would guard nothing."""
    named(worker, "model")
    await worker.policy_file._take(worker.policy_file._look(), 10.0)
    named(worker, "gpu")
    await worker.policy_file._take(worker.policy_file._look(), 10.0)
    assert worker.policy_file.failing
    worker.put(connections=[worker.connection("gpu")])
    await worker.watch.look()
    snapshot = worker.in_force.get()
    assert ([each.name for each in snapshot.connections], snapshot.policy.name) == (["gpu"], "gpu")
    assert not worker.policy_file.failing
    assert worker.policy_file._look() == worker.policy_file._judged


async def test_connections_that_no_policy_fits_are_not_taken_over(worker: Worker) -> None:
    named(worker, "model")
    await worker.policy_file._take(worker.policy_file._look(), 10.0)
    worker.put(connections=[worker.connection("gpu")])
    await worker.watch.look()
    assert worker.watch.failing
    assert worker.notes == [FAILED]
    assert [each.name for each in worker.in_force.get().connections] == ["model"]


async def test_a_policy_that_comes_while_connections_are_prepared_has_them_prepared_again(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was judged by the old ones, and may not fit."""
    worker.put(connections=[worker.connection("gpu")])
    prepare = worker.watch._prepare

    def overtaken() -> Any:
        prepared = prepare()
        named(worker, "model")
        worker.policy_file._first(worker.policy_file._look())
        return prepared

    monkeypatch.setattr(worker.watch, "_prepare", overtaken)
    await worker.watch.look()
    assert [each.name for each in worker.in_force.get().connections] == ["model"]
    monkeypatch.setattr(worker.watch, "_prepare", prepare)
    await worker.watch.look()
    assert worker.watch.failing
    assert [each.name for each in worker.in_force.get().connections] == ["model"]
