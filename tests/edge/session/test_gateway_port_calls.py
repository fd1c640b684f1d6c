"""The real gRPC server on a port: who may call, what a foreign gateway is told, and a certificate that is renewed."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from extproc.core.connections import CONNECTION_HEADER
from extproc.core.snapshot import Connection
from extproc.edge import gate
from extproc.edge.server import ExtProcServer, by_name
from extproc.edge.settings import ExtProcSettings, GatewayTls
from extproc.local.ports import free_port
from extproc.pb import ext_proc_pb2 as pb
from tests.edge.authority import Authority
from tests.edge.session.played import in_force, services, whole_exchange

SERVER, GATEWAY = "service.example", "gateway.example"
DUPLEX = pb.ProcessingMode.FULL_DUPLEX_STREAMED
METHOD = "/envoy.service.ext_proc.v3.ExternalProcessor/Process"

Pair = tuple[Path, Path]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@asynccontextmanager
async def serving(
    folder: Path, authority: Authority, served: Pair | None = None, **parts: Any
) -> AsyncIterator[ExtProcSettings]:
    certificate, key = served or authority.issue("service", dns=SERVER)
    tls = GatewayTls(certificate, key, authority.path, frozenset({GATEWAY}))
    port = ExtProcSettings(port=free_port(), tls=tls)
    server = ExtProcServer(services(**parts), folder / "s", max_body_bytes=1 << 20, port=port)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


def channel(port: ExtProcSettings, authority: Authority, pair: Pair | None) -> grpc.aio.Channel:
    key, certificate = (pair[1].read_bytes(), pair[0].read_bytes()) if pair else (None, None)
    credentials = grpc.ssl_channel_credentials(authority.path.read_bytes(), key, certificate)
    options = [("grpc.ssl_target_name_override", SERVER), ("grpc.use_local_subchannel_pool", 1)]
    return grpc.aio.secure_channel(f"127.0.0.1:{port.port}", credentials, options)


async def exchange(opened: grpc.aio.Channel, *, silent: bool = False) -> list[Any]:
    """The answers to a whole exchange, or the status that ends it. `silent` sends nothing and waits for that."""
    method = opened.stream_stream(
        METHOD,
        request_serializer=pb.ProcessingRequest.SerializeToString,
        response_deserializer=pb.ProcessingResponse.FromString,
    )
    messages = [] if silent else whole_exchange(request_mode=DUPLEX)
    call = method(timeout=10)
    answers: list[Any] = []
    try:
        for message in messages:
            await call.write(message)
        while (answer := await call.read()) is not grpc.aio.EOF:
            answers.append(answer)
            if answer.response_body.response.body_mutation.streamed_response.end_of_stream:
                await call.done_writing()
    except grpc.aio.AioRpcError:
        pass  # the status says it
    code = await call.code()
    return answers if code is grpc.StatusCode.OK else [code]


@pytest.mark.parametrize(
    ("name", "status"),
    [(GATEWAY, None), ("neighbour.example", grpc.StatusCode.UNAUTHENTICATED), ("", grpc.StatusCode.UNAVAILABLE)],
)
async def test_only_the_named_certificate_may_call(
    tmp_path: Path, authority: Authority, name: str, status: grpc.StatusCode | None
) -> None:
    """The same authority vouches for the neighbour; "" brings no certificate."""
    pair = authority.issue(name, dns=name) if name else None
    async with serving(tmp_path, authority) as port, channel(port, authority, pair) as opened:
        answers = await exchange(opened, silent=status is not None)
    if status is None:
        assert answers[-1].response_body.response.body_mutation.streamed_response.end_of_stream
    else:
        assert answers == [status]


async def test_a_foreign_gateway_gets_metadata_in_place_of_the_gate_secret(
    tmp_path: Path, authority: Authority
) -> None:
    """Nothing there would take the header off before the client."""
    async with serving(tmp_path, authority) as port:
        async with channel(port, authority, authority.issue("gateway", dns=GATEWAY)) as opened:
            foreign = await exchange(opened)
        async with grpc.aio.insecure_channel(f"unix:{tmp_path / 's'}") as opened:
            own = await exchange(opened)
    for answers, secret, metadata in ((foreign, False, True), (own, True, False)):
        (headers,) = (a for a in answers if a.HasField("response_headers"))
        names = {option.header.key for option in headers.response_headers.response.header_mutation.set_headers}
        assert (gate.GATE_HEADER in names) is secret
        fields = headers.dynamic_metadata.fields
        said = fields[gate.NAMESPACE].struct_value.fields[gate.ANSWER].string_value if fields else ""
        assert (said == gate.JUDGED) is metadata


async def test_a_foreign_gateway_is_told_the_connections_name_and_our_own_envoy_its_route(
    tmp_path: Path, authority: Authority
) -> None:
    """The routes of the one are the chart's, those of the other change with the server behind them."""
    routed = in_force(Connection("model", route="model.0a1b2c3d"))
    async with serving(tmp_path, authority, snapshot=lambda: routed) as port:
        async with channel(port, authority, authority.issue("gateway", dns=GATEWAY)) as opened:
            foreign = await exchange(opened)
        async with grpc.aio.insecure_channel(f"unix:{tmp_path / 's'}") as opened:
            own = await exchange(opened)
    for answers, said in ((foreign, b"model"), (own, b"model.0a1b2c3d")):
        (answer,) = (each.request_headers.response for each in answers if each.HasField("request_headers"))
        options = [option.header for option in answer.header_mutation.set_headers]
        assert [each.raw_value for each in options if each.key == CONNECTION_HEADER] == [said]


