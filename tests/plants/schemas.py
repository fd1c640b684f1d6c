"""Planted bugs: schemas that are none, or that bound less than they seem to."""

from tests.plants.plant import Plant

SCHEMAS = "tests/core/test_schemas.py::"

PLANTS = (
    Plant(
        "schemas: a bound that is no number",
        "core/schemas/anchor.schema.json",
        '"maxLength": 128,',
        '"maxLength": "128",',
        SCHEMAS + "test_a_schema_is_one_by_the_meta_schema",
    ),
    Plant(
        "schemas: a keyword that nobody reads",
        "core/schemas/anchor.schema.json",
        '"maxLength": 128,',
        '"maxLenght": 128,',
        SCHEMAS + "test_a_schema_has_no_keyword_that_nobody_reads",
    ),
    Plant(
        "schemas: a reference to nothing",
        "core/schemas/config.schema.json",
        '"$ref": "#/$defs/name",\n      "description": "Names this deployment in audit records and stored objects."',
        '"$ref": "#/$defs/named",\n      "description": "Names this deployment in audit records and stored objects."',
        SCHEMAS + "test_a_schema_refers_to_what_there_is",
    ),
)
