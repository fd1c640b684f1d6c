"""Files that a person takes away: never shown by the browser, whatever they hold."""

import re

from starlette.responses import Response

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


def download(data: bytes, name: str, media_type: str) -> Response:
    """`name` is of our own making. `nosniff` and the content policy stand on every answer of the console."""
    if not _NAME.fullmatch(name):
        raise ValueError("a file name that a header cannot carry")
    disposition = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(data, media_type=media_type, headers=disposition)
