"""A store that is opened when it is needed: tried again after a failure, and opened once."""

from typing import Any

import pytest

from extproc.approvals.late_store import LateStore
from extproc.core.reasons import Reason, Unavailable


class Store:
    def find(self, approval_id: str, now: float) -> None:
        return None

    def withdraw(self, approval_id: str) -> bool:
        return True


def test_each_call_tries_again_until_it_opens_and_then_all_share_one() -> None:
    tries: list[int] = []

    def open_store() -> Any:
        tries.append(len(tries))
        if len(tries) < 3:
            raise Unavailable(Reason.APPROVALS_UNAVAILABLE)
        return Store()

    late = LateStore(open_store)
    assert tries == []
    for _ in range(2):
        with pytest.raises(Unavailable):
            late.find("a-1", 0.0)
    assert late.find("a-1", 0.0) is None
    assert late.withdraw("a-1")
    assert late.opened() is late.opened()
    assert len(tries) == 3
