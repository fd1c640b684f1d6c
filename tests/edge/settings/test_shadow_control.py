"""A rule whose shadow is over is a failing control until the policy is changed."""

from datetime import date
from typing import Any

from extproc.core.policy import Policy
from extproc.core.policy_document import parse_policy
from extproc.core.reasons import Reason, Unavailable
from extproc.edge.shadow_control import ShadowControl

RULE = "  - {{name: {}, effect: deny, match: {{operations: [chat]}}, mode: shadow, shadow_until: {}}}\n"
BASE = "apiVersion: extproc/v1\nkind: Policy\nname: p\nrules:\n  - {name: a, effect: allow, match: {}}\n"


class World:
    def __init__(self, *rules: tuple[str, str]) -> None:
        self.policy = self.made(*rules)
        self.told: list[tuple[str, str]] = []
        self.failing: list[bool] = []
        self.full = False
        self.control = ShadowControl(lambda: self.policy, self.note, self)

    @staticmethod
    def made(*rules: tuple[str, str]) -> Policy:
        return parse_policy((BASE + "".join(RULE.format(*rule) for rule in rules)).encode())

    def note(self, code: Any, _: Any, **detail: Any) -> None:
        if self.full:
            raise Unavailable(Reason.AUDIT_UNAVAILABLE)
        assert detail["control"] == "policy-shadow"
        self.told.append((code.value, detail["rule"]))

    def control_failure(self, control: str, failing: bool) -> None:
        assert control == "policy-shadow"
        self.failing.append(failing)


def test_a_shadow_that_is_over_is_told_once_until_the_policy_changes() -> None:
    world = World(("one", "2026-03-01"), ("two", "2026-05-01"))
    for day in (date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3), date(2026, 5, 2)):
        world.control.look(day)
    assert world.told == [("control.failure", "one"), ("control.failure", "two")]
    assert world.failing == [True]
    world.policy = world.made(("two", "2026-05-01"))
    world.control.look(date(2026, 5, 2))
    assert world.told[2:] == [("control.restored", "one")]
    world.policy = world.made()
    world.control.look(date(2026, 5, 2))
    assert world.told[3:] == [("control.restored", "two")]
    assert world.failing == [True, False]


def test_what_cannot_be_recorded_is_tried_again() -> None:
    world = World(("one", "2026-03-01"))
    world.full = True
    world.control.look(date(2026, 4, 1))
    assert world.failing == []
    world.full = False
    world.control.look(date(2026, 4, 1))
    assert world.told == [("control.failure", "one")]
