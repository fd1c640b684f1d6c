"""The real Envoy asks a model server on loopback for its health and its metrics, and for nothing else."""

import http.client
from collections.abc import Iterator

import pytest

from extproc.edge.settings import ConnectionSettings, EnvoySettings, ProbeSettings
from extproc.local.ports import free_port

from .conftest import Edge, StartEdge, ToyModel

HEALTH, METRICS = "/model/chat/health", "/model/chat/metrics"


@pytest.fixture(scope="module")
def model() -> Iterator[ToyModel]:
    made = ToyModel()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def probed(start_edge: StartEdge, model: ToyModel) -> Edge:
    here = f"http://127.0.0.1:{model.port}"
    connections = (
        ConnectionSettings("chat", here, "/chat", probe=ProbeSettings("/v2/health/ready", "/metrics")),
        ConnectionSettings("silent", here, "/silent"),
    )
    return start_edge(envoy=EnvoySettings(status_port=free_port()), connections=connections)


def ask(edge: Edge, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", edge.settings.envoy.status_port, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize(("asked", "target"), [(HEALTH, "/v2/health/ready"), (METRICS, "/metrics")])
def test_a_probe_gets_the_model_servers_own_answer(probed: Edge, model: ToyModel, asked: str, target: str) -> None:
    model.reset()
    for status in (200, 503):
        model.status, model.body = status, b"as it is"
        assert ask(probed, asked) == (status, b"as it is")
    assert [(seen.method, seen.target) for seen in model.received] == [("GET", target)] * 2


def test_nothing_of_the_askers_goes_along(probed: Edge, model: ToyModel) -> None:
    model.reset()
    assert ask(probed, HEALTH, authorization="Bearer x", cookie="a=b")[0] == 200
    (seen,) = model.received
    assert not {"authorization", "cookie"} & set(seen.headers)
    assert seen.headers["host"] == f"127.0.0.1:{model.port}"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", HEALTH), ("HEAD", HEALTH), ("PUT", METRICS), ("DELETE", METRICS),
        ("GET", f"{HEALTH}?x=1"), ("GET", f"{HEALTH}?"), ("GET", f"{HEALTH}/"), ("GET", f"{HEALTH}/../../v1/models"),
        ("GET", f"/{HEALTH}"), ("GET", "/model/chat/%68ealth"), ("GET", "/model/chat/"), ("GET", "/model/chat/v1/models"),
        ("GET", "/model/silent/health"), ("GET", "/model/other/health"), ("GET", "/v1/models"), ("GET", "/model/chat/HEALTH"),
    ],
)  # fmt: skip
def test_nothing_else_reaches_the_model_server(probed: Edge, model: ToyModel, method: str, path: str) -> None:
    model.reset()
    assert ask(probed, path, method)[0] == 404
    assert model.received == []


def test_a_model_server_that_is_not_there_is_not_healthy(start_edge: StartEdge) -> None:
    gone = ConnectionSettings("chat", f"http://127.0.0.1:{free_port()}", probe=ProbeSettings("/health"))
    edge = start_edge(envoy=EnvoySettings(status_port=free_port()), connections=(gone,))
    assert ask(edge, HEALTH)[0] == 503
    assert ask(edge, "/ready")[0] == 200
