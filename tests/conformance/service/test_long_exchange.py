"""One long exchange on a guard that has nothing else to do."""

from typing import Any

import httpx

SECONDS = 56
"""Envoy 1.40 drops an unused gRPC client after 50 s, also one that a stream still uses, and crashed at that stream's end."""


def test_an_answer_of_a_minute_ends_well_and_envoy_lives(own_world: Any) -> None:
    world = own_world(workers=1)
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "x"}]}
    answer = httpx.post(
        world.guard.url + "/v1/chat/completions",
        json={**body, "pieces": ["w "] * SECONDS, "pause": 1.0},
        headers=world.headers(),
        timeout=SECONDS + 40,
    )
    assert answer.text.count('"w "') == SECONDS
    assert answer.text.endswith("data: [DONE]\n\n")
    assert world.chat("afterwards").status_code == 200
    assert world.guard.envoy.poll() is None
