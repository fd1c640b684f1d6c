"""The text of a `when` to a `Condition`, checked against `proto/extproc/policy/v1/input.proto`."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from cel_expr_python import cel

from extproc.core.masking.rule_catalogue import rules_of
from extproc.core.masking.settings import Kind, MaskingSettings
from extproc.core.policy.cel_comparisons import find_comparisons
from extproc.core.policy.cel_errors import ConditionError, explain_errors
from extproc.core.policy.cel_syntax import check_syntax, parse_checked
from extproc.core.policy.condition import Condition
from extproc.core.policy.input_types import PACKAGE, InputTypes

REQUEST_VARIABLES: Final = ("principal", "request", "now")
RESPONSE_VARIABLES: Final = (*REQUEST_VARIABLES, "response", "approval")
"""Only when an answer comes is anything known of it, and of the approval under which the request went on."""
_MESSAGES: Final = {name: cel.Type(f"{PACKAGE}.{name.title()}") for name in RESPONSE_VARIABLES if name != "now"}


class ConditionInvalid(Exception):
    """A `when` that cannot be compiled, or that would be inert; `errors` say where."""

    def __init__(self, errors: tuple[ConditionError, ...]) -> None:
        super().__init__("\n".join(error.message for error in errors))
        self.errors = errors


class ConditionCompiler:
    """Compiles the conditions of one policy. `kinds` are the findings that its masking can have."""

    def __init__(
        self, kinds: Collection[str], lists: Mapping[str, tuple[str, ...]], variables: tuple[str, ...]
    ) -> None:
        self.types = InputTypes(frozenset(kinds))
        self._lists = {f"lists.{name}": list(items) for name, items in lists.items()}
        types = {name: _MESSAGES.get(name, cel.Type.TIMESTAMP) for name in variables}
        types |= dict.fromkeys(self._lists, cel.Type.List(cel.Type.STRING))
        self._variables = tuple(types)
        self._environment = cel.NewEnv(self.types.pool, variables=types)

    def compile(self, source: str) -> Condition:
        """The condition. Raises `ConditionInvalid` with every error found."""
        try:
            program = self._environment.compile(source)
        except Exception as error:  # noqa: BLE001 - the library raises RuntimeError and ValueError alike
            raise ConditionInvalid(explain_errors(str(error), source, self._variables, self.types)) from None
        kind = program.return_type().name()
        if kind != "BOOL":
            message = f"is {_described(kind)}, not a condition"
            raise ConditionInvalid(
                (ConditionError(message, "compare it with something, as in `request.max_tokens > 4096`"),)
            )
        checked = parse_checked(program.serialize())
        errors = check_syntax(checked, self._evaluates, {name: len(items) for name, items in self._lists.items()})
        if errors:
            raise ConditionInvalid(errors)
        return Condition(source, program, checked.variables, find_comparisons(checked))

    def activation(self, values: Mapping[str, object]) -> Any:
        """What conditions are evaluated on; `values` are messages of `types`, and `now` a datetime."""
        return self._environment.Activation({**values, **self._lists})

    def _evaluates(self, source: str) -> bool:
        """Whether an expression without variables has a value."""
        try:
            return bool(self._environment.compile(source).eval(data={}).type().name() != "ERROR")
        except Exception:  # noqa: BLE001 - as above
            return False


def finding_kinds(settings: Collection[MaskingSettings]) -> frozenset[str]:
    """Every kind that the detectors of any of `settings` can find."""
    own = (rule.kind or rule.name for each in settings for rule in rules_of(each))
    return frozenset((*map(str, Kind), *own))


def _described(kind: str) -> str:
    words = {"INT": "a number", "DOUBLE": "a number", "STRING": "text", "LIST": "a list", "TIMESTAMP": "a time"}
    return words.get(kind, "a message" if "." in kind else "something else")
