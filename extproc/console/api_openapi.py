"""The OpenAPI 3.1 document of the JSON API, made of the same operations and shapes that answer."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

import msgspec

from extproc.console.api_problem import PROBLEM_TYPE, Problem, ProblemCode, status_of
from extproc.core.approval import TransitionCode

Code = ProblemCode | TransitionCode

_ANYWHERE: Final = (
    ProblemCode.TOKEN_MISSING,
    ProblemCode.TOKEN_INVALID,
    ProblemCode.TOO_MANY_FAILURES,
    ProblemCode.UNAVAILABLE,
    ProblemCode.FAILED,
)
_REFERENCE: Final = "#/components/schemas/{name}"


@dataclass(frozen=True, slots=True)
class Described:
    """One operation: where, what it takes, what it answers and how it refuses (beside what any of them may say)."""

    operation_id: str
    method: str
    path: str
    summary: str
    answer: type[msgspec.Struct]
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    refusals: tuple[Code, ...] = ()


def document(url: str, operations: Sequence[Described]) -> dict[str, Any]:
    """The whole document. `url` is where the API is served."""
    shapes = {Problem} | {each.answer for each in operations} | {each.body for each in operations if each.body}
    ordered = sorted(shapes, key=lambda shape: shape.__name__)
    _, components = msgspec.json.schema_components(ordered, ref_template=_REFERENCE)
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for each in operations:
        paths[each.path][each.method.lower()] = _operation(each)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "extproc: approvals and sessions",
            "version": version("extproc"),
            "description": "Approvals of held requests, and the exchanges that went by. Tokens are those of the "
            "issuers that the service takes; roles come from `console.roles`.",
        },
        "servers": [{"url": url}],
        "security": [{"bearer": []}],
        "paths": dict(paths),
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _operation(each: Described) -> dict[str, Any]:
    said: dict[str, Any] = {
        "operationId": each.operation_id,
        "summary": each.summary,
        "parameters": [*_path_parameters(each.path), *(_query_parameters(each.query) if each.query else ())],
        "responses": {
            "200": {"description": "Done.", "content": {"application/json": {"schema": _reference(each.answer)}}},
            **_problems((*_ANYWHERE, *each.refusals)),
        },
    }
    if each.body is not None:
        required = any(field.required for field in msgspec.structs.fields(each.body))
        content = {"application/json": {"schema": _reference(each.body)}}
        said["requestBody"] = {"required": required, "content": content}
    return said


def _reference(shape: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(name=shape.__name__)}


def _path_parameters(path: str) -> Iterable[dict[str, Any]]:
    for name in re.findall(r"{(\w+)}", path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query_parameters(query: type[msgspec.Struct]) -> Iterable[dict[str, Any]]:
    _, components = msgspec.json.schema_components([query], ref_template=_REFERENCE)
    properties = components[query.__name__]["properties"]
    for name, schema in properties.items():
        inlined = {key: value for key, value in schema.items() if key != "description"}
        if items := inlined.get("items"):
            inlined["items"] = _resolved(items, components)
        inlined = _resolved(inlined, components)
        said = {"name": name, "in": "query", "schema": inlined}
        yield said | ({"description": schema["description"]} if "description" in schema else {})


def _resolved(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    """What a reference stands for: the shapes of parameters are no components of the document."""
    named: dict[str, Any] = components.get(schema.get("$ref", "").rpartition("/")[2], schema)
    return named


def _problems(codes: Iterable[Code]) -> dict[str, Any]:
    """By status; each says which codes it may have."""
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in codes:
        if code.value not in by_status[status_of(code)]:
            by_status[status_of(code)].append(code.value)
    return {
        str(status): {
            "description": f"{HTTPStatus(status).phrase}. `code`: {', '.join(f'`{each}`' for each in sorted(found))}.",
            "content": {
                PROBLEM_TYPE: {
                    "schema": {
                        "allOf": [
                            _reference(Problem),
                            {"properties": {"code": {"enum": sorted(found)}, "status": {"const": status}}},
                        ]
                    }
                }
            },
        }
        for status, found in sorted(by_status.items())
    }
