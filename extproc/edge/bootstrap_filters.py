"""The HTTP filters of the bootstrap, in order: response lock, origin, ext_proc, request lock, router.

Requests pass them from first to last, responses from last to first.
"""

from datetime import timedelta
from importlib.resources import files
from typing import Any

from extproc.edge import gate
from extproc.edge.bootstrap_classes import (
    core,
    ext_proc,
    hcm,
    header_mutation,
    lua,
    matcher,
    mutation_rules,
    pack,
    rbac,
    rbac_filter,
    router,
    types,
)
from extproc.edge.bootstrap_clusters import WORKERS
from extproc.edge.settings import Settings

EXT_PROC_FILTER = "envoy.filters.http.ext_proc"
"""Also the key under which attributes reach the service and filter state reaches the access log."""

_HOLD_SLACK_SECONDS = 10
"""The service asks for a rule's wait plus its own margin; what it asks for must stay inside Envoy's maximum."""

REQUEST_ATTRIBUTES = [
    "request.id",
    "source.address",
    "connection.requested_server_name",
    "connection.sha256_peer_certificate_digest",
    "connection.subject_peer_certificate",
    "connection.uri_san_peer_certificate",
    "xds.route_name",
]
RESPONSE_ATTRIBUTES = [
    "request.id",
    "request.path",
    "source.address",
    "response.code_details",
    "response.flags",
    "upstream.address",
    "xds.route_name",
]


def longest_message_seconds(settings: Settings) -> float:
    """The longest time one answer of the service may take: a hold of the longest kind."""
    return settings.envoy.max_hold_seconds + settings.limits.hold_margin_seconds + _HOLD_SLACK_SECONDS


def http_filters(settings: Settings, gate_secret: str) -> list[Any]:
    """The whole chain. Its order is part of the guarantee: only the request lock and the router come after ext_proc."""
    return [
        _filter("envoy.filters.http.lua", _response_lock(gate_secret)),
        _filter("envoy.filters.http.header_mutation", _origin()),
        _filter(EXT_PROC_FILTER, _ext_proc(settings)),
        _filter("envoy.filters.http.rbac", _request_lock()),
        _filter("envoy.filters.http.router", router.Router(suppress_envoy_headers=True)),
    ]


def _filter(name: str, config: Any) -> Any:
    return hcm.HttpFilter(name=name, typed_config=pack(config))


def _response_lock(gate_secret: str) -> Any:
    source = files("extproc.edge").joinpath("gate.lua").read_text("ascii")
    for name, value in (
        ("@GATE_HEADER@", gate.GATE_HEADER),
        ("@ORIGIN_HEADER@", gate.ORIGIN_HEADER),
        ("@GATE@", gate_secret),
    ):
        source = source.replace(name, value)
    return lua.Lua(default_source_code=core.DataSource(inline_string=source))


def _origin() -> Any:
    """Tells the response lock, which cannot ask, whether Envoy made a response or received it.

    Removed first: where there are no details to write, what the model server sent under this name is gone all the same.
    """
    write = core.HeaderValueOption(
        header=core.HeaderValue(key=gate.ORIGIN_HEADER, value="%RESPONSE_CODE_DETAILS%"),
        append_action=core.HeaderValueOptionHeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
    )
    return header_mutation.HeaderMutation(
        mutations=header_mutation.Mutations(
            response_mutations=[
                mutation_rules.HeaderMutation(remove=gate.ORIGIN_HEADER),
                mutation_rules.HeaderMutation(append=write),
            ]
        )
    )


def _ext_proc(settings: Settings) -> Any:
    send = ext_proc.ProcessingModeHeaderSendMode.SEND
    return ext_proc.ExternalProcessor(
        grpc_service=core.GrpcService(
            envoy_grpc=core.GrpcServiceEnvoyGrpc(cluster_name=WORKERS, skip_envoy_headers=True)
        ),
        failure_mode_allow=False,
        status_on_error=types.HttpStatus(code=types.StatusCode.ServiceUnavailable),
        processing_mode=ext_proc.ProcessingMode(
            request_header_mode=send,
            request_body_mode=ext_proc.ProcessingModeBodySendMode.BUFFERED,
            response_header_mode=send,
            response_body_mode=ext_proc.ProcessingModeBodySendMode.FULL_DUPLEX_STREAMED,
            response_trailer_mode=send,
        ),
        message_timeout=timedelta(seconds=10),
        max_message_timeout=timedelta(seconds=longest_message_seconds(settings)),
        allow_mode_override=False,
        mutation_rules=mutation_rules.HeaderMutationRules(disallow_is_error=True),
        metadata_options=ext_proc.MetadataOptions(
            receiving_namespaces=ext_proc.MetadataOptionsMetadataNamespaces(untyped=[gate.NAMESPACE])
        ),
        request_attributes=REQUEST_ATTRIBUTES,
        response_attributes=RESPONSE_ATTRIBUTES,
        stat_prefix="extproc",
    )


def _request_lock() -> Any:
    decision = matcher.MetadataMatcher(
        filter=gate.NAMESPACE,
        path=[matcher.MetadataMatcherPathSegment(key=gate.DECISION)],
        value=matcher.ValueMatcher(string_match=matcher.StringMatcher(exact=gate.ALLOW)),
    )
    decided = rbac.Principal(
        sourced_metadata=rbac.SourcedMetadata(metadata_matcher=decision, metadata_source=rbac.MetadataSource.DYNAMIC)
    )
    return rbac_filter.Rbac(
        rules=rbac.Rbac(
            action=rbac.RbacAction.ALLOW,
            policies={"decided": rbac.Policy(permissions=[rbac.Permission(any=True)], principals=[decided])},
        )
    )
