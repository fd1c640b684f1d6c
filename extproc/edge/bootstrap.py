"""Envoy's bootstrap from our settings: what Envoy may do is decided here, and Envoy itself checks the text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import yaml

from extproc.edge.bootstrap_certificates import write_secret_configs
from extproc.edge.bootstrap_check import EnvoyRefused, validate_bootstrap
from extproc.edge.bootstrap_classes import Struct, bootstrap, core, downstream_connections, overload, pack, plain
from extproc.edge.bootstrap_clusters import collector_cluster, model_cluster, worker_cluster
from extproc.edge.bootstrap_discovery import followed_clusters, followed_probes, followed_routes, write_discovery
from extproc.edge.bootstrap_listener import edge_listener
from extproc.edge.bootstrap_routes import routes
from extproc.edge.bootstrap_status import RUNTIME as STATUS_RUNTIME
from extproc.edge.bootstrap_status import admin, admin_cluster, has_admin, status_listener, status_routes
from extproc.edge.gate import parse_gate
from extproc.edge.otel_environment import for_envoy, resource_of
from extproc.edge.settings import Settings

__all__ = [
    "EnvoyRefused",
    "render_bootstrap",
    "render_following",
    "render_here",
    "render_whole_here",
    "validate_bootstrap",
    "write_discovery",
    "write_secret_configs",
]

_MAX_DOWNSTREAM_CONNECTIONS = 10_000
_GRPC_CLIENT_IDLE = timedelta(days=30)
"""Longer than any exchange. Envoy 1.40 drops a gRPC client 50 s after the last new stream, also when an older stream
still uses it; with the graceful close below, that stream's end then reads freed memory and Envoy crashes."""
_RUNTIME: dict[str, bool | int] = {
    # Envoy half-closes the gRPC stream and waits a second: a worker reads the end of the stream and is not cancelled
    # in the middle of something. Measured in envoy/README.md.
    "envoy.reloadable_features.ext_proc_graceful_grpc_close": True,
}


def render_bootstrap(settings: Settings, gate_secret: str, resource: Mapping[str, str] | None = None) -> str:
    """All that Envoy is told as one YAML text, the same for the same arguments: for Envoy to judge, and for people.

    Keep it private: it holds the gate secret. `resource` is what Envoy's spans are of, beside the deployment. With TLS,
    Envoy also wants the files of `write_secret_configs`.

    Raises `ValueError` for an address no cluster can be made of and for a gate secret that is none.
    """
    models = _Models(
        {"route_config": routes(settings)},
        {"route_config": status_routes(settings)},
        clusters=tuple(model_cluster(connection) for connection in settings.connections),
    )
    return _render(settings, gate_secret, resource or {}, models)


def render_following(settings: Settings, gate_secret: str, resource: Mapping[str, str] | None = None) -> str:
    """What Envoy runs on: as `render_bootstrap`, but model servers and routes are in the files of `write_discovery`."""
    models = _Models(followed_routes(settings), followed_probes(settings), resources=followed_clusters(settings))
    return _render(settings, gate_secret, resource or {}, models)


def render_here(settings: Settings, gate_secret: str, environ: Mapping[str, str]) -> str:
    """As `render_following`, with what the `OTEL_*` variables of this process say: Envoy reads none of them."""
    return render_following(_told(settings, environ), gate_secret, resource_of(environ))


def render_whole_here(settings: Settings, gate_secret: str, environ: Mapping[str, str]) -> str:
    """As `render_here`, model servers and routes included: what Envoy judges before a file of theirs is written."""
    return render_bootstrap(_told(settings, environ), gate_secret, resource_of(environ))


def _told(settings: Settings, environ: Mapping[str, str]) -> Settings:
    return replace(settings, telemetry=for_envoy(settings.telemetry, environ))


@dataclass(frozen=True, slots=True)
class _Models:
    """The model servers in a bootstrap: what the two listeners say of their routes, and the clusters or their file."""

    edge: Mapping[str, Any]
    status: Mapping[str, Any]
    clusters: Sequence[Any] = ()
    resources: Any = None


def _render(settings: Settings, gate_secret: str, resource: Mapping[str, str], models: _Models) -> str:
    clusters = [worker_cluster(settings), *models.clusters]
    if settings.telemetry.otlp_endpoint:
        clusters.append(collector_cluster(settings.telemetry))
    listeners, runtime = [edge_listener(settings, parse_gate(gate_secret), resource, models.edge)], dict(_RUNTIME)
    if settings.envoy.status_port:
        listeners.append(status_listener(settings, models.status))
        clusters.append(admin_cluster(settings))
        runtime |= STATUS_RUNTIME
    message = bootstrap.Bootstrap(
        # The OpenTelemetry tracer and the statistics name this node.
        node=core.Node(id=settings.deployment, cluster="extproc"),
        static_resources=bootstrap.BootstrapStaticResources(listeners=listeners, clusters=clusters),
        dynamic_resources=models.resources,
        layered_runtime=bootstrap.LayeredRuntime(
            layers=[bootstrap.RuntimeLayer(name="static", static_layer=Struct.from_dict(runtime))]
        ),
        grpc_async_client_manager_config=bootstrap.BootstrapGrpcAsyncClientManagerConfig(
            max_cached_entry_idle_duration=_GRPC_CLIENT_IDLE
        ),
        overload_manager=_overload(),
        admin=admin(settings) if has_admin(settings) else None,
    )
    return yaml.dump(plain(message), Dumper=_Dumper, sort_keys=False, width=120)


def _overload() -> Any:
    limit = downstream_connections.DownstreamConnectionsConfig(
        max_active_downstream_connections=_MAX_DOWNSTREAM_CONNECTIONS
    )
    name = "envoy.resource_monitors.global_downstream_max_connections"
    return overload.OverloadManager(resource_monitors=[overload.ResourceMonitor(name=name, typed_config=pack(limit))])


class _Dumper(yaml.SafeDumper):
    """Block style for the Lua source; no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
