"""P1 for every text that broke a masker: on every surface that streams, each is masked as it is when it comes whole.

Each goes once through the real framing, cut at random over events, and its bytes at random over pieces.
"""

import random
from typing import Any

from tests.core.dialects.test_surface_splits import at_random, bytes_at_random, check
from tests.core.masking.conftest import CLEAN, MASKED

CORPUS = [*MASKED, *CLEAN]


def test_every_text_of_the_corpus_is_masked_in_a_stream_as_it_is_whole(continuing: Any) -> None:
    seed = random.Random(str(continuing))
    assert len(CORPUS) > 300
    for text in CORPUS:
        wire = continuing.wire(text, at_random(seed))
        if continuing.type == "text/event-stream":
            wire = wire.replace(b"\n", seed.choice([b"\n", b"\r\n", b"\r"]))
        check(continuing, text, wire, continuing.passed(wire, bytes_at_random(wire, seed)))
