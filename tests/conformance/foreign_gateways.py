"""What Envoy Gateway and Istio make of the chart's resources, as far as they bear on us: an Envoy bootstrap.

Envoy Gateway's translation follows its own golden files (`internal/xds/translator/testdata`): one disabled filter per
policy, enabled per route; ext_proc in the modes of the policy, with trailers where a body is in full duplex; routes by
the Gateway API's precedence; none of our knobs that its API lacks. Istio's is what an `EnvoyFilter` says: its patches in
their order.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Document = dict[str, Any]
TYPE = "type.googleapis.com/envoy"
HCM = f"{TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = {
    "name": "envoy.filters.http.router",
    "typed_config": {"@type": f"{TYPE}.extensions.filters.http.router.v3.Router", "suppress_envoy_headers": True},
}
_BODIES = {"FullDuplexStreamed": "FULL_DUPLEX_STREAMED", "Buffered": "BUFFERED", "Streamed": "STREAMED"}


@dataclass(frozen=True, slots=True)
class Caller:
    """The gateway's certificate, and the authority that signed the service's."""

    certificate: Path
    key: Path
    authority: Path


def only(documents: Iterable[Document], kind: str) -> Document:
    (found,) = (document for document in documents if document["kind"] == kind)
    return found


def http2() -> Document:
    return {
        f"{TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions".removeprefix("type.googleapis.com/"): {
            "@type": f"{TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
    }


def cluster(name: str, port: int, **more: Any) -> Document:
    endpoint = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "10s",
        "per_connection_buffer_limit_bytes": 32768,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}]},
        **more,
    }


def upstream_tls(caller: Caller, server_name: str) -> Document:
    """As `BackendTLSPolicy` and the gateway's client certificate ask for."""
    context = {
        "@type": f"{TYPE}.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "sni": server_name,
        "common_tls_context": {
            "alpn_protocols": ["h2"],
            "tls_certificates": [
                {
                    "certificate_chain": {"filename": str(caller.certificate)},
                    "private_key": {"filename": str(caller.key)},
                }
            ],
            "validation_context": {
                "trusted_ca": {"filename": str(caller.authority)},
                "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": server_name}}],
            },
        },
    }
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def bootstrap(port: int, admin_port: int, manager: Document, clusters: list[Document]) -> Document:
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    return {
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": admin_port}}},
        "static_resources": {
            "listeners": [
                {
                    "name": "gateway",
                    "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
                    "filter_chains": [{"filters": filters}],
                    "per_connection_buffer_limit_bytes": 32768,
                }
            ],
            "clusters": clusters,
        },
    }


# -- Envoy Gateway -------------------------------------------------------------------------------------------------------


def envoy_gateway(
    documents: list[Document], ports: Mapping[str, int], caller: Caller
) -> tuple[Document, list[Document]]:
    """The connection manager and the clusters. `ports`: where each Service of the documents is, by its name."""
    policy = only(documents, "EnvoyExtensionPolicy")
    scripts, (processor,) = policy["spec"].get("lua", []), policy["spec"]["extProc"]
    name = f"envoyextensionpolicy/{policy['metadata']['name']}"
    (backend,) = processor["backendRefs"]
    server_name = only(documents, "BackendTLSPolicy")["spec"]["validation"]["hostname"]
    filters = [
        *(_lua(f"envoy.filters.http.lua/{name}/{at}", s) for at, s in enumerate(scripts)),
        _ext_proc(name, processor),
    ]
    enabled = {each["name"]: {"@type": f"{TYPE}.config.route.v3.FilterConfig", "config": {}} for each in filters}
    routes = [
        {**route, "typed_per_filter_config": enabled}
        for document in documents
        if document["kind"] == "HTTPRoute"
        for route in _routes(document, documents)
    ]
    routes.sort(key=_precedence, reverse=True)
    clusters = [cluster(service, where) for service, where in ports.items() if service != backend["name"]]
    tls = upstream_tls(caller, server_name)
    clusters.append(
        cluster(name, ports[backend["name"]], transport_socket=tls, typed_extension_protocol_options=http2())
    )
    manager = {
        "@type": HCM,
        "stat_prefix": "gateway",
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT",
        "use_remote_address": True,
        "server_header_transformation": "PASS_THROUGH",
        "common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST"},
        "http2_protocol_options": {"max_concurrent_streams": 100},
        "route_config": {"name": "gateway", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [*({**each, "disabled": True} for each in filters), ROUTER],
    }
    for document in documents:
        if document["kind"] == "ClientTrafficPolicy":
            _client_traffic(manager, document["spec"])
    return manager, clusters


