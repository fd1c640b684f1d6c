"""How long to wait between two tries of what cannot be shipped: each one sends the whole of a segment again."""

from extproc.audit.log.shipper import ShippingFailed
from extproc.audit.stores.store import Fault

SHIP_SECONDS = 1.0
"""Between two passes, while all is well."""
MAX_SHIP_SECONDS = 60.0


class ShippingPace:
    """The wait doubles while passes fail by the same cause and bring nothing to the store.

    So nothing waits longer for a store that is back than about as long as it was away.
    """

    def __init__(self) -> None:
        self.seconds = SHIP_SECONDS
        """From one pass to the next."""
        self._cause: Fault | None = None

    def failed(self, failed: ShippingFailed) -> None:
        again = failed.fault is self._cause and not failed.shipped
        self.seconds = min(2 * self.seconds, MAX_SHIP_SECONDS) if again else SHIP_SECONDS
        self._cause = failed.fault

    def worked(self) -> None:
        self.seconds, self._cause = SHIP_SECONDS, None
