"""Issuers: reachable, with keys that can verify tokens, and with our time."""

import asyncio
import time
from collections.abc import Iterator

import httpx

from extproc.core.issuer import Issuer
from extproc.core.reasons import Unavailable
from extproc.edge.direct import DIRECT
from extproc.edge.jwks import parse_key_set
from extproc.edge.key_source import FETCH_SECONDS, KeySource
from extproc.edge.settings import Settings
from extproc.live.check import Check, failed, passed
from extproc.live.clock_checks import OtherClock, compare_clock


def check_issuers(settings: Settings) -> Iterator[Check]:
    """Each as the workers ask it, once."""
    for issuer in settings.issuers:
        dates: list[str] = []
        try:
            document = asyncio.run(_load(issuer, dates))
            keys = parse_key_set(document, issuer).keys
        except Unavailable:
            mend = "does the address answer here, and is its certificate's authority known? Known keys serve until then"
            yield failed(f"issuer {issuer.issuer}", "its keys cannot be had", mend)
            continue
        yield _check_keys(issuer, sorted({algorithm for _, algorithm in keys}), len(keys))
        other = OtherClock.parse(f"issuer {issuer.issuer}", dates[-1], time.time()) if dates else None
        if other is not None:
            yield compare_clock(other)


def _check_keys(issuer: Issuer, algorithms: list[str], count: int) -> Check:
    name = f"issuer {issuer.issuer}"
    if not count:
        wanted = ", ".join(issuer.algorithms)
        return failed(
            name, f"none of its keys is for {wanted}", "see `algorithms` of this issuer: its tokens are refused"
        )
    return passed(name, f"{count} keys, for {', '.join(algorithms)}")


async def _load(issuer: Issuer, dates: list[str]) -> bytes:
    """Adds the `Date` of each answer."""

    async def note(answer: httpx.Response) -> None:
        if date := answer.headers.get("date"):
            dates.append(date)

    async with httpx.AsyncClient(
        timeout=FETCH_SECONDS, follow_redirects=False, mounts=DIRECT, event_hooks={"response": [note]}
    ) as client:
        return await KeySource(issuer, client).load()
