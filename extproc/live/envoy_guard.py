"""What must hold of every connection manager whose requests this service is to judge, and what is wrong with it.

Each function yields one sentence for each fault, in the order of the filters; none, and it is as it must be.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from extproc.edge import gate
from extproc.edge.bootstrap_filters import EXT_PROC_FILTER, longest_message_seconds
from extproc.edge.settings import Settings
from extproc.live.envoy_dump import Manager, is_kind, routes_of

EXT_PROC: Final = "envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor"
_RBAC: Final = "envoy.extensions.filters.http.rbac.v3.RBAC"
_LUA: Final = "envoy.extensions.filters.http.lua.v3.Lua"
_ROUTER: Final = "envoy.extensions.filters.http.router.v3.Router"
_BODIES: Final = ("BUFFERED", "FULL_DUPLEX_STREAMED")
_SENT: Final = ("DEFAULT", "SEND", None)
Tree = Mapping[str, Any]


def ext_proc_of(manager: Manager) -> Tree | None:
    """The configuration of its ext_proc filter, unless that is switched off."""
    for each in manager.filters:
        if is_kind(each, EXT_PROC) and not each.get("disabled"):
            found: Tree = each["typed_config"]
            return found
    return None


def faults_of_modes(manager: Manager) -> Iterator[str]:
    """Both bodies whole or in full duplex, both header sets sent, nothing that only watches."""
    config = ext_proc_of(manager) or {}
    mode = config.get("processing_mode", {})
    if mode.get("request_header_mode") not in _SENT or mode.get("response_header_mode") not in _SENT:
        yield "headers are not sent to the service"
    if mode.get("request_body_mode") not in _BODIES:
        yield f"request bodies are {mode.get('request_body_mode', 'NONE')}, not BUFFERED or FULL_DUPLEX_STREAMED"
    if mode.get("response_body_mode") != "FULL_DUPLEX_STREAMED":
        yield f"response bodies are {mode.get('response_body_mode', 'NONE')}, not FULL_DUPLEX_STREAMED"
    if config.get("observability_mode"):
        yield "observability_mode only tells the service, and waits for no answer"
    if config.get("disable_immediate_response"):
        yield "disable_immediate_response lets no refusal through"


def faults_of_failure_mode(manager: Manager) -> Iterator[str]:
    """A service that is down lets nothing on."""
    if (ext_proc_of(manager) or {}).get("failure_mode_allow"):
        yield "failure_mode_allow is true: while the service is down requests go on unjudged"


def faults_of_overrides(manager: Manager) -> Iterator[str]:
    """Neither an answer nor a route changes the modes."""
    if (ext_proc_of(manager) or {}).get("allow_mode_override"):
        yield "allow_mode_override is true: an answer may turn bodies off"
    for name, host, route in routes_of(manager):
        for each in (route, host, manager.routes):
            own = each.get("typed_per_filter_config", {}).get(EXT_PROC_FILTER)
            if own is not None:
                yield f"route {name} has an ext_proc configuration of its own"
                break


def faults_of_request_lock(manager: Manager) -> Iterator[str]:
    """Behind ext_proc an RBAC filter lets on only what carries the service's decision, then comes the router."""
    kinds = [_kind(each) for each in manager.filters]
    after = manager.filters[kinds.index(EXT_PROC) + 1 :] if EXT_PROC in kinds else ()
    locks = [each for each in after if is_kind(each, _RBAC) and not each.get("disabled")]
    if not any(_demands_decision(each["typed_config"]) for each in locks):
        yield "no RBAC filter after ext_proc demands the service's decision"
    for each in after:
        if _kind(each) not in (_RBAC, _ROUTER):
            yield f"filter {each.get('name', '?')} stands after ext_proc: what it changes is not judged"


def faults_of_response_lock(manager: Manager) -> Iterator[str]:
    """Before ext_proc a filter, which answers reach last, demands the gate secret."""
    kinds = [_kind(each) for each in manager.filters]
    before = manager.filters[: kinds.index(EXT_PROC)] if EXT_PROC in kinds else ()
    if not any(is_kind(each, _LUA) and not each.get("disabled") and _asks_gate(each) for each in before):
        yield "no filter before ext_proc demands the gate secret of an answer"


def faults_of_retries(manager: Manager) -> Iterator[str]:
    """A request that is sent again was recorded once."""
    for name, host, route in routes_of(manager):
        policies = (route.get("route", {}).get("retry_policy"), host.get("retry_policy"))
        if any(policy and policy.get("num_retries", 1) != 0 for policy in policies):
            yield f"route {name} retries"


def faults_of_timeouts(manager: Manager, settings: Settings) -> Iterator[str]:
    """Nothing ends while a hold may still last."""
    hold = longest_message_seconds(settings)
    config = ext_proc_of(manager) or {}
    if _seconds(config.get("max_message_timeout"), 0.0) < hold:
        yield f"max_message_timeout is shorter than the longest hold, {hold:.0f} s"
    for name, _, route in routes_of(manager):
        action = route.get("route")
        if action is None:
            continue
        if 0 < _seconds(action.get("timeout"), 15.0) <= hold:
            yield f"route {name} ends after {_seconds(action.get('timeout'), 15.0):.0f} s, a hold after {hold:.0f} s"
        if 0 < _seconds(action.get("idle_timeout"), 300.0) <= hold:
            yield f"route {name} ends a stream that is silent for {_seconds(action.get('idle_timeout'), 300.0):.0f} s"


def _kind(each: Tree) -> str:
    return str(each.get("typed_config", {}).get("@type", "")).rsplit("/", 1)[-1]


def _demands_decision(config: Tree) -> bool:
    rules = config.get("rules", {})
    principals = [each for policy in rules.get("policies", {}).values() for each in policy.get("principals", ())]
    return (
        rules.get("action", "ALLOW") == "ALLOW" and bool(principals) and all(_is_decision(each) for each in principals)
    )


def _is_decision(principal: Tree) -> bool:
    matcher = principal.get("sourced_metadata", {}).get("metadata_matcher") or principal.get("metadata", {})
    return (
        matcher.get("filter") == gate.NAMESPACE
        and [each.get("key") for each in matcher.get("path", ())] == [gate.DECISION]
        and matcher.get("value", {}).get("string_match", {}).get("exact") == gate.ALLOW
        and not matcher.get("invert")
    )


def _asks_gate(each: Tree) -> bool:
    source = each["typed_config"].get("default_source_code", {}).get("inline_string", "")
    return gate.GATE_HEADER in source


def _seconds(duration: object, otherwise: float) -> float:
    found = re.fullmatch(r"([0-9.]+)s", str(duration))
    return float(found[1]) if found else otherwise
