"""A `sitecustomize` for workers: a file says how the next exchange shall end."""

# `close KIND N`: at the N-th message of this kind the stream ends with OK, as if a handler had fallen off its end.
# `abort KIND N`: an unexpected exception there. `return`: OK before anything is read.
PLANT = """
import asyncio, os, pathlib
from extproc.edge import session

_FILE = pathlib.Path(os.environ["EXTPROC_TEST_PLANT"])
_run = session.Session.run


class _Context:
    def __init__(self, context, way, kind, count):
        self._context, self._way, self._kind, self._left = context, way, kind, int(count)

    def __getattr__(self, name):
        return getattr(self._context, name)

    async def read(self):
        message = await self._context.read()
        if hasattr(message, "WhichOneof") and message.WhichOneof("request") == self._kind:
            self._left -= 1
            if self._left == 0:
                await asyncio.sleep(0.05)  # what was answered before is on its way
                raise RuntimeError("planted 4111111111111111")
        return message

    async def abort(self, *args, **kwargs):
        if self._way == "close":
            return  # the bug: the handler ends as if all were well
        await self._context.abort(*args, **kwargs)


async def run(self):
    way = _FILE.read_text().split()
    if way == ["return"]:
        return
    if way:
        self._context = _Context(self._context, *way)
    await _run(self)


session.Session.run = run
"""
