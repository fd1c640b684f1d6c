"""Model servers and routes change under a running Envoy: nothing that is under way notices, what is new counts."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from extproc.edge.bootstrap import write_discovery
from extproc.edge.discovery_files import CLUSTERS, folder
from extproc.edge.envoy_admin import EnvoyAdmin, Followed
from extproc.edge.settings import ConnectionSettings, EnvoySettings, ProbeSettings
from extproc.local.ports import free_port
from tests.conformance.envoy.conftest import VERSION, Edge, ToyModel

PROMPT = b'{"model": "m", "messages": []}'
PIECES = [b"piece %d\n" % number for number in range(5)]


class Following:
    """An Envoy, and what its files say. `had` is what they said before the last change."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.had = edge.settings.connections

    def followed(self) -> Followed | None:
        return EnvoyAdmin(self.edge.settings).followed()

    def write(self, *connections: ConnectionSettings, version: str, also: tuple[ConnectionSettings, ...]) -> None:
        """And wait until Envoy has it."""
        self.edge.settings = replace(self.edge.settings, connections=connections)
        write_discovery(self.edge.settings, version, also)
        deadline = time.monotonic() + 10
        while self.followed() != Followed(frozenset({version}), 0):
            assert time.monotonic() < deadline, self.followed()
            time.sleep(0.02)

    def change(self, *connections: ConnectionSettings, version: str = "sha256:next") -> None:
        """As the supervisor does it: Envoy first, then whoever chooses."""
        self.had = self.edge.settings.connections
        self.write(*connections, version=version, also=self.had)
        self.edge.service.connections = tuple(each.served(None) for each in connections)

    def ask(self, path: str, say: str | None = None) -> httpx.Response:
        self.edge.service.choice = say
        return httpx.post(f"{self.edge.url}{path}", content=PROMPT, timeout=10)


def stream_slowly(release: threading.Event) -> Any:
    def answer(request: Any) -> None:
        request.rfile.read(int(request.headers.get("content-length", "0")))
        request.send_response(200)
        request.send_header("content-type", "text/plain")
        request.send_header("transfer-encoding", "chunked")
        request.end_headers()
        for piece in PIECES:
            request.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            release.wait(20)
        request.wfile.write(b"0\r\n\r\n")

    return answer


@pytest.fixture(scope="module")
def started(start_edge: Any, tmp_path_factory: pytest.TempPathFactory) -> Following:
    log = tmp_path_factory.mktemp("log") / "access.json"
    envoy = EnvoySettings(admin_port=free_port(), status_port=free_port(), access_log=str(log))
    return Following(start_edge(envoy=envoy))


@pytest.fixture
def following(started: Following) -> Iterator[Following]:
    """As it was at the start."""
    first = started.edge.settings.connections
    started.edge.service.reset()
    started.edge.model.reset()
    yield started
    started.write(*first, version=VERSION, also=())
    started.edge.service.connections = tuple(each.served(None) for each in first)


@pytest.fixture
def other() -> Iterator[ToyModel]:
    model = ToyModel()
    model.body = b'{"answer": "from the other"}'
    yield model
    model.stop()


def test_a_new_model_server_is_served_while_requests_go_on(following: Following, other: ToyModel) -> None:
    """None of them fails, whenever it comes."""
    alpha, beta = following.edge.settings.connections
    statuses: list[int] = []
    done = threading.Event()

    def keep_asking() -> None:
        with httpx.Client() as client:
            while not done.is_set():
                statuses.append(client.post(f"{following.edge.url}/alpha/v1", content=PROMPT).status_code)

    asking = threading.Thread(target=keep_asking)
    asking.start()
    for round_ in range(5):
        gamma = ConnectionSettings("gamma", f"http://localhost:{other.port}", f"/gamma{round_}")
        following.change(alpha, beta, gamma, version=f"sha256:{round_}")
        assert following.ask(f"/gamma{round_}/v1").content == other.body
    done.set()
    asking.join()
    assert set(statuses) == {200}
    assert other.received[-1].target == "/v1"


