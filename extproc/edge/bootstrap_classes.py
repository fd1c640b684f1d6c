"""Envoy's configuration classes under short names. Slow to import (0.7 s): only the bootstrap modules do."""

import warnings
from typing import Any

with warnings.catch_warnings():
    # The package declares its validators in a form that pydantic deprecates; nothing here can change that.
    warnings.simplefilter("ignore", DeprecationWarning)
    from envoy_data_plane.envoy.config.accesslog import v3 as accesslog
    from envoy_data_plane.envoy.config.bootstrap import v3 as bootstrap
    from envoy_data_plane.envoy.config.cluster import v3 as cluster
    from envoy_data_plane.envoy.config.common.mutation_rules import v3 as mutation_rules
    from envoy_data_plane.envoy.config.core import v3 as core
    from envoy_data_plane.envoy.config.endpoint import v3 as endpoint
    from envoy_data_plane.envoy.config.listener import v3 as listener
    from envoy_data_plane.envoy.config.overload import v3 as overload
    from envoy_data_plane.envoy.config.rbac import v3 as rbac
    from envoy_data_plane.envoy.config.route import v3 as route
    from envoy_data_plane.envoy.config.trace import v3 as trace
    from envoy_data_plane.envoy.extensions.access_loggers.file import v3 as access_file
    from envoy_data_plane.envoy.extensions.access_loggers.stream import v3 as access_stream
    from envoy_data_plane.envoy.extensions.filters.http.ext_proc import v3 as ext_proc
    from envoy_data_plane.envoy.extensions.filters.http.header_mutation import v3 as header_mutation
    from envoy_data_plane.envoy.extensions.filters.http.lua import v3 as lua
    from envoy_data_plane.envoy.extensions.filters.http.rbac import v3 as rbac_filter
    from envoy_data_plane.envoy.extensions.filters.http.router import v3 as router
    from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as hcm
    from envoy_data_plane.envoy.extensions.http.early_header_mutation.header_mutation import v3 as early_mutation
    from envoy_data_plane.envoy.extensions.resource_monitors.downstream_connections import v3 as downstream_connections
    from envoy_data_plane.envoy.extensions.tracers.opentelemetry.resource_detectors import v3 as resource_detectors
    from envoy_data_plane.envoy.extensions.tracers.opentelemetry.samplers import v3 as samplers
    from envoy_data_plane.envoy.extensions.transport_sockets.tls import v3 as tls
    from envoy_data_plane.envoy.extensions.upstreams.http import v3 as upstream_http
    from envoy_data_plane.envoy.type import v3 as types
    from envoy_data_plane.envoy.type.matcher import v3 as matcher
    from envoy_data_plane.envoy.type.tracing import v3 as tracing_tags
    from envoy_data_plane.google.protobuf import Any as ProtoAny
    from envoy_data_plane.google.protobuf import Struct

__all__ = [
    "Struct",
    "access_file",
    "access_stream",
    "accesslog",
    "bootstrap",
    "cluster",
    "core",
    "downstream_connections",
    "early_mutation",
    "endpoint",
    "ext_proc",
    "hcm",
    "header_mutation",
    "listener",
    "lua",
    "matcher",
    "mutation_rules",
    "overload",
    "pack",
    "plain",
    "rbac",
    "rbac_filter",
    "resource_detectors",
    "route",
    "router",
    "samplers",
    "tls",
    "trace",
    "tracing_tags",
    "types",
    "upstream_http",
]


def pack(message: Any) -> Any:
    """`message` as a `typed_config`."""
    return ProtoAny.pack(message)


def plain(message: Any) -> dict[str, Any]:
    """`message` as JSON values, with the field names of the proto files (`casing` is any function of a name)."""
    values: dict[str, Any] = message.to_dict(casing=str)
    return values
