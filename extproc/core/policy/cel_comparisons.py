"""What a `when` compares with what a request can be: operation, connection and model, kind and groups of the caller."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from extproc.core.policy.cel_syntax import Checked, children
from extproc.core.policy.condition import Comparison

_COMPARED: Final = frozenset(
    {"request.operation", "request.connection", "request.model", "principal.kind", "principal.groups"}
)
_GROUPS: Final = "principal.groups"
_LISTS: Final = "lists."


def find_comparisons(checked: Checked) -> tuple[Comparison, ...]:
    """Those with `==`, `!=` and `in`, also within a loop over groups."""
    return tuple(_Finder(checked.places).find(checked.expression, {}))


class _Finder:
    def __init__(self, places: Mapping[int, int]) -> None:
        self._places = places

    def find(self, node: Any, scope: Mapping[str, str]) -> Iterator[Comparison]:
        """Of `node` and all within; `scope` has the field of each name that a loop gives to an item."""
        if node.WhichOneof("kind") == "call_expr":
            yield from self._of_call(node.call_expr, scope)
        if node.WhichOneof("kind") != "comprehension_expr":
            for child in children(node):
                yield from self.find(child, scope)
            return
        loop = node.comprehension_expr
        yield from self.find(loop.iter_range, scope)
        # A name of the loop hides one of a loop around it.
        inner = {**scope, loop.iter_var: _GROUPS if _field(loop.iter_range) == _GROUPS else ""}
        for part in (loop.loop_condition, loop.loop_step, loop.result):
            yield from self.find(part, inner)

    def _of_call(self, call: Any, scope: Mapping[str, str]) -> Iterator[Comparison]:
        if len(call.args) != 2:
            return
        one, other = call.args
        if call.function == "@in":
            if field := _single(one, scope):
                yield from self._of_list(field, other)
            elif _field(other) == _GROUPS:
                yield from self._of_text(_GROUPS, one)
        elif call.function in {"_==_", "_!=_"}:
            for left, right in ((one, other), (other, one)):
                if field := _single(left, scope):
                    yield from self._of_text(field, right)

    def _of_list(self, field: str, node: Any) -> Iterator[Comparison]:
        name = node.ident_expr.name
        if name.startswith(_LISTS):
            yield Comparison(field, self._at(node), listed=name.removeprefix(_LISTS))
        for item in node.list_expr.elements:
            yield from self._of_text(field, item)

    def _of_text(self, field: str, node: Any) -> Iterator[Comparison]:
        if node.const_expr.WhichOneof("kind") == "string_value":
            yield Comparison(field, self._at(node), text=node.const_expr.string_value)

    def _at(self, node: Any) -> int:
        return self._places.get(node.id, 0)


def _single(node: Any, scope: Mapping[str, str]) -> str:
    """The field that is one text; an item of the groups counts as that."""
    if name := node.ident_expr.name:
        return scope.get(name, "")
    field = _field(node)
    return "" if field == _GROUPS else field


def _field(node: Any) -> str:
    select = node.select_expr
    name = f"{select.operand.ident_expr.name}.{select.field}"
    return name if name in _COMPARED else ""
