"""How much may be judged at a time: a worker serves many exchanges, and one must not keep the others waiting."""

from typing import Final

from extproc.core.reasons import Malformed, Reason

MAX_STEPS: Final = 2_000_000
"""A step takes about a microsecond. Envoy waits ten seconds for an answer, of this exchange and of every other."""
TEXT_STEPS: Final = 4
"""A whole text with digits in it."""
GROUP_STEPS: Final = 16
"""A group of digits that is judged."""
PART_STEPS: Final = 2
"""A group of a number that has many."""
GROUPED_STEPS: Final = 20
"""A number in groups that is as long as a card's, with what stands around it."""
ANNOUNCED_STEPS: Final = 64
"""Besides, where words that announce a number may stand before it."""
KEY_STEPS: Final = 3
"""A key of a JSON object, with its value."""
ROW_STEPS: Final = 200
"""A PAN in an array, read once more with the elements behind it."""
FOUND_STEPS: Final = 2
"""A stretch of numbers that is found, before it is joined with those close by."""
SPOT_STEPS: Final = 5
"""A stretch of numbers in a whole text."""
SEARCHED_PER_STEP: Final = 16
"""Characters of a stretch of numbers that one step pays for, whether or not anything in it is judged."""
TOKEN_STEPS: Final = 4
"""A token of JSON text that is read piece by piece."""


class Effort:
    """What is left for one body, or for one piece of a stream."""

    __slots__ = ("_left", "_steps")

    def __init__(self, steps: int) -> None:
        self._steps = self._left = steps

    def renew(self) -> None:
        """Another piece begins."""
        self._left = self._steps

    def at_most(self, steps: int) -> int:
        """How many things of `steps` each can be paid for, and one more: who takes so many cannot pay for them."""
        return self._left // steps + 1

    def spend(self, steps: int) -> None:
        """Raises `Malformed(BODY_TOO_COSTLY)` when nothing is left."""
        self._left -= steps
        if self._left < 0:
            raise Malformed(Reason.BODY_TOO_COSTLY)
