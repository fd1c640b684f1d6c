"""One parsed document, with what is made of it once so that each decision is cheap."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from extproc.core.masking.settings import MaskingSettings
from extproc.core.policy.compiler import ConditionCompiler
from extproc.core.policy.index import MatchIndex
from extproc.core.policy.terms import Budget, Effect, Known, RawCase, ResponseRule, Rule


@dataclass(frozen=True, slots=True)
class Indexes:
    """Positions in the policy's rules, budgets and response rules as sets of bits."""

    rules: MatchIndex
    enforced: Mapping[Effect, int]
    shadow: int
    budgets: MatchIndex
    response_rules: MatchIndex


@dataclass(frozen=True, slots=True)
class Policy:
    """`digest` is `sha256:<hex>` of the document's bytes. `tests` are its cases, unparsed.

    `masking_profiles` stand in the order of the document, the strictest first. The compilers are those that its
    conditions were compiled with; without conditions there need be none.
    """

    digest: str
    name: str
    rules: tuple[Rule, ...]
    masking: MaskingSettings
    known: Known = field(default_factory=Known)
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    response_rules: tuple[ResponseRule, ...] = ()
    budgets: tuple[Budget, ...] = ()
    masking_profiles: Mapping[str, MaskingSettings] = field(default_factory=dict)
    tests: tuple[RawCase, ...] = ()
    compiler: ConditionCompiler | None = field(default=None, repr=False, compare=False)
    response_compiler: ConditionCompiler | None = field(default=None, repr=False, compare=False)
    indexes: Indexes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "indexes", self._make_indexes())

    def _make_indexes(self) -> Indexes:
        return Indexes(
            rules=MatchIndex([rule.match for rule in self.rules]),
            enforced={effect: self._where(partial(_enforces, effect)) for effect in Effect},
            shadow=self._where(lambda rule: rule.shadow_until is not None),
            budgets=MatchIndex([budget.match for budget in self.budgets]),
            response_rules=MatchIndex([rule.match for rule in self.response_rules]),
        )

    def _where(self, is_in: Callable[[Rule], bool]) -> int:
        return sum(1 << at for at, rule in enumerate(self.rules) if is_in(rule))


def _enforces(effect: Effect, rule: Rule) -> bool:
    return rule.effect is effect and rule.shadow_until is None