def _lua(name: str, script: Document) -> Document:
    source = {"inline_string": script["inline"]}
    return {
        "name": name,
        "typed_config": {"@type": f"{TYPE}.extensions.filters.http.lua.v3.Lua", "default_source_code": source},
    }


def _ext_proc(name: str, processor: Document) -> Document:
    modes: Document = {}
    for direction in ("request", "response"):
        asked = processor["processingMode"].get(direction)
        duplex = (asked or {}).get("body") == "FullDuplexStreamed"
        modes |= {
            f"{direction}_header_mode": "SKIP" if asked is None else "SEND",
            f"{direction}_body_mode": _BODIES.get((asked or {}).get("body", ""), "NONE"),
            f"{direction}_trailer_mode": "SEND" if duplex else "SKIP",
        }
    config = {
        "@type": f"{TYPE}.extensions.filters.http.ext_proc.v3.ExternalProcessor",
        "grpc_service": {"envoy_grpc": {"cluster_name": name}, "timeout": "10s"},
        "failure_mode_allow": processor.get("failOpen", False),
        "message_timeout": _duration(processor["messageTimeout"]),
        "processing_mode": modes,
        "request_attributes": processor["processingMode"]["request"].get("attributes", []),
        "response_attributes": processor["processingMode"]["response"].get("attributes", []),
        "metadata_options": {"receiving_namespaces": {"untyped": processor["metadata"]["writableNamespaces"]}},
    }
    return {"name": f"envoy.filters.http.ext_proc/{name}/extproc/0", "typed_config": config}


def _routes(document: Document, documents: list[Document]) -> Iterable[Document]:
    for at, rule in enumerate(document["spec"]["rules"]):
        for match in rule["matches"]:
            route: Document = {"name": f"httproute/{document['metadata']['name']}/{at}", "match": _match(match)}
            for each in rule.get("filters", []):
                if each["type"] == "RequestHeaderModifier":
                    route["request_headers_to_remove"] = each["requestHeaderModifier"]["remove"]
                if each["type"] == "ExtensionRef":
                    answer = next(d for d in documents if d["metadata"]["name"] == each["extensionRef"]["name"])
                    direct = answer["spec"]["directResponse"]
                    body = {"inline_string": direct["body"]["inline"]}
                    route["direct_response"] = {"status": direct["statusCode"], "body": body}
            if "direct_response" not in route:
                (backend,) = rule["backendRefs"]
                route["route"] = {"cluster": backend["name"], **_rewrite(rule), **_timeouts(documents)}
            yield route


def _match(match: Document) -> Document:
    prefix = match["path"]["value"]
    headers = [
        {"name": header["name"], "string_match": {"exact": header["value"]}} for header in match.get("headers", [])
    ]
    where = {"prefix": "/"} if prefix == "/" else {"path_separated_prefix": prefix}
    return {**where, "headers": headers}


def _rewrite(rule: Document) -> Document:
    for each in rule.get("filters", []):
        if each["type"] == "URLRewrite":
            prefix = rule["matches"][0]["path"]["value"]
            pattern = {"regex": f"^{prefix}/*"}
            return {"regex_rewrite": {"pattern": pattern, "substitution": "/"}}
    return {}


def _timeouts(documents: list[Document]) -> Document:
    http = only(documents, "BackendTrafficPolicy")["spec"]["timeout"]["http"]
    return {"timeout": _duration(http["requestTimeout"])}


def _precedence(route: Document) -> tuple[int, int]:
    """Gateway API: the longer path, then more headers."""
    match = route["match"]
    return len(match.get("path_separated_prefix", "/")), len(match["headers"])


def _duration(text: str) -> str:
    """Gateway API's `1h`, `20m`, `90s` as Envoy reads it."""
    return f"{int(text[:-1]) * {'s': 1, 'm': 60, 'h': 3600}[text[-1]]}s"


def _client_traffic(manager: Document, spec: Document) -> None:
    timeouts = spec["timeout"]["http"]
    manager["stream_idle_timeout"] = _duration(timeouts["streamIdleTimeout"])
    manager["request_timeout"] = _duration(timeouts["requestReceivedTimeout"])
    removed = spec["headers"]["earlyRequestHeaders"]["remove"]
    mutation = {
        "@type": f"{TYPE}.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
        "mutations": [{"remove": name} for name in removed],
    }
    manager["early_header_mutation_extensions"] = [{"name": "early", "typed_config": mutation}]
    if spec["path"]["escapedSlashesAction"] == "RejectRequest":
        manager["path_with_escaped_slashes_action"] = "REJECT_REQUEST"


