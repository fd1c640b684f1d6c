"""How `extproc policy explain` shows an explanation. What comes from records and documents steers no terminal."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import click

from extproc.cli.columns import align
from extproc.cli.output import say
from extproc.core.held_terms import shown_terms, written_terms
from extproc.core.policy import Decision, DecisionInput, Obligations, Policy
from extproc.core.policy_explain import Explanation, RuleAccount
from extproc.core.policy_replay import recorded_verdict
from extproc.core.printable import printable_line
from extproc.core.record import Record

_IN_DOUBT = "its condition cannot be evaluated"


def print_explanation(
    policy: Policy, given: DecisionInput, explained: Explanation, record: Record | None, *, as_json: bool
) -> None:
    """The verdict, every rule with what of it does not hold, and what else comes of it."""
    if as_json:
        say(json.dumps(_document(policy, explained, record)))
        return
    if record is not None:
        for line in _then(policy, record):
            say(printable_line(line))
    decision = explained.decision
    text = f": {decision.text}" if decision.text else ""
    say(printable_line(f"{decision.effect} by {decision.rule}{text}"))
    accounts = (*explained.rules, *explained.budgets, *explained.response_rules)
    for line in align([("", "RULE", "EFFECT", "")] + [row for each in accounts for row in _rows(each)]):
        say(line)
    for line in _held(decision):
        say(line)
    for line in _further(given, explained):
        say(printable_line(line))


def _then(policy: Policy, record: Record) -> Iterator[str]:
    then = recorded_verdict(record)
    digest = record.policy.digest if record.policy else ""
    yield f"recorded: {then.effect} by {then.rule}, policy {digest}"
    if digest != policy.digest:
        click.echo(f"it was decided by another policy than this one, which is {policy.digest}", err=True)


def _rows(account: RuleAccount) -> Iterator[tuple[str, str, str, str]]:
    mark = "=" if account.determining else ""
    effect = account.effect + (" (shadow)" if account.shadow else "")
    first, *rest = [*_words(account)]
    yield (mark, printable_line(account.name), effect, first)
    for words in rest:
        yield ("", "", "", words)


def _words(account: RuleAccount) -> Iterator[str]:
    if account.in_doubt:
        yield _IN_DOUBT
    elif account.holds:
        yield "holds"
    for unmet in account.unmet:
        if unmet.where == "when":
            yield printable_line(f"when: {unmet.wants}: {unmet.given}")
        else:
            yield printable_line(f"{unmet.where}: wants {unmet.wants}; is {unmet.given or '(none)'}")


def _held(decision: Decision) -> Iterator[str]:
    """The terms by all rules together: they need not be those of any one of them."""
    if decision.hold is None:
        return
    yield "held on these terms" + (", of all these rules together:" if len(decision.determining) > 1 else ":")
    terms = [("", key, printable_line(text)) for key, text in shown_terms(written_terms(decision.hold))]
    yield from align(terms)


def _further(given: DecisionInput, explained: Explanation) -> Iterator[str]:
    decision, verdict = explained.decision, explained.verdict
    for each in decision.shadow:
        yield f"in shadow: {each.rule} ({each.effect}) {'would change this' if each.would_change else 'agrees'}"
    if decision.obligations != Obligations():
        yield "obliged: " + ", ".join(f"{name} {value}" for name, value in _obliged(decision.obligations))
    if decision.step_up is not None:
        yield f"the client is told to sign in better: {decision.step_up.rule} would allow it then"
    yield from (f"{budget}: has reached a step that is only logged" for budget in decision.logging)
    if given.budgets:
        yield "counted so far: " + ", ".join(f"{name} {count}" for name, count in sorted(given.budgets.items()))
    if verdict is not None:
        yield f"the answer is cut by {verdict.rule}" if verdict.cut else "the answer goes on"


def _obliged(obligations: Obligations) -> Iterable[tuple[str, object]]:
    names = ("masking", "max_tokens", "retention_days", "durability")
    return ((name, value) for name in names if (value := getattr(obligations, name)))


def _document(policy: Policy, explained: Explanation, record: Record | None) -> dict[str, Any]:
    decision, verdict = explained.decision, explained.verdict
    document: dict[str, Any] = {
        "policy": policy.digest,
        "effect": str(decision.effect),
        "rule": decision.rule,
        "text": decision.text,
        "determining": list(decision.determining),
        "hold": written_terms(decision.hold) if decision.hold else None,
        "rules": [_account(each) for each in explained.rules],
        "budgets": [_account(each) for each in explained.budgets],
        "response_rules": [_account(each) for each in explained.response_rules],
        "shadow": [
            {"rule": each.rule, "effect": str(each.effect), "would_change": each.would_change}
            for each in decision.shadow
        ],
        "obligations": dict(_obliged(decision.obligations)),
        "step_up": decision.step_up.rule if decision.step_up else None,
        "cut_by": verdict.rule if verdict else None,
    }
    if record is not None:
        then = recorded_verdict(record)
        digest = record.policy.digest if record.policy else ""
        document["recorded"] = {"effect": then.effect, "rule": then.rule, "policy": digest}
    return document


def _account(account: RuleAccount) -> dict[str, Any]:
    return {
        "name": account.name,
        "effect": account.effect,
        "shadow": account.shadow,
        "holds": account.holds,
        "in_doubt": account.in_doubt,
        "determining": account.determining,
        "unmet": [{"where": each.where, "wants": each.wants, "given": each.given} for each in account.unmet],
    }
