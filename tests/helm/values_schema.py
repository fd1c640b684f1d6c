"""`values.schema.json`: closed, made of the comments in values.yaml, of our own schemas of configuration and policy, and of
what the chart itself sets in the configuration. `make chart` writes it."""

import json
import re
from pathlib import Path
from typing import Any, Final

from tests.helm.kubernetes_values import DEFINITIONS
from tests.helm.values import CHART, Value, read_values

SCHEMA = CHART / "values.schema.json"
_OURS = Path(__file__).parents[2] / "extproc" / "core" / "schemas"
_TYPES: Final = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}

OWNED: Final = {
    "apiVersion": "leave it out",
    "kind": "leave it out",
    "run_directory": "leave it out",
    "workers": "leave it out: gateway.workers or sidecar.workers says it",
    "health": "leave it out: probes ask at port 9465",
    "listener": "leave it out: secrets.tls gives it a certificate, gateway.service.port the port of clients",
    "envoy.admin_port": "leave it out: every container of the pod could read the gate secret there",
    "envoy.status_address": "leave it out",
    "envoy.status_port": "leave it out: probes ask at port 9902",
    "envoy.access_log": "leave it out: it goes to standard output",
    "envoy.ends_with_service": "leave it out",
    "policy": "leave it out: the value `policy` beside `config` is the policy",
    "digest_key": "leave it out: secrets.digestKey names its Secret",
    "approvals.database": "leave it out: secrets.database names the Secret with the URL, which holds a password",
    "approvals.database_file": "leave it out: secrets.database names its Secret",
    "approvals.migrate": "leave it out: migrations.enabled says it",
    "audit.spool": "leave it out: gateway.spool says where it is",
    "audit.keys": "leave it out: secrets.auditKeys names their Secret",
    "telemetry.metrics_address": "leave it out",
    "telemetry.metrics_port": "leave it out: worker i serves 9470 + i",
    "telemetry.supervisor_metrics_port": "leave it out: it is 9466",
    "console.address": "leave it out",
    "console.port": "leave it out: console.service.port says it",
    "console.metrics_port": "leave it out: it is 9469",
    "console.grpc_port": "leave it out",
    "console.keys": "leave it out: secrets.consoleKeys names their Secret, or console.keys.persistence keeps them",
    "console.tls": "leave it out: secrets.consoleTls names its Secret, or certManager makes it",
}
"""What the chart sets in config.yaml, and the words with which a user's own is refused."""


def values_schema(values: tuple[Value, ...]) -> dict[str, Any]:
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart extproc",
        "type": "object",
        "additionalProperties": False,
        "properties": {value.key: _schema(value) for value in values}
        | {"global": {"type": "object", "description": "Helm's own, of a chart that contains this one. Not read."}},
        "definitions": DEFINITIONS | {"config": _config(), "policy": _document("policy"), "cases": _document("tests")},
    }


def _schema(value: Value) -> dict[str, Any]:
    said = {"description": value.text}
    if value.children:
        children = {child.key: _schema(child) for child in value.children}
        return {"type": "object", **said, "additionalProperties": False, "properties": children, **value.said}
    if "$ref" not in value.said and "enum" not in value.said:
        said = {"type": _TYPES[type(value.default)], **said}
    return said | value.said


def _config() -> dict[str, Any]:
    """Of our own schema of config.yaml, without what is needed (a template says that better) and closed where OWNED is."""
    schema = _document("config")
    for place, words in OWNED.items():
        *above, key = place.split(".")
        section = schema
        for each in above:
            section = section["properties"][each]
        section["required"] = [name for name in section.get("required", ()) if name != key]
        # An `enum` with one word is what helm shows to whoever wrote another.
        section["properties"][key] = {"enum": [f"the chart sets it, {words}"]}
    del schema["required"]
    schema["properties"]["console"]["required"].remove("url")  # `console.host` says it as well
    return schema


def _document(name: str) -> dict[str, Any]:
    """Our own schema in words that helm's validator knows: draft 7, RE2, no extensions."""
    schema = json.loads((_OURS / f"{name}.schema.json").read_text("utf-8"))
    owner = schema.get("x-defs", name)
    translated = _translated(schema, owner)
    del translated["$schema"]
    assert isinstance(translated, dict)
    return translated


def _translated(node: Any, owner: str) -> Any:
    if isinstance(node, list):
        return [_translated(each, owner) for each in node]
    if not isinstance(node, dict):
        return node
    result = {key: _translated(each, owner) for key, each in node.items() if not key.startswith("x-")}
    if isinstance(reference := node.get("$ref"), str):
        # Beside a reference draft 7 reads nothing.
        return {"$ref": reference.replace("#/$defs/", f"#/definitions/{owner}/$defs/")}
    if isinstance(pattern := node.get("pattern"), str):
        result["pattern"] = _re2(pattern)
    return result


def _re2(pattern: str) -> str:
    """In RE2 `$` is the end of the text, as the lookahead makes it elsewhere, and nothing is repeated 4096 times."""
    pattern = re.sub(r"\(\?!\\n\)", "", pattern)
    pattern = re.sub(r"\\u([0-9a-f]{4})", r"\\x{\1}", pattern)
    return re.sub(r"\{1,\d{4}\}", "+", pattern)


def text() -> str:
    return json.dumps(values_schema(read_values()), indent=1) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(text(), "utf-8")
