"""The keys that sign tokens are made by themselves, and each one is recorded (PCI DSS 10.2.1.2)."""

import logging
from collections import deque
from collections.abc import Callable

from extproc.console.records import own_record
from extproc.console.token_keys import TokenKeys, TokenKeysUnfit
from extproc.core.reasons import Unavailable
from extproc.core.record import EventCode, Outcome, Record

MAX_OWED = 100
"""Keys whose records wait for the journal: more than are made in years."""
_log = logging.getLogger("extproc.console")


class KeyTending:
    """Makes and retires keys as it is due. What could not be recorded is kept, and recorded once that is possible."""

    def __init__(self, keys: TokenKeys) -> None:
        self._keys = keys
        self._owed: deque[Record] = deque(maxlen=MAX_OWED)

    def tend(self, now: float) -> None:
        """Blocking. A folder that cannot be written leaves the keys that there are."""
        try:
            key = self._keys.tend(now)
        except TokenKeysUnfit as error:
            _log.error("the keys that sign tokens cannot be tended (%s)", error)
            return
        if key is not None:
            detail: dict[str, str | int] = {"token key": key.kid, "signs_from": key.signs_from, "automatic": True}
            self._owed.append(own_record(EventCode.ADMIN_KEY_ROTATE, Outcome.SUCCEEDED, **detail))

    def record_owed(self, append: Callable[[Record], object]) -> None:
        """The oldest first, as far as it can be recorded now; `append` raises `Unavailable` when it cannot."""
        while self._owed:
            try:
                append(self._owed[0])
            except Unavailable:
                _log.error("a new key that signs tokens could not be recorded yet")
                return
            self._owed.popleft()
