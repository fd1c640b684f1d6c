"""What the checks of a `when` read in its syntax tree: the variables it names, and constants that can never do."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import re2
from google.protobuf import any_pb2

from extproc.core.document import quoted
from extproc.core.policy.cel_errors import ConditionError
from extproc.pb import checked_pb2

_ZONED: Final = frozenset(
    {"getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getHours", "getMilliseconds"}
    | {"getMinutes", "getMonth", "getSeconds"}
)
_JOINS: Final = frozenset({"_&&_", "_||_"})
_NAMES: Final = frozenset({"principal", "request", "response", "approval", "now", "lists"})
_CONVERSIONS: Final = frozenset({"timestamp", "duration"})
_JOININGS: Final = frozenset({"add_string", "add_bytes", "add_list"})
MAX_LOOKED_THROUGH: Final = 128
"""Items of a list that each round of a loop may look through; `in` compares one after the other, 70 ns each."""
_WRITTEN: Final = frozenset({"list_expr", "struct_expr"})
_MAX_CHAIN: Final = 2
_LOOP_PARTS: Final = ("loop_condition", "loop_step", "result")


@dataclass(frozen=True, slots=True)
class Checked:
    """A syntax tree with the places of its nodes."""

    expression: Any
    places: dict[int, int]
    variables: frozenset[str]
    joining: frozenset[int]
    """Nodes that join two texts or lists."""


def parse_checked(serialized: bytes) -> Checked:
    """From what the library serializes."""
    checked = checked_pb2.CheckedExpr.FromString(any_pb2.Any.FromString(serialized).value)
    places = dict(checked.source_info.positions)
    named = (each.name for each in checked.reference_map.values() if not each.overload_id)
    variables = frozenset(name for name in named if name.split(".")[0] in _NAMES)
    joining = frozenset(at for at, each in checked.reference_map.items() if not _JOININGS.isdisjoint(each.overload_id))
    return Checked(checked.expr, places, variables, joining)


def check_syntax(
    checked: Checked, evaluates: Callable[[str], bool], sizes: Mapping[str, int]
) -> tuple[ConditionError, ...]:
    """What would be inert or costly. `evaluates` tells whether an expression without variables has a value, `sizes` how
    many items each variable has that is a list of the document.
    """
    if not checked.variables:
        hint = "name something of the request, or leave `when` out"
        return (ConditionError("is the same for every request", hint),)
    errors = list(_check_constants(checked, evaluates))
    if loop := _loop_in_loop(checked.expression, inside=False):
        at = checked.places.get(loop.id, 0)
        errors.append(ConditionError("is a loop within a loop", "what it costs grows with what is sent: use one", at))
    else:
        errors += _check_looks(checked, sizes)
    if chain := _chain_of_loops(checked.expression, 0):
        hint = "what it costs may double with each: write it as one or two"
        at = checked.places.get(chain.id, 0)
        errors.append(ConditionError(f"is a chain of more than {_MAX_CHAIN} loops", hint, at))
    if grows := next(_joins_in_loops(checked.expression, checked.joining), None):
        hint = "what it costs doubles with each: compare the parts"
        errors.append(ConditionError("joins texts or lists within a loop", hint, checked.places.get(grows.id, 0)))
    return tuple(errors)


def _check_looks(checked: Checked, sizes: Mapping[str, int]) -> list[ConditionError]:
    for looks in _looks_in_loops(checked.expression):
        at, size = checked.places.get(looks.id, 0), sizes.get(looks.ident_expr.name)
        if size is None:
            hint = "`in` goes through all items: look in a list that is written here or under `lists`"
            return [ConditionError("is a loop within a loop", hint, at)]
        if size > MAX_LOOKED_THROUGH:
            hint = f"at most {MAX_LOOKED_THROUGH} keep it cheap: put them into several lists and rules"
            return [ConditionError(f"has {size} items, which a loop goes through each time", hint, at)]
    return []


def _check_constants(checked: Checked, evaluates: Callable[[str], bool]) -> Iterator[ConditionError]:
    for node in _walk(checked.expression):
        if node.WhichOneof("kind") != "call_expr" or not node.call_expr.args:
            continue
        call, last = node.call_expr, node.call_expr.args[-1]
        at, text = checked.places.get(last.id, 0), last.const_expr.string_value
        constant = last.WhichOneof("kind") == "const_expr"
        if constant and call.function == "matches" and (wrong := _wrong_pattern(text)):
            yield ConditionError(f"the pattern {quoted(text)} is not valid: {wrong}", "it is RE2", at)
        elif (
            constant and call.function in _CONVERSIONS and not evaluates(f"{call.function}({json.dumps(text)}) == null")
        ):
            like = "2026-12-31T00:00:00Z" if call.function == "timestamp" else "90s"
            yield ConditionError(f"{quoted(text)} is no {call.function}", f'write it like `"{like}"`', at)
        elif (
            constant
            and call.function in _ZONED
            and not evaluates(f"timestamp(0).{call.function}({json.dumps(text)}) == 0")
        ):
            yield ConditionError(f"{quoted(text)} is no time zone", "write a name such as `Europe/Vienna` or `UTC`", at)
        elif call.function in _JOINS and (same := next((each for each in call.args if _is_word(each)), None)):
            hint = "take it out"
            yield ConditionError("is the same for every request", hint, checked.places.get(same.id, 0))
        elif (
            constant
            and call.function in {"_/_", "_%_"}
            and last.const_expr in (checked_pb2.Constant(int64_value=0), checked_pb2.Constant(uint64_value=0))
        ):
            yield ConditionError("divides by zero", "take the division out", at)


def _is_word(node: Any) -> bool:
    return bool(node.const_expr.WhichOneof("kind") == "bool_value")


def _wrong_pattern(pattern: str) -> str:
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        return quoted(said.decode("utf-8", "replace") if isinstance(said, bytes) else said)[1:-1]
    return ""


def _loop_in_loop(node: Any, *, inside: bool) -> Any | None:
    loop = node.comprehension_expr if node.WhichOneof("kind") == "comprehension_expr" else None
    if loop is None:
        return next((found for child in children(node) if (found := _loop_in_loop(child, inside=inside))), None)
    if inside:
        return node
    if found := _loop_in_loop(loop.iter_range, inside=False):
        return found
    parts = (getattr(loop, part) for part in _LOOP_PARTS)
    return next((found for part in parts if (found := _loop_in_loop(part, inside=True))), None)


def _chain_of_loops(node: Any, before: int) -> Any | None:
    """A loop over the result of a loop, and so on, longer than is taken."""
    if node.WhichOneof("kind") != "comprehension_expr":
        return next((found for child in children(node) if (found := _chain_of_loops(child, before))), None)
    if before == _MAX_CHAIN:
        return node
    loop = node.comprehension_expr
    if found := _chain_of_loops(loop.iter_range, before + 1):
        return found
    return next((found for part in _LOOP_PARTS if (found := _chain_of_loops(getattr(loop, part), 0))), None)


def _joins_in_loops(expression: Any, joining: frozenset[int]) -> Iterator[Any]:
    """But for what a loop itself adds to its result."""
    for loop in _walk(expression):
        if loop.WhichOneof("kind") != "comprehension_expr":
            continue
        for part in _LOOP_PARTS:
            for node in _walk(getattr(loop.comprehension_expr, part)):
                if node.id in joining and not _is_result(node.call_expr.args[0]):
                    yield node


def _looks_in_loops(expression: Any) -> Iterator[Any]:
    """What an `in` within a loop goes through, unless it is written there."""
    for loop in _walk(expression):
        if loop.WhichOneof("kind") != "comprehension_expr":
            continue
        for part in _LOOP_PARTS:
            for node in _walk(getattr(loop.comprehension_expr, part)):
                if node.WhichOneof("kind") == "call_expr" and node.call_expr.function == "@in":
                    within = node.call_expr.args[-1]
                    if within.WhichOneof("kind") not in _WRITTEN:
                        yield within


def _is_result(node: Any) -> bool:
    """No name that is written begins like that of a loop's own result."""
    return bool(node.ident_expr.name.startswith("@"))


def _walk(node: Any) -> Iterator[Any]:
    yield node
    for child in children(node):
        yield from _walk(child)


def children(node: Any) -> Iterator[Any]:
    """The nodes right under one."""
    match node.WhichOneof("kind"):
        case "select_expr":
            yield node.select_expr.operand
        case "call_expr":
            if node.call_expr.HasField("target"):
                yield node.call_expr.target
            yield from node.call_expr.args
        case "list_expr":
            yield from node.list_expr.elements
        case "struct_expr":
            for entry in node.struct_expr.entries:
                yield from (entry.map_key, entry.value)
        case "comprehension_expr":
            loop = node.comprehension_expr
            yield from (loop.iter_range, loop.accu_init, loop.loop_condition, loop.loop_step, loop.result)
