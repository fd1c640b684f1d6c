"""P1 for every text that broke a masker: on the surfaces that stream, each is masked as it is when it comes whole.

Each goes through the real framing of every third of them, cut at random over events, and its bytes at random over
pieces. Which texts break a masker does not depend on the surface; that a surface breaks none is for the splits.
"""

import random
from typing import Any

from tests.core.dialects.conftest import STREAMS
from tests.core.dialects.test_surface_splits import at_random, bytes_at_random, check
from tests.core.masking.conftest import CLEAN, MASKED

CORPUS = [*MASKED, *CLEAN]
TURNS = 3


def turn_of(stream: Any) -> int:
    return [each for each in STREAMS if not each.whole_texts].index(stream) % TURNS


def test_every_text_of_the_corpus_is_masked_in_a_stream_as_it_is_whole(continuing: Any) -> None:
    seed = random.Random(str(continuing))
    assert len(CORPUS) > 300
    for text in CORPUS[turn_of(continuing) :: TURNS]:
        wire = continuing.wire(text, at_random(seed))
        if continuing.type == "text/event-stream":
            wire = wire.replace(b"\n", seed.choice([b"\n", b"\r\n", b"\r"]))
        check(continuing, text, wire, continuing.passed(wire, bytes_at_random(wire, seed)))
