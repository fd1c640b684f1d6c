"""Where one exchange stands; `extproc.core.exchange` says what leads from one to the next."""

from enum import Enum


class Phase(Enum):
    START = "start"
    AUTHENTICATING = "authenticating"
    BODY = "body"
    BUDGETS = "budgets"
    HELD = "held"
    CHARGING = "charging"
    CLAIMING = "claiming"
    RECORDING = "recording"
    SHIPPING = "shipping"
    FORWARDED = "forwarded"
    RESPONDING = "responding"
    CLOSING = "closing"
    REFUSING = "refusing"
    OVER = "over"


BEFORE_FORWARD = (
    *(Phase.START, Phase.AUTHENTICATING, Phase.BODY, Phase.BUDGETS),
    *(Phase.HELD, Phase.CHARGING, Phase.CLAIMING, Phase.RECORDING, Phase.SHIPPING),
)
INTENDING = (Phase.RECORDING, Phase.SHIPPING)
ENDING = (Phase.CLOSING, Phase.REFUSING)
