"""What OCSF 1.8 asks of an event of the classes that are written here: allowed and required attributes, and enums.

Source: ocsf-schema `events/application/api_activity`, `events/system/event_log_activity`, `events/base_event`, the
profiles `ai_operation`, `security_control` and `trace`, and the objects named below. Attributes that are never written
are left out, so one that is not here is a finding.
"""

from collections.abc import Iterator, Mapping
from typing import Any

BASE = {
    "metadata", "class_uid", "category_uid", "activity_id", "activity_name", "type_uid", "severity_id", "time",
    "status_id", "status", "status_code", "status_detail", "actor", "src_endpoint", "unmapped",
}  # fmt: skip
PROFILES = {
    "ai_operation": {"ai_model"},
    "security_control": {"action_id", "disposition_id", "policy"},
    "trace": {"trace"},
}
CLASSES: dict[int, dict[str, Any]] = {
    6003: {
        "attributes": BASE | {"api", "http_request", "http_response"},
        "required": {"actor", "api", "src_endpoint"},
        "profiles": {"ai_operation", "security_control", "trace"},
        "activities": {0, 1, 2, 3, 4, 99},
    },
    1008: {
        "attributes": BASE | {"log_name", "log_provider", "log_type_id"},
        "required": {"log_name"},  # at least one of several
        "profiles": {"security_control"},
        "activities": {0, *range(1, 11), 99},
    },
}
REQUIRED = {"metadata", "class_uid", "category_uid", "activity_id", "type_uid", "severity_id", "time"}
ENUMS = {
    "severity_id": {*range(7), 99},
    "status_id": {0, 1, 2, 99},
    "action_id": {0, 1, 2, 3, 4},
    "disposition_id": {*range(28), 99},
}
OBJECTS: dict[str, tuple[set[str], set[str], set[str]]] = {
    # allowed, required, and of which there must be at least one
    "metadata": ({"event_code", "version", "log_version", "product", "profiles", "correlation_uid", "uid"}, {"product", "version"}, set()),
    "metadata.product": ({"name", "vendor_name", "version"}, set(), {"name", "uid"}),
    "actor": ({"user", "session", "app_uid"}, set(), {"user", "process", "session", "app_uid", "app_name"}),
    "actor.user": ({"uid", "name", "groups", "type_id", "org"}, set(), {"account", "name", "uid"}),
    "actor.user.org": ({"uid"}, set(), {"name", "uid"}),
    "actor.user.groups": ({"name"}, set(), {"name", "uid"}),
    "actor.session": ({"uid", "created_time", "is_mfa"}, set(), set()),
    "src_endpoint": ({"ip", "port", "name"}, set(), {"ip", "name"}),
    "api": ({"operation", "service"}, {"operation"}, set()),
    "api.service": ({"name"}, set(), {"name", "uid"}),
    "http_request": ({"http_method"}, set(), set()),
    "http_response": ({"code"}, {"code"}, set()),
    "ai_model": ({"name", "ai_provider"}, {"name", "ai_provider"}, set()),
    "policy": ({"uid", "name"}, set(), {"name", "uid"}),
    "trace": ({"uid"}, {"uid"}, set()),
}  # fmt: skip


def violations(event: dict[str, Any]) -> list[str]:
    """What is wrong with it; empty for an event that is right."""
    kind = CLASSES[event["class_uid"]]
    profiles = set(event["metadata"].get("profiles", []))
    allowed = kind["attributes"].union(*(PROFILES[name] for name in profiles))
    wrong = [f"{name} is not of the class" for name in event.keys() - allowed]
    wrong += [f"{name} is missing" for name in (REQUIRED | kind["required"]) - event.keys()]
    wrong += [f"profile {name} is not of the class" for name in profiles - kind["profiles"]]
    wrong += [
        f"{name} is {event[name]}" for name, values in ENUMS.items() if name in event and event[name] not in values
    ]
    if event["activity_id"] not in kind["activities"] or (event["activity_id"] == 99) != ("activity_name" in event):
        wrong.append("activity")
    if event["type_uid"] != event["class_uid"] * 100 + event["activity_id"]:
        wrong.append("type_uid")
    if event["category_uid"] != event["class_uid"] // 1000 or event["metadata"]["version"] != "1.8.0":
        wrong.append("category or version")
    if not isinstance(event["time"], int) or (
        event["status_id"] in (1, 2) and event["status"] not in ("Success", "Failure")
    ):
        wrong.append("time or status")
    return wrong + list(_objects(event, ""))


def _objects(value: Mapping[str, Any], at: str) -> Iterator[str]:
    for name, item in value.items():
        path = f"{at}.{name}" if at else name
        for part in item if isinstance(item, list) else [item]:
            if path == "unmapped" or not isinstance(part, dict):
                continue
            allowed, required, one_of = OBJECTS.get(path, (set(part), set(), set()))
            if part.keys() - allowed or required - part.keys() or (one_of and one_of.isdisjoint(part)):
                yield f"{path} has {sorted(part)}"
            if any(text == "" for text in part.values()):
                yield f"{path} has an empty text"
            yield from _objects(part, path)
