"""One browser for each module: a start costs about two seconds of CPU."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import DESK, Visitor, start_chromium


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with start_chromium() as browser:
        yield browser


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors of a console; afterwards the browser must have complained of nothing while they looked."""
    with ExitStack() as open_contexts:
        visitors: list[Visitor] = []

        def make(console: str, **options: Any) -> Visitor:
            context = chromium.new_context(
                **{"viewport": DESK, "locale": "en-GB", "timezone_id": "Asia/Tokyo", **options}
            )
            open_contexts.callback(context.close)
            visitor = Visitor(context, context.new_page(), console)
            visitor.watch()
            visitors.append(visitor)
            return visitor

        yield make
        assert [each.trouble for each in visitors if each.trouble] == []
