"""The JSON Schema of `evidence.json`, made from the classes that write it. `make proto` commits it."""

import json
import sys

import msgspec

from extproc.audit.evidence.pack import Pack


def pack_schema() -> str:
    """JSON Schema 2020-12, indented, with a final newline."""
    schema = msgspec.json.schema(Pack)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "extproc evidence pack v1", **schema}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(pack_schema())
