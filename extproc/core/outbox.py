"""What may leave only after its record is durable (P2): a queue ordered by ticket."""

from collections import deque

from extproc.core.actions import Action, ReleaseBody, ReleaseHeaders, ReleaseTrailers
from extproc.core.trust import Masked, Passed


class Outbox:
    """Holds releases under the ticket of the last thing stored before them."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, ReleaseHeaders | ReleaseBody | ReleaseTrailers]] = deque()
        self.waiting_bytes = 0
        self.released_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def put(self, ticket: int, release: ReleaseHeaders | ReleaseBody | ReleaseTrailers) -> None:
        if isinstance(release, ReleaseBody):
            self.waiting_bytes += len(release.data)
        self._waiting.append((ticket, release))

    def clear(self) -> None:
        self._waiting.clear()
        self.waiting_bytes = 0

    def release(self, ticket: int) -> list[Action]:
        """Everything up to `ticket`, in order; neighbouring bodies go out as one."""
        released: list[Action] = []
        bodies: list[Passed] = []
        while self._waiting and self._waiting[0][0] <= ticket:
            item = self._waiting.popleft()[1]
            if not isinstance(item, ReleaseBody):
                released.append(item)
                continue
            bodies.append(item.data)
            following = self._waiting[0] if self._waiting else None
            if following and following[0] <= ticket and isinstance(following[1], ReleaseBody):
                continue
            data = bodies[0] if len(bodies) == 1 else Masked(b"".join(bodies))
            bodies = []
            self.waiting_bytes -= len(data)
            self.released_bytes += len(data)
            released.append(ReleaseBody(data, item.end_of_stream))
        return released
