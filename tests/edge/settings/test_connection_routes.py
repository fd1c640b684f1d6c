"""The rendered routes: nothing but the service's choice leads to a model server."""

from pathlib import Path
from typing import Any

import yaml

from extproc.approvals.settings import ApprovalSettings
from extproc.audit.settings import AuditSettings, DirectoryStore
from extproc.core.connections import CONNECTION_HEADER
from extproc.core.snapshot import Limits
from extproc.edge.bootstrap import render_bootstrap
from extproc.edge.settings import ConnectionSettings, EnvoySettings, ListenerSettings, Settings
from extproc.edge.settings_telemetry import TelemetrySettings

CONNECTIONS = (
    ConnectionSettings("chat", "http://vllm.models.svc:8000", "/chat"),
    ConnectionSettings("embeddings", "http://127.0.0.1:8081", "/chat/embeddings/"),
    ConnectionSettings("root", "http://127.0.0.1:8082"),
)


def rendered(folder: Path) -> dict[str, Any]:
    settings = Settings(
        deployment="demo",
        run_directory=folder,
        workers=1,
        drain_seconds=5.0,
        listener=ListenerSettings(),
        envoy=EnvoySettings(),
        connections=CONNECTIONS,
        issuers=(),
        policy_file=folder / "policy.yaml",
        digest_key_file=folder / "digest.key",
        approvals=ApprovalSettings("sqlite://"),
        approvals_url="",
        audit=AuditSettings("demo", folder / "spool", folder / "keys", DirectoryStore(folder / "audit")),
        telemetry=TelemetrySettings(),
        limits=Limits(),
    )
    resources: dict[str, Any] = yaml.safe_load(render_bootstrap(settings, "g" * 40))["static_resources"]
    return resources


def manager(resources: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    return config


def test_a_route_to_a_model_server_demands_the_services_choice(tmp_path: Path) -> None:
    resources = rendered(tmp_path)
    config = manager(resources)["route_config"]
    *chosen, other = config["virtual_hosts"][0]["routes"]
    for connection, each in zip(CONNECTIONS, chosen, strict=True):
        said = {"name": CONNECTION_HEADER, "string_match": {"exact": connection.route}}
        assert each["match"]["headers"] == [said]
        assert each["request_headers_to_remove"] == [CONNECTION_HEADER]
        assert each["route"]["cluster"] == f"model_{connection.route}"
    assert other["match"] == {"prefix": "/"}
    assert other["route"]["cluster"] not in {cluster["name"] for cluster in resources["clusters"]}
    assert config["validate_clusters"] is False


def test_a_clients_choice_is_taken_off_before_a_route_is_looked_for(tmp_path: Path) -> None:
    (early,) = manager(rendered(tmp_path)).get("early_header_mutation_extensions", [None])
    assert early is not None
    assert early["typed_config"]["mutations"] == [{"remove": CONNECTION_HEADER}]
