"""Our JSON Schemas are schemas. The loader does not ask: that would cost start-up time, and here is where they change."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

import extproc.core
from extproc.core.schema import load_schema

FOLDER = Path(extproc.core.__file__).parent / "schemas"
NAMES = sorted(path.name.removesuffix(".schema.json") for path in FOLDER.iterdir())
ALL = pytest.mark.parametrize("name", NAMES)
OURS = {"x-says", "x-hint"}
KNOWN = {"$schema", "$defs", "title", "description", "default", "then", "else", *Draft202012Validator.VALIDATORS}
NAMED = {"properties", "$defs"}
"""Keywords whose keys are names."""
AS_IT_STANDS = {"const", "enum", "default", "required"}


def test_every_file_is_a_schema_by_its_name() -> None:
    assert {"policy", "tests", "config", "anchor"} <= set(NAMES)
    assert all((FOLDER / f"{name}.schema.json").is_file() for name in NAMES)


@ALL
def test_a_schema_is_one_by_the_meta_schema(name: str) -> None:
    schema = load_schema(name)
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    Draft202012Validator.check_schema(schema)


@ALL
def test_a_schema_has_no_keyword_that_nobody_reads(name: str) -> None:
    """The meta-schema takes any: a misspelt one would bound nothing."""
    assert set(keywords(load_schema(name))) <= KNOWN | OURS


@ALL
def test_a_schema_refers_to_what_there_is(name: str) -> None:
    schema = load_schema(name)
    for reference in references(schema):
        start, *path = reference.split("/")
        assert start == "#"
        found: Any = schema
        for key in path:
            found = found[key]


def test_the_meta_schema_is_asked() -> None:
    with pytest.raises(SchemaError):
        Draft202012Validator.check_schema({"properties": {"a": {"maxLength": "ten"}}})


def keywords(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for each in schema:
            yield from keywords(each)
    elif isinstance(schema, dict):
        for key, value in schema.items():
            yield key
            if key in NAMED:
                for each in value.values():
                    yield from keywords(each)
            elif key not in AS_IT_STANDS:
                yield from keywords(value)


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for each in schema.values():
            yield from references(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from references(each)
