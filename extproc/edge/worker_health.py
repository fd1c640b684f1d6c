"""What each worker answers when it is asked whether it serves, by gRPC health on its socket, about once a second."""

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from extproc.edge.policy_status import PolicyStatus, read_status, status_path

ASK_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 1.0
"""A worker whose loop hangs longer is not one that serves."""
POLICY: Final = "policy"


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    """`policy` and `configuration`: digests of what it serves by. `failing`: the controls that it said do not work."""

    serving: bool = False
    policy: str = ""
    configuration: str = ""
    failing: tuple[str, ...] = ()


class WorkersHealth:
    """Asked in the background, so that whoever wants to know waits for nobody."""

    def __init__(self, run_directory: Path, workers: int) -> None:
        self._run_directory = run_directory
        self.now = tuple(WorkerHealth() for _ in range(workers))
        """By index; before the first look none serves."""

    @property
    def any_serves(self) -> bool:
        return any(worker.serving for worker in self.now)

    async def run(self) -> None:
        """Ask until cancelled."""
        async with contextlib.AsyncExitStack() as stack:
            stubs = [
                health_pb2_grpc.HealthStub(await stack.enter_async_context(_channel(self._run_directory, index)))
                for index in range(len(self.now))
            ]
            while True:
                self.now = tuple(await asyncio.gather(*map(self._ask, range(len(stubs)), stubs)))
                await asyncio.sleep(ASK_SECONDS)

    async def _ask(self, index: int, stub: health_pb2_grpc.HealthStub) -> WorkerHealth:
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=ANSWER_SECONDS)
        except grpc.aio.AioRpcError:
            return WorkerHealth()
        status = await asyncio.to_thread(read_status, status_path(self._run_directory, index))
        serving = answer.status == health_pb2.HealthCheckResponse.SERVING
        if status is None:
            return WorkerHealth(serving)
        return WorkerHealth(serving, status.digest, status.configuration, _failing(status))


def _failing(status: PolicyStatus) -> tuple[str, ...]:
    return tuple(sorted({*status.controls, *((POLICY,) if status.failing else ())}))


def _channel(run_directory: Path, index: int) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(
        f"unix:{run_directory / f'worker-{index}.sock'}",
        options=[
            # A worker that is started again is found within a second.
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.min_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 1000),
            # The environment's proxies are for the outside.
            ("grpc.enable_http_proxy", 0),
            ("grpc.use_local_subchannel_pool", 1),
        ],
    )
