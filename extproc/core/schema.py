"""JSON Schema to problems a person can act on: every violation, with its place, in our words.

A schema may annotate a value with `x-says` (how a message ends "must be …") and `x-hint`. Keys under `$defs/later` are
reserved: refused now, because a control that is silently ignored is the worst case.
"""

import functools
import importlib.resources
import json
import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from extproc.core.document import Path, Report, quoted

_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "`true` or `false`",
    "array": "a list",
    "object": "a mapping",
}
_REFERENCE = re.compile(r'"#/\$defs/(\w+)')
_LATER = "is not supported by this version"
_LATER_HINT = "take it out; without it the rest would mean something else, so nothing of the document is applied"


@functools.cache
def load_schema(name: str) -> dict[str, Any]:
    """One of the schemas in `extproc/core/schemas`: `policy`, `tests`, `config` or `anchor`.

    A schema with `x-defs` has those parts of another's `$defs` that it refers to.
    """
    file = importlib.resources.files("extproc.core").joinpath("schemas", f"{name}.schema.json")
    schema: dict[str, Any] = json.loads(file.read_text("utf-8"))
    if "x-defs" in schema:
        schema["$defs"] = _referred(schema, load_schema(schema.pop("x-defs"))["$defs"])
    return schema


def _referred(schema: object, defs: dict[str, Any]) -> dict[str, Any]:
    """What of `defs` the schema refers to, and what that refers to."""
    found: dict[str, Any] = {}
    names = set(_REFERENCE.findall(json.dumps(schema)))
    while names:
        found |= {name: defs[name] for name in names}
        names = set(_REFERENCE.findall(json.dumps(found))) - set(found)
    return {name: defs[name] for name in defs if name in found}


@functools.cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(load_schema(name))


def check_schema(report: Report, name: str) -> None:
    """Add a problem to `report` for everything in which its value departs from the schema."""
    for error in _validator(name).iter_errors(report.value):
        for path, message, hint in _explain(error):
            if "propertyNames" in error.absolute_schema_path:
                report.add_key((*path, error.instance), message, hint)
            elif error.validator in {"additionalProperties", "not"}:
                report.add_key(path, message, hint)
            else:
                report.add(path, message, hint)


def nearest(name: object, known: Iterable[str]) -> str:
    """A hint with the known name most like `name`, else with all of them."""
    names = sorted(known)
    close = _same_letters(str(name)[:100], names) or get_close_matches(str(name)[:100], names, n=1)
    return f"did you mean `{close[0]}`?" if close else "known: " + ", ".join(f"`{each}`" for each in names)


def _same_letters(name: str, names: list[str]) -> list[str]:
    letters = sorted(name)
    return [each for each in names if len(each) == len(name) and sorted(each) == letters]


def _explain(error: ValidationError) -> Iterator[tuple[Path, str, str]]:  # noqa: PLR0912 - one case a keyword
    path: Path = tuple(error.absolute_path)
    value: Any = error.instance
    limit: Any = error.validator_value
    schema = error.schema if isinstance(error.schema, dict) else {}
    says, hint = schema.get("x-says", ""), schema.get("x-hint", "")
    match error.validator:
        case "additionalProperties":
            known = schema.get("properties", {})
            offered = [key for key, of in known.items() if of.get("$ref") != "#/$defs/later"]
            for key in value:
                if key not in known:
                    yield (*path, key), "unknown key", nearest(key, offered)
        case "not":
            yield path, _LATER, _LATER_HINT
        case "required":
            for key in limit:
                if key not in value:
                    yield (*path, key), "is missing", schema["properties"][key].get("x-hint", "")
        case "type":
            yield path, f"must be {says or _TYPES[limit]}, is {_described(value)}", hint or _type_hint(limit, value)
        case "enum":
            yield path, f"{quoted(value)} is not {says or 'known here'}", nearest(value, limit)
        case "const":
            yield path, f"must be {quoted(limit)}", hint
        case "pattern":
            yield path, f"must be {says}", hint
        case "minItems" | "minLength":
            yield path, "must not be empty", hint
        case "maxItems":
            yield path, f"has more than {limit} items", hint
        case "maxLength":
            yield path, f"is longer than {limit} characters", hint
        case "minProperties":
            yield path, "must not be empty", hint
        case "maxProperties":
            yield path, f"must have only {limit} of its keys", hint
        case "minimum":
            yield path, f"must be at least {limit}", hint
        case "maximum":
            yield path, f"must be at most {limit}", hint
        case "uniqueItems":
            seen: set[str] = set()
            for index, item in enumerate(value):
                text = json.dumps(item, sort_keys=True)
                if text in seen:
                    yield (*path, index), "is listed twice", ""
                seen.add(text)
        case _:
            yield path, "is not valid here", ""


def _described(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return quoted(value)
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "a mapping"


def _type_hint(wanted: object, value: object) -> str:
    if wanted == "string" and isinstance(value, bool | int | float):
        return "quote it"
    if wanted == "boolean" and value in ("yes", "no", "on", "off"):
        return "write `true` or `false`"
    if wanted == "array" and isinstance(value, str):
        return "write it as `[…]`"
    return ""
