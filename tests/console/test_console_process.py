"""What the console's process says of itself."""

import asyncio
import logging
from typing import Any

import pytest
import uvicorn

from extproc.console.process import SayingServer
from extproc.local.ports import free_port


async def _app(scope: Any, receive: Any, send: Any) -> None: ...


async def test_the_log_says_that_the_console_serves_and_where(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "extproc.console")
    port = free_port()
    server = SayingServer(uvicorn.Config(_app, host="127.0.0.1", port=port, lifespan="off", log_config=None))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    server.should_exit = True
    await serving
    (line,) = (vars(record) for record in caplog.records if record.name == "extproc.console")
    assert (line["msg"], line["address"], line["port"], line["tls"]) == ("serving", "127.0.0.1", port, False)


async def test_a_part_that_fails_ends_the_console(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ZeroDivisionError("4111111111111111")

    config = uvicorn.Config(_app, host="127.0.0.1", port=free_port(), lifespan="off", log_config=None)
    server = SayingServer(config)
    part = server.beside(fail())
    await asyncio.wait_for(server.serve(), 20)
    assert isinstance(part.exception(), ZeroDivisionError)
    assert not server.whole
    assert "4111" not in caplog.text
