"""The shape of an exchange: what it has in common with many others, so that a filter is looked up among few. Pure."""

import json
from dataclasses import dataclass

from extproc.approvals.index.facts import Facts, number_of


@dataclass(frozen=True, slots=True)
class Shape:
    """What many exchanges have in common: all that the pages filter by but the person and the time."""

    tenant: str
    connection: str
    operation: str
    model: str
    effect: str
    verdict: str
    rule: str
    held: bool
    kinds: tuple[str, ...]

    @property
    def number(self) -> int:
        """The same for the same shape, everywhere."""
        said = (self.tenant, self.connection, self.operation, self.model, self.effect, self.verdict, self.rule)
        return number_of(json.dumps([*said, self.held, *self.kinds]))


def shape_of(facts: Facts) -> Shape:
    told = facts.told
    return Shape(
        told.tenant,
        told.connection,
        told.operation,
        facts.model.text,
        facts.effect.text,
        facts.verdict.value,
        facts.rule.text,
        facts.held,
        facts.kinds,
    )
