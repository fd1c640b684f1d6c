"""How many tokens an answer has, as far as it went: what budgets are charged and what response rules look at."""

import math
from typing import Protocol

CHARACTERS_PER_TOKEN = 4
"""Of English text; what OpenAI's and Anthropic's documentation give as a rule of thumb."""


class Answered(Protocol):
    """What a response filter counts. `characters` are those of the answer's texts, or of a whole body as it goes on."""

    streamed: bool
    input_tokens: int
    output_tokens: int
    finish_reasons: tuple[str, ...]
    events: int
    characters: int


def tokens_of(characters: int) -> int:
    """An estimate, at least one for any text."""
    return math.ceil(characters / CHARACTERS_PER_TOKEN)


def answered_tokens(answer: Answered) -> int:
    """What the server reports, once it is known to be all: of a body that was read whole, of a stream that has ended.

    Until then, and where nothing is reported, at least a token an event, at least one for four characters, and at least
    what was reported so far. A server may put many tokens into one event (vLLM's `stream_interval`).
    """
    if answer.output_tokens and (answer.finish_reasons or not answer.streamed):
        return answer.output_tokens
    return max(answer.output_tokens, answer.events, tokens_of(answer.characters))
