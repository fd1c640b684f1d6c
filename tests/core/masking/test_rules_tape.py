"""Tapes and sets of rules by example: what is held, what wakes a tape, and the way round a gate that is too large."""

from extproc.core.masking.effort import Effort
from extproc.core.masking.keywords import Keywords
from extproc.core.masking.rule import Rule
from extproc.core.masking.rule_catalogue import CATALOGUES
from extproc.core.masking.rules import RuleSet
from extproc.core.masking.settings import MaskingRule
from extproc.core.masking.walk import Found

STEPS = 10**9


def test_what_is_held_and_what_is_not() -> None:
    rules = RuleSet.of([MaskingRule("t", r"\btok-[a-z]{4,}")])
    tape = rules.tape("", Effort(STEPS))
    found: list[Found] = []
    assert tape.take("a to", found, final=False) == 2
    assert not tape.idle
    assert tape.take("k-abc", found, final=False) == 2
    assert tape.take("d", found, final=False) == 2
    assert found == []
    assert tape.take("e", found, final=False) == 11
    assert found == [Found(2, 11, "t")]
    assert tape.take("fgh", found, final=False) == 14
    assert found[1:] == [Found(11, 14, "t", rest=True)]
    assert not tape.idle
    assert tape.take(" x", found, final=False) == 16
    assert tape.idle
    assert len(found) == 2


def test_a_word_that_is_still_being_written_keeps_a_tape_awake() -> None:
    words = Keywords(["badge"])
    assert words.may_reach(b"a bad")
    assert words.may_reach(b"a badge" + b"-" * 58)
    assert not words.may_reach(b"a badge" + b"-" * 60)
    assert not words.may_reach(b"a ebad")
    tape = RuleSet((Rule(MaskingRule("r", r"\d{4}", keywords=("badge",))),)).tape("my badge ", Effort(STEPS))
    assert not tape.idle
    found: list[Found] = []
    assert tape.take("1234 ", found, final=False) == 5
    assert found == [Found(0, 4, "r")]


def test_no_rules_find_nothing() -> None:
    rules = RuleSet(())
    assert not rules
    assert rules.find("a", Effort(STEPS)) == []
    assert rules.trigger.search("a") is None
    tape = rules.tape("", Effort(STEPS))
    assert tape.take("a", [], final=False) == 1
    assert tape.idle


def test_rules_without_a_common_gate_find_the_same() -> None:
    rules = RuleSet.of(CATALOGUES["secrets"])
    text = "x password='abcdefgh' y"
    expected = rules.find(text, Effort(STEPS))
    assert [one.kind for one in expected] == ["secret"]
    rules._gate = None
    assert rules.find(text, Effort(STEPS)) == expected


def test_rules_that_are_too_large_for_a_common_gate_find_each_for_itself() -> None:
    rules = RuleSet.of([MaskingRule(f"r{index}", f"[a-z]{{1,250}}[0-9]{{1,250}}-{index}x") for index in range(40)])
    assert rules._gate is None
    assert rules.find("the abc12-7x and 4-39x", Effort(STEPS)) == [Found(4, 12, "r7")]
    assert rules.find("the abc12-7 and 4-39x", Effort(STEPS)) == []
