"""The search for candidates leaves out nothing that a judge would mask: with and without it the same is found."""

import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from extproc.core.masking import pan, walk
from extproc.core.masking.effort import MAX_STEPS, Effort
from extproc.core.masking.masker import Masker
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import PROFILES, MaskingSettings
from extproc.core.masking.walk import Found

SCANNERS = {profile: Scanner(MaskingSettings(profile=profile)) for profile in PROFILES}
GAPS = (" ", "-", ".", "/", "_", "  ", " - ", ", ", "\n", "\u200b", "\u00ad", "\u202f", " \u200b", "\ufe0f", "        ")
CARDS = (
    "4111111111111111",
    "378282246310005",
    "5500005555555559",
    "6759649826438453",
    "30569309025904",
    "501800000009",
)
CARDS += ("6304000000000000", "62000000000000000003", "4222222222222", "2223000048400011", "36227206271667")
WORDS = (
    "cvv ",
    "CVV2: ",
    "cvc2 is ",
    "card number ",
    "pan no. ",
    "nr. ",
    "cid=",
    "x",
    "exp 12/29 ",
    "security code is ",
)
WORDS += ("+", "#", "*", "(", "v2 ", "\u0661", "\uff14", "e", "ISO", "411111******1111")


@contextmanager
def searching(stretch: float) -> Iterator[None]:
    """Stretches of at least so many characters are searched for candidates, shorter ones walked through; without any
    search, each group of a row is judged as if it stood alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walk, "_WORTH_A_SEARCH", stretch)
        if stretch == math.inf:
            patch.setattr(pan, "in_list", lambda *_: False)
        yield


def find(profile: str, text: str) -> tuple[list[Found], list[Found]]:
    """What is found group by group, and with the search."""
    walker = SCANNERS[profile]._detectors._walker
    slow: list[Found] = []
    with searching(math.inf):
        walker.walk(text, 0, len(text), walk.Trace(Effort(MAX_STEPS)), slow, final=True)
    with searching(0):
        return slow, walker.find(text, Effort(MAX_STEPS))


@st.composite
def grouped_cards(draw: st.DrawFn) -> str:
    """A card's digits in groups of any sizes, with one gap or several."""
    digits = draw(st.sampled_from(CARDS))
    cuts = sorted(draw(st.sets(st.integers(1, len(digits) - 1), max_size=5)))
    if draw(st.booleans()):
        size = draw(st.integers(1, 9))
        cuts = list(range(size, len(digits), size))
    gaps = draw(st.lists(st.sampled_from(GAPS), min_size=1, max_size=3))
    groups = [digits[a:b] for a, b in zip([0, *cuts], [*cuts, len(digits)], strict=True)]
    return "".join(group + gaps[index % len(gaps)] for index, group in enumerate(groups[:-1])) + groups[-1]


DIGITS = st.text("0123456789", min_size=1, max_size=6)
SOUP = st.lists(
    st.one_of(grouped_cards(), DIGITS, st.sampled_from(GAPS), st.sampled_from(WORDS), st.sampled_from(CARDS)),
    max_size=24,
).map("".join)


@pytest.mark.parametrize("profile", PROFILES)
@given(text=SOUP)
@example(text=" 1 - 411111 111111 1111")
@settings(max_examples=500)
def test_the_search_finds_what_a_walk_finds(profile: str, text: str) -> None:
    slow, quick = find(profile, text)
    assert quick == slow


@pytest.mark.parametrize("seed", range(40))
def test_the_search_finds_what_a_walk_finds_in_long_lists(seed: int) -> None:
    """Lists of numbers in few spacings, long enough that one begins while another is still looked at."""
    chance = random.Random(seed)
    gaps = chance.sample(GAPS, 2)
    sizes = [chance.randint(1, 6) for _ in range(2)]
    parts: list[str] = []
    for _ in range(800):
        kind = chance.random()
        if kind < 0.03:
            card = chance.choice(CARDS)
            size = chance.choice((4, 4, 5, 16, 2, 1))
            parts.append(chance.choice(GAPS).join(card[at : at + size] for at in range(0, len(card), size)))
        elif kind < 0.05:
            parts.append(chance.choice(WORDS))
        else:
            parts.append("".join(chance.choice("0123456789") for _ in range(chance.choice(sizes))))
        parts.append(chance.choice(gaps))
    slow, quick = find("pci-strict", "".join(parts))
    assert slow
    assert quick == slow


@pytest.mark.parametrize("seed", range(20))
def test_a_stream_in_large_pieces_is_the_masked_whole(seed: int, label: Callable[[], Masker]) -> None:
    """A piece that is worth a search, and ends inside a card."""
    chance = random.Random(seed)
    numbers = [str(chance.randrange(10 ** chance.randint(1, 7))) for _ in range(1500)]
    for at in range(0, len(numbers), 50):
        card = chance.choice(CARDS)
        numbers[at] = " ".join(card[n : n + 4] for n in range(0, len(card), 4)) + chance.choice(
            ("", " 123", " 12/29 737")
        )
    text = chance.choice((" ", ". ", "/", "-")).join(numbers)
    channel = label().channel()
    cuts = sorted(chance.sample(range(len(text)), 3))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    streamed = "".join(channel.feed(piece) for piece in pieces) + channel.finish()
    assert streamed == label().mask_text(text)
    assert "[PAN]" in streamed


def test_a_code_beside_a_card_of_the_piece_before_is_found(label: Callable[[], Masker]) -> None:
    numbers = " 12 7" * 400
    channel = label().channel()
    streamed = channel.feed("4111 1111 1111 1111, 12/29 ") + channel.feed("737" + numbers) + channel.finish()
    assert streamed == "[PAN], [EXPIRY] [CVV]" + numbers
