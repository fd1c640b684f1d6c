"""One browser, and one guard with its console, for each module: a start costs seconds of CPU."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser

from extproc.local.ports import free_port
from tests.browser.chromium import DESK, Visitor, start_chromium
from tests.browser.held import POLICY
from tests.conformance.service.conftest import World, build_world


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with start_chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """As `extproc run` starts it, before a model server that does as told."""
    folder = tmp_path_factory.mktemp("guard")
    world, stop = build_world(folder, policy_text=POLICY, workers=1, drain_seconds=1, console_port=free_port())
    yield world
    stop()


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors of a console; afterwards the browser must have complained of nothing while they looked."""
    with ExitStack() as open_contexts:
        visitors: list[Visitor] = []

        def make(console: str, *, expected: re.Pattern[str] | None = None, **options: Any) -> Visitor:
            context = chromium.new_context(
                **{"viewport": DESK, "locale": "en-GB", "timezone_id": "Asia/Tokyo", **options}
            )
            visitor = Visitor(context, context.new_page(), console, expected)
            open_contexts.callback(visitor.leave)
            visitor.watch()
            visitors.append(visitor)
            return visitor

        yield make
        assert [each.trouble for each in visitors if each.trouble] == []
