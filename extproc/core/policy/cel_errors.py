"""What the CEL library says of an expression, in our words, with a place in it and the nearest name."""

import re
from dataclasses import dataclass
from typing import Final

from extproc.core.document import quoted
from extproc.core.policy.input_types import PACKAGE, InputTypes
from extproc.core.schema import nearest

_ERROR = re.compile(r"^(?:[A-Z_]+: )?ERROR: <input>:(-?[0-9]+):(-?[0-9]+): (.*)$", re.MULTILINE)
_NO_FIELD = re.compile(r"undefined field '([^']*)' not found in struct '([^']*)'")
_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")
_OVERLOAD = re.compile(r"found no matching overload for '([^']*)' applied to '(.*)'")
_OPERATOR = re.compile(r"[^A-Za-z_@]+")
_MAX_ERRORS: Final = 5
_FUNCTIONS: Final = frozenset(
    {"all", "bool", "bytes", "contains", "double", "duration", "dyn", "endsWith", "exists", "exists_one", "filter"}
    | {"getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getHours", "getMilliseconds"}
    | {"getMinutes", "getMonth", "getSeconds", "has", "int", "map", "matches", "size", "startsWith", "string"}
    | {"timestamp", "type", "uint"}
)


@dataclass(frozen=True, slots=True)
class ConditionError:
    """`at` counts code points of the expression from 0."""

    message: str
    hint: str = ""
    at: int = 0


def explain_errors(said: str, source: str, variables: tuple[str, ...], types: InputTypes) -> tuple[ConditionError, ...]:
    """Each error once, in the order of the text; at least one."""
    found: dict[ConditionError, None] = {}
    for line, column, message in _ERROR.findall(said):
        if "*error*" not in message:
            found.setdefault(_explain(message, _offset(source, int(line), int(column)), source, variables, types))
    errors = sorted(found, key=lambda error: error.at)[:_MAX_ERRORS]
    return tuple(errors) or (ConditionError("is nested too deeply, or is no CEL", "write it as several rules"),)


def _explain(message: str, at: int, source: str, variables: tuple[str, ...], types: InputTypes) -> ConditionError:
    if match := _NO_FIELD.match(message):
        name, struct = match[1], match[2].removeprefix(f"{PACKAGE}.")
        hint = nearest(name, types.fields(struct))
        return ConditionError(f"{quoted(name)} is no field of {_of(struct)}", hint, max(at, source.find(name, at)))
    if match := _UNDECLARED.match(message):
        return _undeclared(match[1], at, source, variables)
    if match := _OVERLOAD.match(message):
        operator = " ".join(_OPERATOR.findall(match[1])).strip() or match[1]
        hint = "both sides must be of one type" if "," in match[2] else ""
        return ConditionError(f"`{operator}` does not take ({_types(match[2])})", hint, at)
    if "recursion" in message:
        return ConditionError("is nested too deeply", "write it as several rules")
    if message.startswith("Syntax error"):
        what = message.removeprefix("Syntax error: ").partition(" expecting ")[0]
        return ConditionError(
            f"is no CEL: {_plain(what)}", "compare with `==`, join with `&&` and `||`, negate with `!`", at
        )
    return ConditionError(_plain(message), "", at)


def _undeclared(name: str, at: int, source: str, variables: tuple[str, ...]) -> ConditionError:
    head = name.partition(".")[0]
    if head == "lists":
        lists = [each.removeprefix("lists.") for each in variables if each.startswith("lists.")]
        item = name.removeprefix("lists.")
        hint = nearest(item, lists) if lists else "write it under `lists`"
        return ConditionError(f"there is no list {quoted(item)}", hint, _at(source, name, at))
    if head in {"response", "approval"} and head not in variables:
        return ConditionError(
            f"{quoted(head)} is not known before the request goes on",
            "write it in `response_rules`",
            _at(source, head, at),
        )
    if source[_at(source, head, at) - 1 : _at(source, head, at)] == "." or source[at : at + 1] == "(":
        return ConditionError(f"there is no function {quoted(head)}", nearest(head, _FUNCTIONS), _at(source, head, at))
    plain = [each for each in variables if "." not in each]
    return ConditionError(
        f"there is no variable {quoted(head)}", nearest(head, [*plain, "lists"]), _at(source, head, at)
    )


def _at(source: str, name: str, at: int) -> int:
    """Where `name` stands: the library points at the dot or the bracket beside it."""
    after = source.find(name, at, at + len(name) + 2)
    if after >= 0:
        return after
    before = source.rfind(name, 0, at + len(name) + 1)
    return max(0, before if before >= 0 else at)


def _offset(source: str, line: int, column: int) -> int:
    lines = source.split("\n")
    if not 1 <= line <= len(lines):
        return 0
    return sum(len(each) + 1 for each in lines[: line - 1]) + max(0, column - 1)


def _of(struct: str) -> str:
    return "`findings`" if struct == "Findings" else quoted(struct.lower())


def _types(said: str) -> str:
    return _plain(said.strip("()").replace(f"{PACKAGE}.", "").lower())


def _plain(text: str) -> str:
    shown = quoted(text.replace("`", "'").replace(" (in container '')", ""))
    return shown[1:-1]