# -- Istio ---------------------------------------------------------------------------------------------------------------


def istio(documents: list[Document], ports: Mapping[str, int], caller: Caller) -> tuple[Document, list[Document]]:
    """A gateway's connection manager with the routes of the VirtualService, and the patches of the EnvoyFilter on both.

    Names and files are those of the documents; what DNS and volumes say of them, `ports` and `caller` say.
    """
    service = only(documents, "VirtualService")["spec"]
    manager: Document = {
        "@type": HCM,
        "stat_prefix": "gateway",
        "use_remote_address": True,
        "stream_idle_timeout": "300s",
        "route_config": {
            "name": "http.8080",
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [_istio_route(r) for r in service["http"]]}],
        },
        "http_filters": [
            {
                "name": "istio.alpn",
                "typed_config": {"@type": f"{TYPE}.extensions.filters.http.grpc_stats.v3.FilterConfig"},
            },
            {
                "name": "envoy.filters.http.cors",
                "typed_config": {"@type": f"{TYPE}.extensions.filters.http.cors.v3.Cors"},
            },
            ROUTER,
        ],
        "upgrade_configs": [{"upgrade_type": "websocket"}],
    }
    clusters = [cluster(name, port) for name, port in ports.items()]
    for patch in only(documents, "EnvoyFilter")["spec"]["configPatches"]:
        _apply(manager, clusters, patch)
    added = clusters[-1]
    added["type"] = "STATIC"
    address = added["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]
    address |= {"address": "127.0.0.1", "port_value": ports[address["address"].split(".")[0]]}
    tls = added["transport_socket"]["typed_config"]["common_tls_context"]
    (pair,) = tls["tls_certificates"]
    pair["certificate_chain"]["filename"], pair["private_key"]["filename"] = str(caller.certificate), str(caller.key)
    tls["validation_context"]["trusted_ca"]["filename"] = str(caller.authority)
    return manager, clusters


def _istio_route(rule: Document) -> Document:
    if "directResponse" in rule:
        direct = rule["directResponse"]
        body = {"inline_string": direct["body"]["string"]}
        return {"match": {"prefix": "/"}, "direct_response": {"status": direct["status"], "body": body}}
    (match,) = rule["match"]
    ((kind, value),) = match["uri"].items()
    where: Document = {"prefix": value} if kind == "prefix" else {"safe_regex": {"regex": value}}
    where["headers"] = [
        {"name": name, "string_match": {"exact": header["exact"]}} for name, header in match["headers"].items()
    ]
    (target,) = rule["route"]
    action: Document = {"cluster": target["destination"]["host"].split(".")[0], "timeout": _duration(rule["timeout"])}
    if rule["retries"]["attempts"]:
        action["retry_policy"] = {"retry_on": "unavailable", "num_retries": rule["retries"]["attempts"]}
    if "rewrite" in rule:
        rewrite = rule["rewrite"]["uriRegexRewrite"]
        action["regex_rewrite"] = {"pattern": {"regex": rewrite["match"]}, "substitution": rewrite["rewrite"]}
    return {"match": where, "route": action, "request_headers_to_remove": rule["headers"]["request"]["remove"]}


def _apply(manager: Document, clusters: list[Document], patch: Document) -> None:
    """As istiod does, to the one listener."""
    value = patch["patch"]["value"]
    match patch["applyTo"], patch["patch"]["operation"]:
        case "CLUSTER", "ADD":
            clusters.append(value)
        case "HTTP_FILTER", "INSERT_BEFORE":
            name = patch["match"]["listener"]["filterChain"]["filter"]["subFilter"]["name"]
            at = next(i for i, each in enumerate(manager["http_filters"]) if each["name"] == name)
            manager["http_filters"].insert(at, value)
        case "NETWORK_FILTER", "MERGE":
            _merge(manager, value["typed_config"])
        case other:
            raise AssertionError(f"no such patch is known here: {other}")


def _merge(target: Document, value: Document) -> None:
    """Protobuf's merge: messages field by field, lists appended."""
    for key, new in value.items():
        old = target.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            _merge(old, new)
        elif isinstance(old, list) and isinstance(new, list):
            target[key] = [*old, *new]
        else:
            target[key] = new
