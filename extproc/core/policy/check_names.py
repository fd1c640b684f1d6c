"""Names that a document uses and names that it has: lists, groups, models, connections, masking profiles, time zones.

What is named and not there would match nothing; what is there and never named is a control that somebody forgot.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args
from zoneinfo import available_timezones

from extproc.core.document import Path, Report, quoted
from extproc.core.policy.build import Builder
from extproc.core.policy.condition import Condition
from extproc.core.policy.terms import Operation
from extproc.core.principal import Kind
from extproc.core.reach import globs_meet
from extproc.core.schema import nearest

_MATCHED: Final = ("rules", "response_rules", "budgets")
_NOT_CONFIGURED: Final = "is no connection of the configuration"
_DECIDING: Final = (("approvers",), ("each_of",), ("escalate", "to"), ("emergency", "groups"))
"""Where the terms of a hold name groups."""
_LISTABLE: Final = ("groups", "subjects", "models", "connections")


class NameCheck:
    """`builder` has the document's lists and known names; `conditions` are those that compiled, by their path.

    `deployed` names the connections that the configuration has; empty where none is at hand.
    """

    def __init__(
        self, report: Report, builder: Builder, conditions: Mapping[Path, Condition], deployed: tuple[str, ...] = ()
    ) -> None:
        self._deployed = deployed
        self._report = report
        self._builder = builder
        self._conditions = conditions
        self._used_lists: set[str] = set()
        self._used_aliases: set[str] = set()

    def check(self) -> None:
        for path in (path for section in _MATCHED for path in self._report.items((section,))):
            self._check_match((*path, "match"))
            for holder in (path, *self._report.items((*path, "steps"))):
                for group in _DECIDING:
                    self._check_names((*holder, "hold", *group), "groups")
        for path, condition in self._conditions.items():
            self._check_condition(path, condition)
        self._check_profiles()
        # A rule with a problem may be the one that uses them.
        if all(self._report.clean((section,)) for section in _MATCHED):
            self._check_unused()

    def _check_match(self, path: Path) -> None:
        for key in _LISTABLE:
            self._check_names((*path, key), key)
        for span in self._report.items((*path, "times")):
            self._check_span(span)

    def _check_names(self, path: Path, key: str) -> None:
        for item in self._report.items(path):
            name = self._report.sound(item)
            if not isinstance(name, str):
                continue
            if not name.startswith("@"):
                self._check_known(item, name, key, "")
            elif name[1:] in self._builder.lists:
                self._used_lists.add(name[1:])
                for each in self._builder.lists[name[1:]]:
                    self._check_known(item, each, key, f" of the list {quoted(name[1:])}")
            else:
                hint = nearest(name[1:], self._builder.lists) if self._builder.lists else "write it under `lists`"
                self._report.add(item, f"there is no list {quoted(name[1:])}", hint)

    def _check_known(self, path: Path, name: str, key: str, of: str) -> None:
        known = self._builder.known
        if key == "groups" and known.groups:
            if name in known.groups:
                self._used_aliases.add(name)
            else:
                self._report.add(path, f"{quoted(name)}{of} is not one of `known.groups`", nearest(name, known.groups))
        there: tuple[str, ...] = {"models": known.models, "connections": known.connections}.get(key, ())
        if name and there and not globs_meet((name,), there):
            self._report.add(path, f"{quoted(name)}{of} is not one of `known.{key}`", nearest(name, there))
        elif key == "connections" and self._deployed and not globs_meet((name,), self._deployed):
            hint = nearest(name, self._deployed)
            self._report.add(path, f"{quoted(name)}{of} {_NOT_CONFIGURED}", hint)

    def _check_span(self, path: Path) -> None:
        span = self._report.sound(path)
        if not isinstance(span, dict):
            return
        if span["zone"] not in available_timezones():
            self._report.add((*path, "zone"), f"{quoted(span['zone'])} is no time zone", _nearest_zone(span["zone"]))
        if "days" not in span and "from" not in span and "to" not in span:
            self._report.add(path, "is all the time", "say `days`, or `from` and `to`")
        if ("from" in span) != ("to" in span):
            missing = "to" if "from" in span else "from"
            self._report.add((*path, missing), "is missing: a span has two ends", f'write `{missing}: "HH:MM"`')
        elif "from" in span and (span["from"] == span["to"] or span["from"] == "24:00"):
            self._report.add((*path, "from"), "is where the span ends", "leave both out for whole days")

    def _check_condition(self, path: Path, condition: Condition) -> None:
        self._used_lists |= {name.removeprefix("lists.") for name in condition.names if name.startswith("lists.")}
        groups = self._builder.known.groups
        for alias in groups:
            if f'"{alias}"' in condition.source or f"'{alias}'" in condition.source:
                self._used_aliases.add(alias)
        for comparison in condition.comparisons:
            of = f" of the list {quoted(comparison.listed)}" if comparison.listed else ""
            texts = self._builder.lists.get(comparison.listed, ()) if comparison.listed else (comparison.text,)
            for text in texts:
                if wrong := self._unknown(comparison.field, text, of):
                    self._report.add_within(path, comparison.at, *wrong)

    def _unknown(self, field: str, text: str, of: str) -> tuple[str, str] | None:
        """Message and hint where a request can never have `text` as its `field`."""
        known = self._builder.known
        there: tuple[str, ...]
        match field:
            case "principal.groups":
                is_not, there = "is not one of `known.groups`", tuple(known.groups)
            case "request.connection":
                is_not = "is not one of `known.connections`" if known.connections else _NOT_CONFIGURED
                there = known.connections or self._deployed
            case "request.model":
                # A request that names no model has the empty text.
                is_not, there = "is not one of `known.models`", known.models if text else ()
            case "request.operation":
                is_not, there = "is not an operation", tuple(map(str, Operation))
            case _:
                is_not, there = "is not a kind of principal", get_args(Kind)
        if not there or globs_meet((text,), there):
            return None
        return f"{quoted(text)}{of} {is_not}", nearest(text, there)

    def _check_profiles(self) -> None:
        profiles = self._report.sound(("masking", "profiles"))
        named = dict(self._named_profiles())
        there = self._raw_profiles()
        for path, name in named.items():
            if name not in there:
                hint = nearest(name, there) if there else "write it under `masking.profiles`"
                self._report.add(path, f"there is no masking profile {quoted(name)}", hint)
        if profiles and self._report.clean(("rules",)):
            for name in profiles.keys() - set(named.values()):
                hint = "name it in a rule's `obligations.masking`, or take it out"
                self._report.add_key(("masking", "profiles", name), "is never used", hint)

    def _raw_profiles(self) -> tuple[str, ...]:
        masking = self._report.value.get("masking")
        profiles = masking.get("profiles") if isinstance(masking, dict) else None
        return tuple(profiles) if isinstance(profiles, dict) else ()

    def _named_profiles(self) -> Iterator[tuple[Path, str]]:
        for rule in self._report.items(("rules",)):
            path = (*rule, "obligations", "masking")
            if isinstance(name := self._report.sound(path), str):
                yield path, name

    def _check_unused(self) -> None:
        lists = self._builder.lists
        listed = {each for name in self._used_lists for each in lists.get(name, ())}
        for name in lists.keys() - self._used_lists:
            hint = f"write `@{name}` in a match or `lists.{name}` in a `when`, or take it out"
            self._report.add_key(("lists", name), "is never used", hint)
        for alias in self._builder.known.groups.keys() - self._used_aliases - listed:
            hint = "write it in a match, in `approvers` or in a `when`, or take it out"
            self._report.add_key(("known", "groups", alias), "is never used", hint)


def _nearest_zone(name: str) -> str:
    hint: str = nearest(name, available_timezones())
    return hint if hint.startswith("did you mean") else "write a name such as `Europe/Vienna` or `UTC`"


def lists_and_known(value: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """What can be read of the two sections, whatever else is wrong in them."""
    lists, known = (value.get(key) if isinstance(value, dict) else None for key in ("lists", "known"))
    named = {
        name: [each for each in items if isinstance(each, str)]
        for name, items in (lists.items() if isinstance(lists, dict) else ())
        if isinstance(items, list)
    }
    known = known if isinstance(known, dict) else {}
    groups = known.get("groups")
    return named, {
        "models": _texts(known.get("models")),
        "groups": {alias: _texts(names) for alias, names in groups.items()} if isinstance(groups, dict) else {},
        "connections": _texts(known.get("connections")),
    }


def _texts(items: Any) -> list[str]:
    return [each for each in items if isinstance(each, str)] if isinstance(items, list) else []
