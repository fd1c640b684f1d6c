"""A request that several rules hold: whoever grants it by the joined terms would have granted it by those of each."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from extproc.core.policy.terms import HoldTerms


def joined_terms(terms: Sequence[HoldTerms]) -> HoldTerms:
    """The terms of the first, as strict as those of each other (`HoldTerms`, at least one).

    The people must be as many, and of the groups, that each asks for (`_deciders`), and all that makes a hold easier is
    left to what every rule has of it: no window, for a grant by one rule says nothing of the other; as an emergency, or
    once escalated, only who may by each; the shortest time to expire; no client that may leave, and no reason left out,
    unless every rule lets it.
    """
    first, *others = terms
    if not others:
        return first
    return replace(
        _deciders(terms),
        expire_seconds=min(one.expire_seconds for one in terms),
        wait_seconds=min(one.wait_seconds for one in terms),
        detach=all(one.detach for one in terms),
        window_seconds=0.0,
        window_uses=0,
        emergency_groups=_common([one.emergency_groups for one in terms]),
        reason_required=any(one.reason_required for one in terms),
    )


def joined_text(texts: Iterable[str]) -> str:
    """What the rules say that hold it, each sentence once: whoever decides must know what all of them ask about."""
    return " ".join(dict.fromkeys(text for text in texts if text))


def _deciders(terms: Sequence[HoldTerms]) -> HoldTerms:
    """Who decides, and how many, so that each rule has what it asks for.

    Where the rules have groups in common, among them those of every `each_of`, only these decide: whoever is in one
    counts under every rule. Otherwise so many people of each group as the rule that asks for most of it; where a rule
    takes anybody of several groups, of the one that is wanted anyway, or else that it names first. One person stands
    for one group.
    """
    common = _common([one.approver_groups for one in terms])
    people: Counter[str] = Counter()
    for one in terms:
        people |= Counter(one.each_of)  # what was joined already may want two people of one group
    wanted = tuple(people.elements())
    if common and set(wanted) <= set(common):
        escalation = _common([one.escalation_groups for one in terms])
        return replace(
            terms[0],
            approver_groups=common,
            each_of=wanted,
            quorum=max(len(wanted), *(one.quorum for one in terms)),
            escalation_groups=escalation,
            escalate_after_seconds=max(one.escalate_after_seconds for one in terms) if escalation else 0.0,
        )
    for one in sorted(terms, key=lambda one: len(one.approver_groups)):
        any_of = [group for group in one.approver_groups if group not in one.each_of] or one.approver_groups
        group = next((group for group in any_of if group in people), any_of[0])
        asked = Counter(one.each_of)
        asked[group] += max(0, one.quorum - len(one.each_of))
        people |= asked
    each = tuple(people.elements())
    return replace(
        terms[0],
        approver_groups=tuple(people),
        each_of=each,
        quorum=len(each),
        escalation_groups=(),
        escalate_after_seconds=0.0,
    )


def _common(groups: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    first, *others = groups
    return tuple(group for group in first if all(group in each for each in others))