def test_an_answer_under_way_comes_to_its_end_although_its_server_is_gone(following: Following) -> None:
    alpha, beta = following.edge.settings.connections
    release = threading.Event()
    following.edge.model.answer = stream_slowly(release)  # type: ignore[method-assign]
    try:
        with httpx.stream("POST", f"{following.edge.url}/alpha/v1", content=PROMPT, timeout=20) as answer:
            pieces = answer.iter_raw()
            first = next(pieces)
            following.write(beta, version="sha256:gone", also=())
            assert following.ask("/alpha/v1", say=alpha.route).status_code == 404
            release.set()
            rest = b"".join(pieces)
    finally:
        del following.edge.model.answer
    assert (answer.status_code, first + rest) == (200, b"".join(PIECES))


def test_another_server_of_a_name_is_reached_by_what_is_judged_for_it(following: Following, other: ToyModel) -> None:
    """What was sent to the one before, and is held or read by Envoy meanwhile, comes to that one, with its credential."""
    alpha, beta = following.edge.settings.connections
    moved = replace(alpha, upstream=f"http://127.0.0.1:{other.port}")
    following.change(moved, beta)
    assert following.ask("/alpha/v1").content == other.body
    assert following.ask("/alpha/v1", say=alpha.route).content == following.edge.model.body
    following.change(moved, beta, version="sha256:later")
    assert following.ask("/alpha/v1", say=alpha.route).status_code == 404


def test_a_connection_that_is_gone_has_no_route(following: Following) -> None:
    alpha, beta = following.edge.settings.connections
    following.change(beta)
    following.change(beta, version="sha256:later")
    assert following.ask("/alpha/v1", say=alpha.route).status_code == 404
    assert following.edge.model.received == []


def test_probes_follow_too(following: Following, other: ToyModel) -> None:
    alpha, beta = following.edge.settings.connections
    status = f"http://127.0.0.1:{following.edge.settings.envoy.status_port}"
    probed = replace(alpha, upstream=f"http://127.0.0.1:{other.port}", probe=ProbeSettings(health="/health"))
    assert httpx.get(f"{status}/model/alpha/health").status_code == 404
    following.change(probed, beta)
    assert httpx.get(f"{status}/model/alpha/health").status_code == 200
    assert [each.target for each in other.received] == ["/health"]
    assert httpx.get(f"{status}/ready").status_code == 200


def test_metrics_are_of_the_connection_whichever_server_it_has(following: Following, other: ToyModel) -> None:
    alpha, beta = following.edge.settings.connections
    following.change(replace(alpha, upstream=f"http://127.0.0.1:{other.port}"), beta)
    assert following.ask("/alpha/v1").status_code == 200
    status = f"http://127.0.0.1:{following.edge.settings.envoy.status_port}"
    metrics = httpx.get(f"{status}/stats/prometheus").text.splitlines()
    named = {line.partition('envoy_cluster_name="')[2].partition('"')[0] for line in metrics if "upstream_rq" in line}
    assert {name for name in named if name.startswith("model_")} == {"model_alpha", "model_beta"}


def test_a_file_that_envoy_does_not_accept_leaves_what_it_had(following: Following) -> None:
    alpha, beta = following.edge.settings.connections
    wrong = folder(following.edge.settings) / CLUSTERS
    text = (
        wrong.read_text("utf-8").replace(VERSION, "sha256:wrong").replace("connect_timeout: 5", "connect_timeout: -5")
    )
    unfinished = wrong.with_suffix(".new")
    unfinished.write_text(text, "utf-8")
    unfinished.replace(wrong)
    time.sleep(0.5)
    assert following.followed() == Followed(frozenset({VERSION}), 0)
    assert following.ask("/alpha/v1").status_code == 200
    following.change(alpha, beta)
    assert following.ask("/alpha/v1").status_code == 200
