"""config.yaml changes under traffic, through the real Envoy: new exchanges go by the new one, those under way by theirs,
and no request fails for it."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.conformance.service.conftest import Upstream, World, run_upstream

SECONDS = 60.0
"""Envoy's classes load in a process that shares two cores with two clients."""


@pytest.fixture(scope="module")
def another() -> Iterator[Upstream]:
    """A second model server."""
    upstream, server = run_upstream()
    yield upstream
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, make_world: Callable[..., Any]) -> Iterator[World]:
    world, stop = make_world(tmp_path_factory.mktemp("live") / "guard", workers=2)
    yield world
    stop()


@pytest.fixture
def live(shared: World, another: Upstream) -> Iterator[World]:
    """With its first configuration, before and afterwards."""
    first = shared.guard.config.read_bytes()
    for upstream in (shared.upstream, another):
        upstream.seen.clear()
        upstream.answer = None
    yield shared
    if shared.guard.config.read_bytes() != first:
        shared.guard.config.write_bytes(first)
        await_status(shared, "/v1/chat/completions", 200)


def change(world: World, edit: Callable[[dict[str, Any]], object]) -> None:
    """By a rename, as an editor does."""
    path = world.guard.config
    document = yaml.safe_load(path.read_text("utf-8"))
    edit(document)
    fresh = path.with_name("config.fresh")
    fresh.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
    fresh.replace(path)


def post(world: World, path: str, marker: str = "marker-x", **more: Any) -> httpx.Response:
    body = {"model": "m", "messages": [{"role": "user", "content": marker}], **more}
    return httpx.post(world.guard.url + path, json=body, headers=world.headers(), timeout=60)


SECOND = "/second/v1/chat/completions"
"""By its prefix the second server's, and while there is none the first one's."""


def await_status(world: World, path: str, status: int) -> None:
    """Of every worker: so many answers in a row, each on a connection of its own."""
    await_row(lambda: post(world, path, "marker-waiting").status_code == status)


def await_server(world: World, upstream: Upstream) -> None:
    """By whichever worker: what asks for the second server reaches this one."""

    def reached() -> bool:
        before = len(upstream.requests("marker-waiting"))
        assert post(world, SECOND, "marker-waiting").status_code == 200
        return len(upstream.requests("marker-waiting")) == before + 1

    await_row(reached)


def await_row(fits: Callable[[], bool]) -> None:
    deadline, row = time.monotonic() + SECONDS, 0
    while row < 20:
        assert time.monotonic() < deadline
        row = row + 1 if fits() else 0


@contextmanager
def traffic(world: World, path: str = "/v1/chat/completions") -> Iterator[list[int]]:
    """Two clients that do not cease to ask; the statuses of their answers."""
    statuses: list[int] = []
    stopping = threading.Event()

    def ask() -> None:
        while not stopping.wait(0.02):
            statuses.append(post(world, path, "marker-traffic").status_code)

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask) for _ in range(2)]
        try:
            yield statuses
        finally:
            stopping.set()
        for one in asking:
            one.result()


def second(upstream: Upstream, **more: Any) -> dict[str, Any]:
    return {"name": "second", "upstream": upstream.url, "path_prefix": "/second", **more}


def test_a_model_server_more_is_served_and_one_that_is_taken_away_is_not(live: World, another: Upstream) -> None:
    await_server(live, live.upstream)
    with traffic(live) as statuses:
        change(live, lambda d: d["connections"].append(second(another)))
        await_server(live, another)
        change(live, lambda d: d["connections"].pop())
        await_server(live, live.upstream)
    assert set(statuses) == {200}
    assert not another.requests("marker-traffic")
    changes = [record for record in live.records() if record["event_code"] == "admin.config_change"]
    assert [each["detail"]["previous_digest"] for each in changes[1:]] == [
        each["detail"]["configuration_digest"] for each in changes[:-1]
    ]


def test_another_server_of_the_same_name_gets_its_own_key_and_no_exchange_of_before(
    live: World, another: Upstream, tmp_path: Path
) -> None:
    """Under load: what was judged for one server never comes to the other one, with whichever key."""
    key = tmp_path / "another.key"
    key.write_text("key-of-another")
    moved = {"upstream": another.url, "credential_file": str(key)}
    with traffic(live) as statuses:
        change(live, lambda d: d["connections"][0].update(moved))
        deadline = time.monotonic() + SECONDS
        while not another.requests("marker-traffic"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        await_quiet(live.upstream)
    assert set(statuses) == {200}
    assert {seen.headers["authorization"] for seen in live.upstream.seen} == {"Bearer model-key-of-ours"}
    assert {seen.headers["authorization"] for seen in another.seen} == {"Bearer key-of-another"}


def await_quiet(upstream: Upstream) -> None:
    """Nobody asks it any more, for a second."""
    deadline, before = time.monotonic() + SECONDS, -1
    while before != len(upstream.seen):
        assert time.monotonic() < deadline
        before = len(upstream.seen)
        time.sleep(1.0)


def test_a_stream_under_way_ends_at_the_server_at_which_it_began(live: World, another: Upstream) -> None:
    change(live, lambda d: d["connections"].append(second(another)))
    await_server(live, another)
    pieces = ["It ", "is ", "4111", " 1111", " 1111", " 1111 "] + ["so "] * 60 + ["end"]
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(post, live, SECOND, "marker-long", stream=True, pieces=pieces, pause=0.2)
        while not another.requests("marker-long"):
            time.sleep(0.02)
        change(live, lambda d: d["connections"].pop())
        await_server(live, live.upstream)
        assert not reading.done(), "the stream was too short to show anything"
        answer = reading.result()
    assert answer.status_code == 200
    assert answer.text.rstrip().endswith("data: [DONE]")
    assert "[PAN]" in answer.text
    assert "end" in answer.text


def test_who_is_no_longer_believed_is_nobody(live: World) -> None:
    with traffic(live):
        change(live, lambda d: d["identity"]["issuers"][0].update(issuer="https://nobody.example", discovery=False, jwks_url="https://nobody.example/jwks"))  # fmt: skip
        await_status(live, "/v1/chat/completions", 401)


def test_a_bad_file_changes_nothing_and_is_recorded(live: World) -> None:
    with traffic(live) as statuses:
        change(live, lambda d: d["connections"].append({"name": "4111111111111111"}))
        live.await_record(lambda r: r["event_code"] == "control.failure" and r["detail"]["control"] == "configuration")
        change(live, lambda d: d["connections"].pop())
        live.await_record(lambda r: r["event_code"] == "control.restored")
    assert set(statuses) == {200}
    assert "4111111111111111" not in live.log_text()