def test_a_foreign_gateway_gets_each_new_snapshot_and_it_is_made_once() -> None:
    first, second = (in_force(Connection(name, route=f"{name}.0a1b2c3d")) for name in ("old", "new"))
    looks = deque([first, first, second, second])
    look = by_name(looks.popleft)
    seen = [look() for _ in range(4)]
    assert [each.connections for each in seen] == [(Connection(name),) for name in ("old", "old", "new", "new")]
    assert seen[0] is seen[1]
    assert seen[2] is seen[3]


async def test_a_renewed_certificate_counts_for_the_next_connection(tmp_path: Path, authority: Authority) -> None:
    """Without a restart. Half of a new pair leaves the last one in force."""
    other = Authority(tmp_path)
    served = (tmp_path / "tls.crt", tmp_path / "tls.key")
    old, new = authority.issue("service", dns=SERVER), other.issue("service", dns=SERVER)
    for target, source in zip(served, old, strict=True):
        target.write_bytes(source.read_bytes())
    pair = authority.issue("gateway", dns=GATEWAY)

    async def reaches(trusted: Authority) -> bool:
        async with channel(port, trusted, pair) as opened:
            return len(await exchange(opened)) > 1

    async with serving(tmp_path, authority, served) as port:
        assert await reaches(authority)
        served[0].write_bytes(new[0].read_bytes())
        assert await reaches(authority)
        assert not await reaches(other)
        served[1].write_bytes(new[1].read_bytes())
        assert await reaches(other)
        assert not await reaches(authority)


async def test_several_workers_share_the_port(tmp_path: Path, authority: Authority) -> None:
    pair = authority.issue("gateway", dns=GATEWAY)
    async with serving(tmp_path, authority) as port:
        (tmp_path / "two").mkdir()
        second = ExtProcServer(services(), tmp_path / "two" / "s", max_body_bytes=1 << 20, port=port)
        await second.start()
        await second.stop(0)
        async with channel(port, authority, pair) as opened:
            assert len(await exchange(opened)) > 1


async def test_a_port_that_cannot_be_had_is_an_error(tmp_path: Path, authority: Authority) -> None:
    certificate, key = authority.issue("service", dns=SERVER)
    tls = GatewayTls(certificate, key, tmp_path / "missing", frozenset({GATEWAY}))
    server = ExtProcServer(
        services(), tmp_path / "s", max_body_bytes=1 << 20, port=ExtProcSettings(port=free_port(), tls=tls)
    )
    with pytest.raises(OSError, match="missing"):
        await server.start()
    await server.stop(0)
