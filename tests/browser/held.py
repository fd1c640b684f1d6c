"""What is held while people look: a policy, and clients that wait."""

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.conformance.service.conftest import World

POLICY = """
apiVersion: extproc/v1
kind: Policy
name: browsers
masking: {profile: pci-strict, styles: {pan: label}}
rules:
  - name: analysts
    effect: allow
    match: {groups: [analysts]}
  - name: bulk-later
    effect: hold
    match: {at_least: {max_tokens: 2000}, models: [leaves]}
    text: Bulk needs an approval, and its client asks again.
    hold: {approvers: [approvers], wait: 1s, expire: 1h, detach: true}
  - name: bulk
    effect: hold
    match: {at_least: {max_tokens: 2000}, models: [waits]}
    text: Bulk needs an approval.
    hold: {approvers: [approvers], wait: 60s, expire: 1h, detach: true}
"""


@dataclass
class Waiting:
    """A client that waits for an approval."""

    approval_id: str
    answer: "Future[httpx.Response]"


def _approvals(world: World) -> set[str]:
    """Ids of all there are, as the store has them."""
    url = world.guard.settings.approvals.database
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        return {str(row[0]) for row in database.execute("SELECT approval_id FROM approvals")}


@contextmanager
def held(world: World, content: str, *, stays: bool = True, **more: Any) -> Iterator[Waiting]:
    """A client of the analyst asks for so much that it is held, and has its answer before the end.

    One that does not stay has a ticket a second later.
    """
    before = _approvals(world)
    model = "waits" if stays else "leaves"
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(world.chat, content, model=model, **{"max_tokens": 4000, **more})
        deadline = time.monotonic() + 30
        while not (new := _approvals(world) - before):
            assert time.monotonic() < deadline, "no approval was opened"
            assert not answer.done(), answer.result().text
            time.sleep(0.05)
        yield Waiting(new.pop(), answer)
