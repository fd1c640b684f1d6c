"""How `extproc policy replay` shows what changes. What comes from records steers no terminal."""

import json
from collections.abc import Iterator
from typing import Any

from extproc.cli.columns import align
from extproc.cli.output import say
from extproc.core.policy_replay import EFFECTS, Change, Replay
from extproc.core.printable import printable_line

_HEADINGS = ("THEN", "RULE", "NOW", "RULE", "EXCHANGES", "FOR EXAMPLE")
UNSEEN = (
    "not seen: what this policy masks differently; findings are those of the masking of then, and no record has text",
    "not seen: requests that were refused before the policy was asked, for their token, address or body",
    "not seen: whether what a rule obliges can be done for a request (obligation_unmet)",
    "an answer is judged by the counts at its end; one that was cut, by those at the cut",
)
"""What no replay of records can tell."""


def print_table(replay: Replay) -> None:
    """The changed decisions, most frequent first, and what the numbers leave out."""
    changes = _sorted(replay)
    if changes:
        for line in align([_HEADINGS, *(_row(replay, change) for change in changes)]):
            say(line)
        say()
    say(f"{replay.decided} decided again, {sum(replay.changes.values())} changed")
    for line in align([("", *EFFECTS), _totals("then", replay.then), _totals("now", replay.now)]):
        say(line)
    for line in _remarks(replay):
        say(line)


def print_json(replay: Replay) -> None:
    """One object."""
    document: dict[str, Any] = {
        "policy": replay.policy.digest,
        "decided": replay.decided,
        "changed": [
            {
                "kind": change.kind,
                "then": {"effect": change.then.effect, "rule": change.then.rule},
                "now": {"effect": change.now.effect, "rule": change.now.rule},
                "count": replay.changes[change],
                "examples": replay.examples[change],
            }
            for change in _sorted(replay)
        ],
        "totals": {
            "then": {effect: replay.then[effect] for effect in EFFECTS},
            "now": {effect: replay.now[effect] for effect in EFFECTS},
        },
        "shadow": [
            {"rule": rule, "effect": effect, "would_change": count}
            for (rule, effect), count in sorted(replay.shadow.items())
        ],
        "errors": dict(sorted(replay.errors.items())),
        "budgets_without_counts": dict(sorted(replay.uncounted.items())),
        "answers_not_recorded": replay.unanswered,
        "not_rebuilt": replay.not_rebuilt,
        "refused_before_the_decision": replay.undecided,
        "not_seen": list(UNSEEN),
    }
    say(json.dumps(document))


def _sorted(replay: Replay) -> list[Change]:
    return sorted(replay.changes, key=lambda change: (-replay.changes[change], change))


def _row(replay: Replay, change: Change) -> tuple[str, ...]:
    words = (change.then.effect, change.then.rule, change.now.effect, change.now.rule)
    count, examples = str(replay.changes[change]), " ".join(replay.examples[change])
    return (*(printable_line(word) or "-" for word in words), count, printable_line(examples))


def _totals(when: str, counts: Any) -> tuple[str, ...]:
    return (when, *(str(counts[effect]) for effect in EFFECTS))


def _remarks(replay: Replay) -> Iterator[str]:
    for (rule, effect), count in sorted(replay.shadow.items()):
        yield f"in shadow: {rule} ({effect}) would change {count}"
    for rule, count in sorted(replay.errors.items()):
        yield f"rule {rule}: its condition could not be evaluated for {count}"
    for budget, count in sorted(replay.uncounted.items()):
        yield f"budget {budget}: {count} have no count of it in their record; decided as if nothing had been counted"
    if replay.unanswered:
        yield f"{replay.unanswered} had no answer, or are held now that were not; response rules are not judged"
    if replay.not_rebuilt:
        yield (
            f"{replay.not_rebuilt} could not be decided again: their records do not say all that the decision looked "
            "at (they were written by an earlier version, or the request had more tools than are kept)"
        )
    if replay.undecided:
        yield f"{replay.undecided} were refused before the policy was asked"
    yield from UNSEEN
