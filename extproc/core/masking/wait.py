"""The third answer of a judge: neither yes nor no."""

from enum import Enum
from typing import Final


class Wait(Enum):
    """More text is needed."""

    WAIT = 0


WAIT: Final = Wait.WAIT
