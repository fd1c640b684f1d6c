"""The JSON Schema of evidence lines, made from the classes that read and write them. `make proto` commits it."""

import json
import sys

import msgspec

from extproc.audit.records.ocsf import OcsfRecord


def line_schema() -> str:
    """JSON Schema 2020-12, indented, with a final newline."""
    schema = msgspec.json.schema(OcsfRecord)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "extproc evidence line v2", **schema}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(line_schema())
