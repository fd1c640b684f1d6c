"""Definitions of what values hold in Kubernetes' own words, closed as far as a typing error can go wrong unnoticed."""

from typing import Any, Final

_STRINGS: Final = {"type": "object", "additionalProperties": {"type": "string"}}
_QUANTITIES: Final = {
    "type": "object",
    "additionalProperties": {"type": ["string", "number"], "pattern": r"^[0-9.]+(m|k|Ki|Mi|Gi|Ti|M|G|T)?$"},
}
_PLAIN: Final = {"type": "object", "additionalProperties": True}


def _closed(required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "additionalProperties": False, "properties": properties}
    return schema | ({"required": required} if required else {})


_BLOCK: Final = _closed(["cidr"], cidr={"type": "string"}, **{"except": {"type": "array", "items": {"type": "string"}}})
_SELECTOR: Final = _closed(matchLabels=_STRINGS, matchExpressions={"type": "array", "items": _PLAIN})
_PORT: Final = {"type": "integer", "minimum": 1, "maximum": 65535}

DEFINITIONS: Final[dict[str, Any]] = {
    "strings": _STRINGS,
    "reference": _closed(["name"], name={"type": "string", "minLength": 1}),
    "resources": _closed(requests=_QUANTITIES, limits=_QUANTITIES, claims={"type": "array", "items": _PLAIN}),
    "toleration": _closed(
        key={"type": "string"},
        operator={"enum": ["Exists", "Equal"]},
        value={"type": "string"},
        effect={"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute", ""]},
        tolerationSeconds={"type": "integer"},
    ),
    "affinity": _closed(nodeAffinity=_PLAIN, podAffinity=_PLAIN, podAntiAffinity=_PLAIN),
    "environment": _closed(
        ["name"],
        name={"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
        value={"type": "string"},
        # No secretKeyRef: an environment is read by every child and by whoever reads /proc.
        valueFrom=_closed(fieldRef=_PLAIN, resourceFieldRef=_PLAIN, configMapKeyRef=_PLAIN),
    ),
    "mount": _closed(
        ["name", "mountPath"],
        name={"type": "string"},
        mountPath={"type": "string", "pattern": "^/"},
        readOnly={"type": "boolean"},
        subPath={"type": "string"},
    ),
    "labelSelector": _SELECTOR,
    # One of `podSelector`, which may not be empty, and `ipBlock`: a policy on all pods would cut off strangers.
    "model": _closed(
        ["port"],
        namespace={"type": "string"},
        podSelector=_SELECTOR | {"minProperties": 1},
        ipBlock=_BLOCK,
        port=_PORT,
        metricsPort=_PORT,
    )
    | {"oneOf": [{"required": ["podSelector"]}, {"required": ["ipBlock"]}]},
    "parent": _closed(
        ["name"],
        group={"type": "string"},
        kind={"type": "string"},
        name={"type": "string"},
        namespace={"type": "string"},
        sectionName={"type": "string"},
        port={"type": "integer"},
    ),
    "relabeling": _closed(
        sourceLabels={"type": "array", "items": {"type": "string"}},
        separator={"type": "string"},
        regex={"type": "string"},
        modulus={"type": "integer"},
        targetLabel={"type": "string"},
        replacement={"type": "string"},
        action={"type": "string"},
    ),
    "peer": _closed(
        podSelector={"$ref": "#/definitions/labelSelector"},
        namespaceSelector={"$ref": "#/definitions/labelSelector"},
        ipBlock=_BLOCK,
    ),
}
